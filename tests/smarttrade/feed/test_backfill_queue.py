from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smarttrade.feed.backfill_queue import BackfillQueue
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.events import CandlesMissing

MINUTES = Series("BTCUSDT", Interval.MINUTE_1)
HOURS = Series("BTCUSDT", Interval.HOUR_1)
MONTHS = Series("BTCUSDT", Interval.MONTH_1)


def missing(
    series: Series = MINUTES, first: int | None = None, last: int | None = None, as_of: int = 0
) -> CandlesMissing:
    return CandlesMissing(series, first, last, as_of)


def agenda(*entries: CandlesMissing) -> BackfillQueue:
    agenda = BackfillQueue()
    for entry in entries:
        agenda.add(entry)
    return agenda


def test_short_intervals_come_first() -> None:
    entries = agenda(missing(MONTHS), missing(HOURS), missing(MINUTES))
    taken = [entries.take() for _ in range(4)]
    assert [entry and entry.series for entry in taken] == [MINUTES, HOURS, MONTHS, None]


def test_never_two_at_a_time_for_one_series() -> None:
    entries = agenda(missing(first=5, last=6))
    assert entries.take() == missing(first=5, last=6)
    entries.add(missing(first=7, last=8))
    assert entries.take() is None
    entries.done(MINUTES, 6)
    assert entries.take() == missing(first=7, last=8)


def test_further_wish_widens_the_one_that_waits() -> None:
    for one, other in ((8, 9), (9, 8)):
        entries = agenda(missing(first=5, last=6, as_of=one), missing(first=2, last=3, as_of=other))
        assert entries.take() == missing(first=2, last=6, as_of=9)
        assert len(entries) == 1
    assert agenda(missing(first=5, last=6), missing(first=5)).take() == missing(first=5)
    assert agenda(missing(), missing(first=5, last=6)).take() == missing()


def test_whole_history_that_has_been_read_meanwhile_is_not_read_again() -> None:
    entries = agenda(missing())
    entries.take()
    entries.add(missing())
    entries.done(MINUTES, 60_000)
    assert entries.take() == missing(first=60_000)


def test_whole_history_that_could_not_be_read_is_still_wanted() -> None:
    entries = agenda(missing())
    entries.take()
    entries.add(missing())
    entries.done(MINUTES, None)
    assert entries.take() == missing()


class AgendaModel(RuleBasedStateMachine):
    """Whatever is wished for is read, or wished for still; the model keeps single open times."""

    def __init__(self) -> None:
        super().__init__()
        self.agenda = BackfillQueue()
        self.waiting: set[Series] = set()
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
        self.agenda.add(entry)

    @rule()
    def take(self) -> None:
        entry = self.agenda.take()
        free = self.waiting - set(self.under_way)
        if entry is None:
            assert not free
            return
        assert entry.series in free
        shortest = min(s.interval.typical_length for s in free)
        assert entry.series.interval.typical_length == shortest
        assert self.covered(entry) >= self.wanted[entry.series]
        self.wanted[entry.series] = set()
        self.waiting.remove(entry.series)
        self.under_way[entry.series] = entry

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), brought=st.booleans())
    def done(self, data: st.DataObject, brought: bool) -> None:
        series = data.draw(st.sampled_from(sorted(self.under_way, key=str)))
        entry = self.under_way.pop(series)
        reached = max(self.covered(entry), default=None) if brought else None
        self.agenda.done(series, reached)
        if brought and entry.first is None:
            # The whole history is there: only what came after it may still be missing.
            self.wanted[series] &= set(range(reached or 0, 30))

    @invariant()
    def nothing_grows(self) -> None:
        assert len(self.agenda) == len(self.waiting) + len(self.under_way) <= 2 * 3


AgendaModel.TestCase.settings = settings(max_examples=50, stateful_step_count=20)
TestAgenda = AgendaModel.TestCase


def test_agenda_has_a_series_that_waits_or_is_being_read() -> None:
    entries = agenda(missing(MINUTES), missing(HOURS))
    assert MINUTES in entries
    assert MONTHS not in entries
    entries.take()
    assert MINUTES in entries
    assert HOURS in entries
    entries.add(missing(MINUTES, first=5))
    entries.done(MINUTES, None)
    assert MINUTES in entries
    entries.take()
    entries.done(MINUTES, None)
    assert MINUTES not in entries


def test_certain_range_keeps_its_beginning_whatever_was_read_meanwhile() -> None:
    entries = agenda(missing())
    entries.take()
    entries.add(missing(first=5, last=6))
    entries.done(MINUTES, 60_000)
    assert entries.take() == missing(first=5, last=6)
