"""Whatever comes in, in whatever order and however often: the window's promises.

An `Exchange` is the truth: minutes, some of which do not exist, and the states that each went
through. Hypothesis gives them to the window in any order, and everything it publishes is checked.
"""

from __future__ import annotations

from bisect import bisect_right
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smarttrade.market.candle import Candle
from smarttrade.market.change import Change
from smarttrade.market.interval import Interval
from smarttrade.market.window import Window
from tests.fakes.candles import BASE, MINUTE, at, minutes

MINUTES = 12
SMALL = 5  # candles in a window that is soon full


class Exchange:
    """`trades[m]` says how often minute `m` traded; None means that it does not exist."""

    def __init__(self, trades: list[int | None]) -> None:
        self.states: dict[int, list[Candle]] = {}
        for minute, count in enumerate(trades):
            if count is not None:
                self.states[minute] = [self._state(minute, n) for n in range(1, count + 1)]
        self.minutes = list(self.states)
        self.events = [event for minute in self.minutes for event in self._events(minute)]
        self.times = sorted({event.event_time for event in self.events})
        self.end = at(MINUTES)

    @staticmethod
    def _state(minute: int, trades: int) -> Candle:
        """After so many trades; the exchange reports each 2 s after the one before."""
        time = at(minute) + trades * 2000
        return Candle(at(minute), 1.0, 1.0 + trades, 1.0, 1.0 + trades, trades, False, time)

    def _events(self, minute: int) -> list[Candle]:
        """What the stream sends; nothing at all of a minute without trades."""
        states = self.states[minute]
        if not states:
            return []
        final = states[-1]._replace(closed=True, event_time=at(minute + 1) + 10)
        return [*states, final]

    def final(self, minute: int) -> Candle:
        return self.state_at(minute, self.end)

    def state_at(self, minute: int, time: int) -> Candle:
        times = [state.event_time for state in self.states[minute]]
        count = bisect_right(times, time)
        return self.states[minute][count - 1] if count else self._state(minute, 0)

    def answer(self, first: int, last: int, time: int, as_of: int) -> list[Candle]:
        """What REST answers at `time` about these minutes."""
        there = [m for m in self.minutes if first <= m <= last and at(m) <= time]
        return [
            self.state_at(m, time)._replace(from_rest=True, event_time=as_of, closed=m != there[-1])
            for m in there
        ]


class Watched:
    """A window, a client's view of it, and a check of every promise after every step."""

    def __init__(self, exchange: Exchange, size: int) -> None:
        self.exchange = exchange
        self.size = size
        self.window = Window(Interval.MINUTE_1, size)
        self.view: dict[int, Candle] = {}
        self.closed: set[int] = set()
        self.released = False

    def apply(self, candle: Candle) -> None:
        self._step(lambda: self.window.apply(candle))

    def merge(self, rows: list[Candle], first: int | None) -> None:
        self._step(lambda: self.window.merge(rows, first))

    def begin_anew(self, rows: list[Candle]) -> None:
        """What lies between them and the newest candle would not fit into the window."""
        newest = self.window.newest
        self.released |= newest is not None and newest.open_time < rows[0].open_time
        self.merge(rows, None)

    def release(self) -> None:
        self.released = self.released or self.window.buffered > 0
        self._step(self.window.release)

    def _step(self, act: object) -> None:
        before = list(self.window)
        assert callable(act)
        change: Change = act()
        self._check_order(before, change)
        self._check_nothing_undone(before)
        self._check_view(change)
        if change.missing is not None:
            self._check_missing(change)

    def _check_order(self, before: list[Candle], change: Change) -> None:
        after = minutes(self.window)
        assert after == sorted(set(after))
        assert len(after) <= self.size
        updated = minutes(change.updates)
        assert updated == sorted(set(updated))
        assert minutes(change.corrections) == sorted(set(minutes(change.corrections)))
        if before:
            newest = minutes(before)[-1]
            assert all(minute >= newest for minute in updated)
            assert all(minute < newest for minute in minutes(change.corrections))
        for candle in (*change.updates, *change.corrections):
            assert candle.open_time not in self.closed, "a final state is published once"
            if candle.closed:
                self.closed.add(candle.open_time)
        if not self.released:
            self._check_nothing_skipped(before, change)

    def _check_nothing_skipped(self, before: list[Candle], change: Change) -> None:
        """Each minute that exists, one after the other, and each final before the next."""
        assert not change.corrections or all(
            minute < minutes(before)[0] for minute in minutes(change.corrections)
        )
        last = before[-1] if before else None
        for candle in change.updates:
            if last is not None and candle.open_time > last.open_time:
                assert last.closed
                between = [
                    m for m in self.exchange.minutes if last.open_time < at(m) < candle.open_time
                ]
                assert between == []
            last = candle

    def _check_nothing_undone(self, before: list[Candle]) -> None:
        after = {candle.open_time: candle for candle in self.window}
        if not before:
            return
        newest = self.window.newest
        assert newest is not None
        assert newest.open_time >= before[-1].open_time
        oldest = next(iter(self.window)).open_time
        for was in before:
            if was.open_time < oldest:
                assert len(self.window) == self.size
                continue
            candle = after[was.open_time]
            if was.closed:
                assert candle == was
            else:
                # Volume counts the trades of a state: never fewer than before.
                assert candle.volume >= was.volume
                if not (candle.closed or candle.from_rest or was.from_rest):
                    assert candle.event_time >= was.event_time

    def _check_view(self, change: Change) -> None:
        for candle in (*change.updates, *change.corrections):
            self.view[candle.open_time] = candle
        newest = sorted(self.view)[-self.size :]
        self.view = {open_time: self.view[open_time] for open_time in newest}
        assert list(self.window) == list(self.view.values())

    def _check_missing(self, change: Change) -> None:
        """It is what lacks, and reading exactly that is enough."""
        missing = change.missing
        assert missing is not None
        newest = self.window.newest
        assert newest is not None
        first = missing.first
        if newest.closed:
            assert newest.open_time < first < missing.last
            skipped = [m for m in self.exchange.minutes if newest.open_time < at(m) < first]
            assert skipped == []
        else:
            assert first == newest.open_time < missing.last
        exchange, copy = self.exchange, deepcopy(self.window)
        rows = exchange.answer(
            (first - BASE) // MINUTE, (missing.last - BASE) // MINUTE, exchange.end, exchange.end
        )
        settled = copy.merge(rows, first)
        assert copy.newest is not None
        assert copy.newest.open_time >= missing.last
        assert settled.missing is None or settled.missing.last > missing.last


