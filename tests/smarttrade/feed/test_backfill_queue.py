from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smarttrade.feed.backfill_queue import (
    ATTEMPT_BACKOFF,
    HOUR,
    MAX_FAILING_AT_ONCE,
    MAX_FRUITLESS,
    UNREACHABLE_BACKOFF,
    Attempt,
    BackfillQueue,
)
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.events import CandlesMissing

MINUTES = Series("BTCUSDT", Interval.MINUTE_1)
HOURS = Series("BTCUSDT", Interval.HOUR_1)
MONTHS = Series("BTCUSDT", Interval.MONTH_1)


def missing(
    series: Series = MINUTES,
    first: int | None = None,
    last: int | None = None,
    as_of: int = 0,
    *,
    is_wanted: bool = False,
) -> CandlesMissing:
    return CandlesMissing(series, first, last, as_of, is_wanted)


def queue(*entries: CandlesMissing) -> BackfillQueue:
    entries_queued = BackfillQueue()
    for entry in entries:
        entries_queued.add(entry)
    return entries_queued


def taken(entries: BackfillQueue, now: float = 0.0) -> CandlesMissing | None:
    found = entries.take(now)
    return None if found is None else found.missing


def order(entries: BackfillQueue) -> Sequence[Series]:
    found = []
    while (entry := taken(entries)) is not None:
        found.append(entry.series)
    return found


def test_short_intervals_come_first() -> None:
    assert order(queue(missing(MONTHS), missing(HOURS), missing(MINUTES))) == [
        MINUTES,
        HOURS,
        MONTHS,
    ]


def test_what_clients_wait_for_comes_first_and_gaps_before_first_histories() -> None:
    entries = queue(missing(MINUTES), missing(HOURS, first=5), missing(MONTHS, is_wanted=True))
    assert order(entries) == [MONTHS, HOURS, MINUTES]


def test_entry_that_a_client_begins_to_wait_for_overtakes_the_others() -> None:
    entries = queue(missing(MINUTES), missing(HOURS))
    entries.add(missing(HOURS, is_wanted=True))
    assert order(entries) == [HOURS, MINUTES]


def test_never_two_at_a_time_for_one_series() -> None:
    entries = queue(missing(first=5, last=6))
    assert taken(entries) == missing(first=5, last=6)
    entries.add(missing(first=7, last=8))
    assert taken(entries) is None
    entries.settle(MINUTES, 6)
    assert taken(entries) == missing(first=7, last=8)


def test_further_range_widens_the_one_that_waits() -> None:
    for one, other in ((8, 9), (9, 8)):
        entries = queue(missing(first=5, last=6, as_of=one), missing(first=2, last=3, as_of=other))
        assert taken(entries) == missing(first=2, last=6, as_of=9)
        assert len(entries) == 1
    assert taken(queue(missing(first=5, last=6), missing(first=5))) == missing(first=5)
    assert taken(queue(missing(), missing(first=5, last=6))) == missing()


def test_whole_history_that_has_been_read_meanwhile_is_not_read_again() -> None:
    entries = queue(missing())
    taken(entries)
    entries.add(missing())
    entries.settle(MINUTES, 60_000)
    assert taken(entries) == missing(first=60_000)


def test_whole_history_that_could_not_be_read_is_still_wanted() -> None:
    entries = queue(missing())
    taken(entries)
    entries.add(missing())
    entries.settle(MINUTES, None)
    assert taken(entries) == missing()


def test_certain_range_keeps_its_beginning_whatever_was_read_meanwhile() -> None:
    entries = queue(missing())
    taken(entries)
    entries.add(missing(first=5, last=6))
    entries.settle(MINUTES, 60_000)
    assert taken(entries) == missing(first=5, last=6)


def test_queue_has_a_series_that_waits_or_is_being_read() -> None:
    entries = queue(missing(MINUTES), missing(HOURS))
    assert MINUTES in entries
    assert MONTHS not in entries
    taken(entries)
    assert MINUTES in entries
    entries.settle(MINUTES, None)
    assert MINUTES not in entries


