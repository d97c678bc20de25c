"""What is to be read over REST, in which order and when: plain code.

An entry gets one attempt at a time, of bounded length. One that brought nothing goes back with a
growing pause of its own, behind those that have not failed; so a series that the venue cannot give
never holds up another. Times are in seconds.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count

from actors import Backoff

from ..market.series import Series
from ..store.events import CandlesMissing

ATTEMPT_BACKOFF = Backoff(first=0.5, max_pause=60.0)
"""Between two attempts that bring nothing, of one series."""

UNREACHABLE_BACKOFF = Backoff(first=0.5, max_pause=5.0)
"""The same while the venue cannot be reached. Its hosts are not asked then by any series, and all
series are to follow at once when one answers again."""

MAX_FRUITLESS = 60
"""Attempts an hour that bring nothing, of one series; then it waits for the hour to pass."""
HOUR = 3600.0

MAX_FAILING_AT_ONCE = 10
"""Attempts under way of series whose last one brought nothing. Half of the connections at most: one
may take as long as its timeout, and the others need not wait for that."""


_Urgency = tuple[bool, bool, bool, int]
"""Least is first: what does not fail, what clients wait for, gaps, short intervals."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One entry that was taken."""

    missing: CandlesMissing
    fruitless: int
    """Attempts in a row that brought nothing, before this one."""


class _Record:
    """How the attempts of one series went."""

    __slots__ = ("due", "fruitless", "times")

    def __init__(self) -> None:
        self.fruitless = 0
        self.due = float("-inf")
        self.times: deque[float] = deque(maxlen=MAX_FRUITLESS)
        """When attempts brought nothing."""


class BackfillQueue:
    """One entry a series, and never two at a time for one series.

    Bounded by the number of series: a further range of one widens the entry that waits. What may
    begin is kept by urgency and what pauses by time, so that no call looks at all entries.
    """

    def __init__(self) -> None:
        self._waiting: dict[Series, CandlesMissing] = {}
        self._under_way: dict[Series, Attempt] = {}
        self._records: dict[Series, _Record] = {}
        self._ready: defaultdict[_Urgency, dict[Series, None]] = defaultdict(dict)
        self._places: dict[Series, _Urgency] = {}
        self._pausing: list[tuple[float, int, Series]] = []
        self._numbers = count()
        self._failing_under_way = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    def __contains__(self, series: Series) -> bool:
        return series in self._waiting or series in self._under_way

    def add(self, missing: CandlesMissing) -> None:
        """Queue a range; a pause that its series is in goes on."""
        series = missing.series
        waiting = self._waiting.get(series)
        self._waiting[series] = missing if waiting is None else _widest(waiting, missing)
        if series in self._places:
            self._make_ready(series)
        elif waiting is None and series not in self._under_way:
            self._schedule(series)

    def take(self, now: float) -> Attempt | None:
        """The most urgent entry; None when there is none to begin now.

        The caller then calls `settle`, `resume`, `postpone` or `give_up`.
        """
        while self._pausing and self._pausing[0][0] <= now:
            self._make_ready(heappop(self._pausing)[2])
        urgency = min(filter(self._may_begin, self._ready), default=None)
        if urgency is None:
            return None
        series = next(iter(self._ready[urgency]))
        self._leave(series)
        taken = self._under_way[series] = Attempt(
            self._waiting.pop(series), self._fruitless(series)
        )
        self._failing_under_way += taken.fruitless > 0
        return taken

    def wait(self, now: float) -> float | None:
        """Seconds until `take` may give something; None while that depends on others."""
        if any(map(self._may_begin, self._ready)):
            return 0.0
        return max(0.0, self._pausing[0][0] - now) if self._pausing else None

    def settle(self, series: Series, reached: int | None) -> None:
        """Nothing of what was taken is to be read any more.

        `reached` is the newest open time that was read. If the whole history is wanted again since,
        only what comes after it may be missing.
        """
        was_whole = self._end(series).missing.first is None
        if reached is not None:
            self._records.pop(series, None)
        waiting = self._waiting.get(series)
        if waiting is not None and waiting.first is None and was_whole and reached is not None:
            self._waiting[series] = replace(waiting, first=reached)
        self._schedule(series)

    def resume(self, remaining: CandlesMissing) -> None:
        """A page was read, and `remaining` is still missing: it is due at once."""
        self._end(remaining.series)
        self._records.pop(remaining.series, None)
        self._put_back(remaining)

    def postpone(
        self, remaining: CandlesMissing, now: float, *, chance: float, is_reachable: bool = True
    ) -> None:
        """The attempt brought nothing, or too little: `remaining` is due after a growing pause.

        `chance` is from 0 to below 1. An attempt while the venue cannot be reached does not count
        towards the ceiling of its series.
        """
        self._end(remaining.series)
        record = self._records.setdefault(remaining.series, _Record())
        if is_reachable:
            self._note_fruitless(remaining.series, now)
            record.due = max(record.due, now + ATTEMPT_BACKOFF.pause(record.fruitless, chance))
        else:
            record.fruitless += 1
            record.due = now + UNREACHABLE_BACKOFF.pause(record.fruitless, chance)
        self._put_back(remaining)

    def give_up(self, series: Series, now: float) -> None:
        """The attempt brought nothing, and its range is dropped until it is requested again."""
        self._end(series)
        self._note_fruitless(series, now)
        self._schedule(series)

    def _end(self, series: Series) -> Attempt:
        ended = self._under_way.pop(series)
        self._failing_under_way -= ended.fruitless > 0
        return ended

    def _put_back(self, remaining: CandlesMissing) -> None:
        waiting = self._waiting.get(remaining.series)
        self._waiting[remaining.series] = (
            remaining if waiting is None else _widest(waiting, remaining)
        )
        self._schedule(remaining.series)

    def _note_fruitless(self, series: Series, now: float) -> None:
        record = self._records.setdefault(series, _Record())
        record.fruitless += 1
        record.times.append(now)
        is_too_often = len(record.times) == MAX_FRUITLESS
        record.due = record.times[0] + HOUR if is_too_often else float("-inf")

    def _schedule(self, series: Series) -> None:
        """Put a series whose entry waits among those that may begin, or that pause."""
        if series not in self._waiting:
            return
        record = self._records.get(series)
        if record is None or record.due == float("-inf"):
            self._make_ready(series)
        else:
            heappush(self._pausing, (record.due, next(self._numbers), series))

    def _make_ready(self, series: Series) -> None:
        if series in self._places:
            self._leave(series)
        missing = self._waiting[series]
        urgency = (
            self._fruitless(series) > 0,
            not missing.is_wanted,
            missing.first is None,
            series.interval.typical_length,
        )
        self._places[series] = urgency
        self._ready[urgency][series] = None

    def _leave(self, series: Series) -> None:
        urgency = self._places.pop(series)
        del self._ready[urgency][series]
        if not self._ready[urgency]:
            del self._ready[urgency]

    def _may_begin(self, urgency: _Urgency) -> bool:
        has_failed = urgency[0]
        return not has_failed or self._failing_under_way < MAX_FAILING_AT_ONCE

    def _fruitless(self, series: Series) -> int:
        record = self._records.get(series)
        return 0 if record is None else record.fruitless


def _widest(one: CandlesMissing, other: CandlesMissing) -> CandlesMissing:
    return CandlesMissing(
        one.series,
        None if one.first is None or other.first is None else min(one.first, other.first),
        None if one.last is None or other.last is None else max(one.last, other.last),
        max(one.as_of, other.as_of),
        one.is_wanted or other.is_wanted,
    )