exchanges = st.lists(
    st.one_of(st.integers(0, 4), st.none()), min_size=MINUTES, max_size=MINUTES
).map(Exchange)

steps = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 60)),
        st.tuples(
            st.just("merge"),
            st.integers(0, MINUTES),
            st.integers(1, MINUTES),
            st.integers(0, MINUTES * 30),
            st.integers(-2, 2),
        ),
    ),
    max_size=40,
)
steps_with_release = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 60)),
        st.tuples(
            st.just("merge"),
            st.integers(0, MINUTES),
            st.integers(1, MINUTES),
            st.integers(0, MINUTES * 30),
            st.integers(-2, 2),
        ),
        st.tuples(st.just("release")),
        st.tuples(st.just("newest"), st.integers(0, MINUTES * 30)),
    ),
    max_size=40,
)

Step = tuple[Any, ...]


def play(watched: Watched, story: list[Step]) -> None:
    events = watched.exchange.events
    for step in story:
        match step:
            case ("event", number) if events:
                watched.apply(events[number % len(events)])
            case ("merge", first, count, moment, lag) if watched.window.newest:
                merge_range(watched, first, count, at(0) + moment * 2000, lag * 2000)
            case ("merge", _, _, moment, _) | ("newest", moment):
                merge_newest(watched, at(0) + moment * 2000)
            case ("release",):
                watched.release()


def merge_range(watched: Watched, first: int, count: int, time: int, lag: int) -> None:
    """Ranges that are asked for begin inside the window, or right behind it."""
    newest = watched.window.newest
    assert newest is not None
    start = min(first, (newest.open_time - BASE) // MINUTE + 1)
    watched.merge(watched.exchange.answer(start, start + count - 1, time, time + lag), at(start))


def merge_newest(watched: Watched, time: int) -> None:
    there = [m for m in watched.exchange.minutes if at(m) <= time][-watched.size :]
    if there:
        watched.begin_anew(watched.exchange.answer(there[0], there[-1], time, time))


def finish(watched: Watched) -> list[Candle]:
    """Read what is still unsettled; returns what must be there in the end."""
    exchange, window = watched.exchange, watched.window
    there = exchange.minutes[-watched.size :]
    if not there:
        return []
    first: int | None = None
    if newest := window.newest:
        first = window.unfilled[0].first if window.unfilled else newest.open_time
    start = there[0] if first is None else (first - BASE) // MINUTE
    watched.merge(exchange.answer(start, there[-1], exchange.end, exchange.end), first)
    assert window.buffered == 0
    return exchange.answer(there[0], there[-1], exchange.end, exchange.end)


@pytest.mark.parametrize("size", [SMALL, 1000])
@given(exchange=exchanges, story=steps_with_release)
def test_any_order_and_repetition_gives_the_same_window(
    size: int, exchange: Exchange, story: list[Step]
) -> None:
    watched = Watched(exchange, size)
    play(watched, story)
    rows = finish(watched)
    window = list(watched.window)
    assert [candle[:6] for candle in window] == [row[:6] for row in rows]
    assert all(candle.closed for candle in window[:-1])
    assert all(gap.cause == "exchange" for gap in watched.window.gaps())
    assert watched.window.unfilled == ()


@pytest.mark.parametrize("size", [SMALL, 1000])
@given(exchange=exchanges, story=steps)
@settings(max_examples=150)
def test_without_release_nothing_is_skipped(
    size: int, exchange: Exchange, story: list[Step]
) -> None:
    """The checks are those of `Watched`: each minute once final, in order, none left out."""
    watched = Watched(exchange, size)
    play(watched, story)
    assert watched.window.unfilled == ()