def test_page_that_is_followed_by_another_waits_for_nothing() -> None:
    entries = queue(missing(first=0, last=5000))
    taken(entries)
    entries.resume(missing(first=1000, last=5000))
    assert entries.take(0.0) == Attempt(missing(first=1000, last=5000), 0)


def fail(entries: BackfillQueue, now: float, *, is_reachable: bool = True) -> None:
    found = entries.take(now)
    assert found is not None
    entries.postpone(found.missing, now, chance=1.0, is_reachable=is_reachable)


def test_pauses_of_a_series_that_fails_grow() -> None:
    entries, now, pauses = queue(missing(first=5, last=6)), 0.0, []
    for _ in range(10):
        fail(entries, now)
        wait = entries.wait(now)
        assert wait is not None
        assert taken(entries, now + wait - 0.001) is None
        pauses.append(wait)
        now += wait
    assert pauses == [ATTEMPT_BACKOFF.pause(number, 1.0) for number in range(1, 11)]


def test_pauses_are_short_while_the_venue_cannot_be_reached_and_do_not_count() -> None:
    """So that after an outage of any length nothing waits for long."""
    entries, now = queue(missing(first=5, last=6)), 0.0
    for _ in range(3 * MAX_FRUITLESS):
        fail(entries, now, is_reachable=False)
        now += entries.wait(now) or 0.0
    fail(entries, now, is_reachable=False)
    assert entries.wait(now) == UNREACHABLE_BACKOFF.max_pause


def test_further_range_shortens_no_pause() -> None:
    entries = queue(missing(first=5, last=6))
    fail(entries, 0)
    entries.add(missing(first=9, last=9))
    assert entries.wait(0) == ATTEMPT_BACKOFF.first
    assert taken(entries, ATTEMPT_BACKOFF.first) == missing(first=5, last=9)


def test_series_that_does_not_fail_is_never_behind_one_that_does() -> None:
    entries = queue(missing(MINUTES, is_wanted=True), missing(MONTHS))
    fail(entries, 0)
    assert [taken(entries, 100), taken(entries, 100)] == [
        missing(MONTHS),
        missing(MINUTES, is_wanted=True),
    ]


def test_success_makes_the_next_failure_the_first_again() -> None:
    entries = queue(missing(first=5, last=6))
    fail(entries, 0)
    taken(entries, 100)
    entries.settle(MINUTES, 6)
    entries.add(missing(first=7, last=8))
    fail(entries, 100)
    assert entries.wait(100) == ATTEMPT_BACKOFF.first


def test_failing_series_leave_room_for_the_others() -> None:
    failing = [Series(f"S{number}", Interval.MINUTE_1) for number in range(30)]
    entries = queue(*map(missing, failing))
    for _ in failing:
        fail(entries, 0)
    begun = order_at(entries, 5)
    assert len(begun) == MAX_FAILING_AT_ONCE
    assert entries.wait(5) is None
    entries.add(missing(MONTHS))
    assert taken(entries, 5) == missing(MONTHS)
    entries.settle(begun[0], None)
    assert taken(entries, 5) is not None


def order_at(entries: BackfillQueue, now: float) -> list[Series]:
    found = []
    while (entry := taken(entries, now)) is not None:
        found.append(entry.series)
    return found


def test_requests_for_one_series_have_a_ceiling_an_hour() -> None:
    """However often it is asked for, and whether the range is kept or given up."""
    entries, now = BackfillQueue(), 0.0
    tries = []
    while now < 5 * HOUR:
        entries.add(missing(first=5, last=int(now)))
        found = entries.take(now)
        if found is not None:
            tries.append(now)
            if len(tries) % 2:
                entries.give_up(MINUTES, now)
            else:
                entries.postpone(found.missing, now, chance=0.0)
        now += 1.0
    for begin in tries:
        assert sum(begin <= at < begin + HOUR for at in tries) <= MAX_FRUITLESS
    assert max(b - a for a, b in pairwise(tries)) <= HOUR
    assert len(tries) >= 5


