"""What a window publishes when it takes candles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .candle import Candle
from .gaps import Missing


@dataclass(frozen=True, slots=True)
class Change:
    """What a candle, or some history, did to a window."""

    updates: Sequence[Candle] = ()
    """Published now, in order: the newest candle's new state, or candles after it."""

    corrections: Sequence[Candle] = ()
    """Changed or filled in before the newest candle, in order."""

    missing: Missing | None = None
    """What keeps buffered candles from being published; None when nothing is buffered."""

    def __bool__(self) -> bool:
        return bool(self.updates or self.corrections)


UNCHANGED = Change()
