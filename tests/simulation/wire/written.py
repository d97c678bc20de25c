"""What must hold after each write: the same rules as of the stand-in that has no commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from ..violation import Violation
from .keyspace import Keyspace


class WrittenCheck:
    """A stored list never goes back, a stored close is never undone, and the leader alone writes."""

    def __init__(self) -> None:
        self._reached: WeakKeyDictionary[Keyspace, dict[bytes, tuple[int, int]]]
        self._reached = WeakKeyDictionary()
        """Of each list the newest open time, and that of its newest closed candle."""

    def check(self, keyspace: Keyspace, keys: Sequence[bytes], arguments: Sequence[bytes]) -> None:
        """After the script `write`."""
        leader, leads = arguments[0], keyspace.hget(keys[1], b"leader")
        if leader != leads:
            raise Violation("one-writer", f"{leader!r} writes while {leads!r} leads")
        reached = self._reached.setdefault(keyspace, {})
        for key in keys[4:]:
            now, before = _reach(keyspace.lrange(key, b"-3", b"-1")), reached.get(key, (0, 0))
            if now < before or now[1] < before[1]:
                text = f"{leader!r}: {key!r} went from {before} to {now}"
                raise Violation("stored-never-back", text)
            reached[key] = now


def _reach(texts: Sequence[bytes]) -> tuple[int, int]:
    candles = [json.loads(text) for text in texts]
    newest = candles[-1][0] if candles else 0
    return newest, next((candle[0] for candle in reversed(candles) if candle[6]), 0)