class QueueModel(RuleBasedStateMachine):
    """Whatever is asked for is read, or waits still; the model keeps single open times."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = BackfillQueue()
        self.now = 0.0
        self.waiting: set[Series] = set()
        self.pausing: dict[Series, float] = {}
        self.failed: set[Series] = set()
        self.tries: dict[Series, int] = {}
        self.wanted: dict[Series, set[int]] = {}
        self.under_way: dict[Series, CandlesMissing] = {}

    series = st.sampled_from([MINUTES, HOURS, MONTHS])

    @staticmethod
    def covered(entry: CandlesMissing) -> set[int]:
        """Of the open times 0 to 29, which is now."""
        return set(range(entry.first or 0, (29 if entry.last is None else entry.last) + 1))

    @rule(series=series, first=st.none() | st.integers(0, 29), length=st.none() | st.integers(0, 9))
    def add(self, series: Series, first: int | None, length: int | None) -> None:
        last = None if first is None or length is None else min(first + length, 29)
        entry = missing(series, first, last, as_of=first or 0)
        self.wanted.setdefault(series, set()).update(self.covered(entry))
        self.waiting.add(series)
        self.queue.add(entry)

    @rule(seconds=st.sampled_from([0.1, 30.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    def free(self) -> set[Series]:
        return {
            series
            for series in self.waiting - set(self.under_way)
            if self.pausing.get(series, 0.0) <= self.now
        }

    @rule()
    def take(self) -> None:
        found = self.queue.take(self.now)
        free = self.free()
        if found is None:
            assert not free
            return
        entry = found.missing
        assert entry.series in free
        assert entry.series not in self.failed or free <= self.failed
        assert self.covered(entry) >= self.wanted[entry.series]
        self.wanted[entry.series] = set()
        self.waiting.remove(entry.series)
        self.under_way[entry.series] = entry

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), brought=st.booleans())
    def settle(self, data: st.DataObject, brought: bool) -> None:
        series = data.draw(st.sampled_from(sorted(self.under_way, key=str)))
        entry = self.under_way.pop(series)
        reached = max(self.covered(entry), default=None) if brought else None
        self.queue.settle(series, reached)
        if reached is not None:
            self.failed.discard(series)
            self.tries.pop(series, None)
            self.pausing.pop(series, None)
        if reached is not None and entry.first is None:
            # The whole history is there: only what came after it may still be missing.
            self.wanted[series] &= set(range(reached, 30))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), is_kept=st.booleans())
    def fail(self, data: st.DataObject, is_kept: bool) -> None:
        series = data.draw(st.sampled_from(sorted(self.under_way, key=str)))
        entry = self.under_way.pop(series)
        self.failed.add(series)
        self.pausing.pop(series, None)
        if is_kept:
            self.queue.postpone(entry, self.now, chance=1.0)
            self.tries[series] = self.tries.get(series, 0) + 1
            self.pausing[series] = self.now + ATTEMPT_BACKOFF.pause(self.tries[series], 1.0)
            self.wanted[series].update(self.covered(entry))
            self.waiting.add(series)
        else:
            self.tries[series] = self.tries.get(series, 0) + 1
            self.queue.give_up(series, self.now)

    @invariant()
    def nothing_grows(self) -> None:
        assert len(self.queue) == len(self.waiting) + len(self.under_way) <= 2 * 3

    @invariant()
    def wait_is_true(self) -> None:
        wait = self.queue.wait(self.now)
        assert (wait == 0.0) == bool(self.free())


QueueModel.TestCase.settings = settings(max_examples=50, stateful_step_count=20)
TestQueue = QueueModel.TestCase
