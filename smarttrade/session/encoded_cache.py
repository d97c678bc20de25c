"""What was encoded for clients and may be needed again, within one limit in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, TypeVar

MAX_CACHED_BYTES = 64 * 1024 * 1024  # encoded windows, pages and snapshots of 60 series take 30 MB

T = TypeVar("T")


class EncodedCache:
    """Keeps what was used last. One for a process, for windows, REST pages and snapshots."""

    def __init__(self, max_bytes: int = MAX_CACHED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.bytes = 0

    def get(self, key: Hashable, kind: type[T]) -> T | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        value = entry[0]
        assert isinstance(value, kind)
        return value

    def put(self, key: Hashable, value: object, size: int) -> None:
        """Keep a value of `size` bytes; one that is larger than the limit is not kept."""
        self._remove(key)
        if size > self._max_bytes:
            return
        self._entries[key] = value, size
        self.bytes += size
        while self.bytes > self._max_bytes:
            self._remove(next(iter(self._entries)))

    def _remove(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry[1]
