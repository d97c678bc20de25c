"""One symbol's market from days down to seconds, and the bar of any stretch of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import Protocol

from .bar import Bar, merge
from .calendar import DAY, HOUR, MINUTE, SECOND
from .split import split

QUARTER = 15 * MINUTE

SECONDS_KEPT, TAILS_KEPT = 8, 12
_SECOND_LEVEL = 20

Block = Callable[[int], Sequence[Bar]]


class PriceSource(Protocol):
    """Where a symbol's prices come from; days and hours are numbered since the epoch.

    Everything is a pure function of the number, however often and in whatever order it is asked.
    """

    price_decimals: int
    volume_decimals: int

    @property
    def day(self) -> Block:
        """One bar, in a list."""

    @property
    def hours(self) -> Block:
        """The 24 of a day."""

    @property
    def quarters(self) -> Block:
        """The four of an hour."""

    @property
    def minutes(self) -> Block:
        """The 60 of an hour."""

    def rng_for(self, level: int, number: int) -> Random:
        """Random numbers that belong to one place; valid until the next call."""


class PriceSeries:
    """Times are milliseconds; a stretch begins and ends (exclusive) at a whole second."""

    def __init__(self, source: PriceSource) -> None:
        self.source = source
        self._seconds = lru_cache(SECONDS_KEPT)(self._split_minute)
        self._tail = lru_cache(TAILS_KEPT)(self._merge_tail)
        self._levels: tuple[tuple[int, int, Block], ...] = (
            (DAY, DAY, source.day),
            (HOUR, DAY, source.hours),
            (QUARTER, HOUR, source.quarters),
            (MINUTE, HOUR, source.minutes),
            (SECOND, MINUTE, self._seconds),
        )
        """The length of a bar, that of the block it comes in, and the blocks."""

    def bar(self, start: int, end: int) -> Bar:
        """All that happens from `start` to `end`, which must not be empty."""
        return merge(self.bars(start, end))

    def bars(self, start: int, end: int) -> list[Bar]:
        """Consecutive bars, as long as possible each, that cover the stretch."""
        found: list[Bar] = []
        while start < end:
            left = end - start
            for unit, length, block in self._levels:
                if left >= unit and start % unit == 0:
                    first = start % length // unit
                    taken = block(start // length)[first : first + left // unit]
                    found += taken
                    start += unit * len(taken)
                    break
        return found

    def forming(self, start: int, end: int) -> Bar:
        """As `bar`, for klines that form at one moment and have their last hours in common."""
        for unit in (DAY, HOUR, MINUTE):
            whole = end - end % unit
            if start <= whole < end and start % unit == 0:
                return merge([*self.bars(start, whole), self._tail(unit, end)])
        return self.bar(start, end)

    def _merge_tail(self, unit: int, end: int) -> Bar:
        """What there is before `end` of an unfinished day, hour or minute."""
        start = end - end % unit
        if unit == MINUTE:
            return self.bar(start, end)
        smaller = HOUR if unit == DAY else MINUTE
        whole = end - end % smaller
        bars = self.bars(start, whole)
        if whole < end:
            bars.append(self._tail(smaller, end))
        return merge(bars)

    def _split_minute(self, minute: int) -> list[Bar]:
        parent = self.source.minutes(minute // 60)[minute % 60]
        return split(parent, 60, self.source.rng_for(_SECOND_LEVEL, minute))
