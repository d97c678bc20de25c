"""What is known of the open times that a window does not have.

Some are holes: the exchange does not have them either. Others are unfilled: candles were published
over them, and they are still to be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from .candle import Candle
from .candle_buffer import CandleBuffer
from .interval import Interval


class Span(NamedTuple):
    """Open times from `first` to `last`, both inclusive, in ms."""

    first: int
    last: int


class Missing(NamedTuple):
    """Open times that only the exchange's history can settle, both inclusive, in ms.

    The candle at `last` is known to exist: rows that reach it prove those before it final.
    """

    first: int
    last: int


class Gap(NamedTuple):
    """Open times from `first` to `last`, both inclusive, in ms, that a window does not have.

    Or of which it has no final state, although there are later candles.
    """

    first: int
    last: int
    cause: Literal["exchange", "unfilled"]
    """Whether the exchange does not have them either, or they are still to be read from it."""


class KnownGaps:
    """The gaps of one window, whose candles are handed in where they matter."""

    __slots__ = ("_interval", "holes", "revision", "unfilled")

    def __init__(self, interval: Interval) -> None:
        self._interval = interval
        self.holes: list[Span] = []
        self.unfilled: list[Missing] = []
        self.revision = 0
        """Grows when a gap is found, filled, or explained."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known to be absent."""
        return not self.holes and not self.unfilled

    def set(self, holes: Iterable[Span], unfilled: Iterable[Missing]) -> None:
        """Replace what is known by what another window of the series knows."""
        self.holes, self.unfilled = list(holes), list(unfilled)
        self.revision += 1

    def add_unfilled(self, missing: Missing) -> None:
        self.unfilled.append(missing)
        self.revision += 1

    def add_doubtful(self, candles: CandleBuffer) -> None:
        """Count as unfilled what lies between candles that do not follow each other for certain."""
        doubtful = [m for m in self._doubtful(candles) if m not in self.unfilled]
        self.unfilled += [m for m in doubtful if self._is_missing(m, candles)]
        self.unfilled.sort()

    def remember_holes(self, rows: Sequence[Candle], first: int | None) -> None:
        """Of an unbroken range of the exchange's history that was asked for from `first` on."""
        if not rows:
            return
        found = self._absences(rows)
        if first is not None and first < rows[0].open_time:
            found.insert(0, self._span(first, rows[0].open_time))
        for span in found:
            self.add_hole(span)

    def add_hole(self, span: Span) -> None:
        if not any(h.first <= span.first and span.last <= h.last for h in self.holes):
            self.holes.append(span)
            self.revision += 1

    def settle(self, candles: CandleBuffer) -> None:
        """Forget the unfilled ranges that are filled, or proven to be holes, by now."""
        unfilled = [m for m in self.unfilled if self._is_missing(m, candles)]
        if unfilled != self.unfilled:
            self.unfilled = unfilled
            self.revision += 1

    def forget_before(self, oldest: int) -> None:
        self.holes = [hole for hole in self.holes if hole.last >= oldest]
        self.unfilled = [
            Missing(max(m.first, oldest), m.last) for m in self.unfilled if m.last > oldest
        ]

    def after_holes(self, first: int, end: int) -> int:
        """The first open time from `first` on that is not in a hole, or `end` or later."""
        while first < end:
            hole = next((h for h in self.holes if h.first <= first <= h.last), None)
            if hole is None:
                return first
            first = self._interval.next(hole.last)
        return first

    def among(self, candles: Sequence[Candle]) -> tuple[Gap, ...]:
        """What is absent, or not final, between the oldest and the newest candle."""
        if self.is_empty:
            return ()
        found = [Gap(span.first, span.last, self._cause(span)) for span in self._absences(candles)]
        found += [
            Gap(candle.open_time, candle.open_time, "unfilled")
            for candle in candles[:-1]
            if not candle.closed
        ]
        return self._joined(sorted(found))

    def _joined(self, found: Iterable[Gap]) -> tuple[Gap, ...]:
        gaps: list[Gap] = []
        for gap in found:
            before = gaps[-1] if gaps else None
            if (
                before
                and before.cause == gap.cause
                and self._interval.next(before.last) == gap.first
            ):
                gaps[-1] = before._replace(last=gap.last)
            else:
                gaps.append(gap)
        return tuple(gaps)

    def _absences(self, candles: Sequence[Candle]) -> list[Span]:
        interval = self._interval
        return [
            self._span(interval.next(a.open_time), b.open_time)
            for a, b in pairwise(candles)
            if interval.next(a.open_time) < b.open_time
        ]

    def _span(self, first: int, end: int) -> Span:
        """From `first` up to the candle at `end`, which may be off the grid."""
        return Span(first, self._interval.last_before(end, first))

    def _cause(self, span: Span) -> Literal["exchange", "unfilled"]:
        end = self._interval.next(span.last)
        return "exchange" if self.after_holes(span.first, end) >= end else "unfilled"

    def _doubtful(self, candles: Sequence[Candle]) -> list[Missing]:
        interval = self._interval
        return [
            Missing(interval.next(a.open_time) if a.closed else a.open_time, b.open_time)
            for a, b in pairwise(candles)
            if not a.closed or interval.next(a.open_time) < b.open_time
        ]

    def _is_missing(self, missing: Missing, candles: CandleBuffer) -> bool:
        """Whether something in that range is still not there, or not final."""
        inside = candles[candles.index_of(missing.first) : candles.index_of(missing.last) + 1]
        if any(not candle.closed for candle in inside[:-1]):
            return True
        expected = missing.first
        for candle in inside:
            if self.after_holes(expected, candle.open_time) < candle.open_time:
                return True
            expected = self._interval.next(candle.open_time)
        return False
