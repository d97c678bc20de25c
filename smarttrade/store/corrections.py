"""Which candles of a series were corrected lately, for clients that were away meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

from ..market.candle import Candle
from ..market.window import WINDOW_SIZE

CORRECTIONS_KEPT = 3_600_000
"""Milliseconds of exchange time for which corrections are remembered, for clients that were away:
what they hold may be what was corrected. One that was away for longer does better to begin anew."""


class Corrections:
    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: dict[int, int] = {}
        """When (exchange time) candles were corrected, by their open time; oldest first."""

    def note(self, corrections: Iterable[Candle], exchange_time: int) -> None:
        for candle in corrections:
            self._at.pop(candle.open_time, None)
            self._at[candle.open_time] = exchange_time
        self._forget(exchange_time)

    def oldest(self, exchange_time: int) -> int | None:
        """The oldest open time of those corrected lately."""
        self._forget(exchange_time)
        return min(self._at, default=None)

    def _forget(self, exchange_time: int) -> None:
        while self._at:
            oldest = next(iter(self._at))
            is_recent = exchange_time <= self._at[oldest] + CORRECTIONS_KEPT
            if is_recent and len(self._at) <= WINDOW_SIZE:
                return
            del self._at[oldest]
