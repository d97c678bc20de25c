"""Snapshots as clients are sent them, encoded once for those that reconnect at the same time."""

from __future__ import annotations

from typing import NamedTuple

from ..store.events import Snapshot
from .encoded_cache import EncodedCache
from .wire import Encoder


class _Encoded(NamedTuple):
    snapshot: Snapshot
    frame: bytes


class SnapshotFrames:
    """Keeps the last one of each series."""

    def __init__(self, encoder: Encoder, cache: EncodedCache) -> None:
        self._encoder = encoder
        self._cache = cache

    def frame(self, snapshot: Snapshot) -> bytes:
        key = _Encoded, snapshot.series
        cached = self._cache.get(key, _Encoded)
        if cached is not None and cached.snapshot == snapshot:
            return cached.frame
        frame = self._encoder.snapshot(
            snapshot.series, snapshot.candles, truncated=snapshot.truncated
        )
        self._cache.put(key, _Encoded(snapshot, frame), 2 * len(frame))
        return frame
