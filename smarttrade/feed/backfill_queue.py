"""What is to be read over REST, and in which order: plain code."""

from __future__ import annotations

from dataclasses import replace

from ..market.series import Series
from ..store.events import CandlesMissing


class BackfillQueue:
    """One entry a series, short intervals first, and never two at a time for one series.

    Bounded by the number of series: a further wish for one widens the entry that waits.
    """

    def __init__(self) -> None:
        self._waiting: dict[Series, CandlesMissing] = {}
        self._under_way: dict[Series, CandlesMissing] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    def __contains__(self, series: Series) -> bool:
        return series in self._waiting or series in self._under_way

    def add(self, missing: CandlesMissing) -> None:
        waiting = self._waiting.get(missing.series)
        self._waiting[missing.series] = missing if waiting is None else _widest(waiting, missing)

    def take(self) -> CandlesMissing | None:
        """The most urgent entry; None when nobody may begin anything now.

        Whoever takes one says `done` afterwards.
        """
        free = [series for series in self._waiting if series not in self._under_way]
        if not free:
            return None
        series = min(free, key=lambda s: s.interval.typical_length)
        self._under_way[series] = taken = self._waiting.pop(series)
        return taken

    def done(self, series: Series, reached: int | None) -> None:
        """Reading has ended, at the open time `reached` if it brought anything.

        Whoever wished for the whole history while it was read needs what comes after it.
        """
        was_whole = self._under_way.pop(series).first is None
        waiting = self._waiting.get(series)
        if waiting is not None and waiting.first is None and was_whole and reached is not None:
            self._waiting[series] = replace(waiting, first=reached)


def _widest(one: CandlesMissing, other: CandlesMissing) -> CandlesMissing:
    return CandlesMissing(
        one.series,
        None if one.first is None or other.first is None else min(one.first, other.first),
        None if one.last is None or other.last is None else max(one.last, other.last),
        max(one.as_of, other.as_of),
    )
