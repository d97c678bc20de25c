"""Which candles of a series were corrected lately, for clients that were away meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

from ..market.candle import Candle
from ..market.window import WINDOW_SIZE
from ..market.window_state import Correction

CORRECTIONS_KEPT = 3_600_000
"""Milliseconds of exchange time for which corrections are remembered, for clients that were away:
what they hold may be what was corrected. After more than that, read the whole window."""


class Corrections:
    """Those of the last hour, at most one for each candle of a window."""

    __slots__ = ("_at", "revision")

    def __init__(self) -> None:
        self._at: dict[int, int] = {}
        """When (exchange time) candles were corrected, by their open time; oldest first."""
        self.revision = 0
        """Grows when one is added."""

    def note(self, corrections: Iterable[Candle], exchange_time: int) -> None:
        self.add(Correction(candle.open_time, exchange_time) for candle in corrections)
        self._forget(exchange_time)

    def add(self, corrections: Iterable[Correction]) -> None:
        """Corrections that another process made; of one candle, the latest counts."""
        for open_time, at in corrections:
            if self._at.get(open_time, -1) >= at:
                continue
            self._at[open_time] = at
            self.revision += 1
        self._at = dict(sorted(self._at.items(), key=lambda item: item[1]))

    def since(self, exchange_time: int) -> tuple[Correction, ...]:
        """Those of the last hour before `exchange_time`, in the order in which they were made."""
        self._forget(exchange_time)
        return tuple(Correction(*item) for item in self._at.items())

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
