from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.gaps import Gap
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.store.events import (
    Snapshot,
    SubscriptionsClosed,
    SubscriptionsOpened,
    WindowReplaced,
)
from smarttrade.store.freshness import (
    BUFFER_TIMEOUT,
)
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    CloseSubscriptions,
    OpenSubscriptions,
    PageUnavailable,
    SubscriptionSpec,
)
from tests.fakes.candles import BTC, ETH, at, candle, minutes, rows, states
from tests.smarttrade.store.memory_stores import UNKNOWN, new_store, page, put, ready_store

# Pages


def test_page_has_the_newest_candles() -> None:
    found = page(ready_store(0, 9), 3)
    assert states(found.candles) == [(7, True), (8, True), (9, False)]
    assert found.has_more


def test_page_before_a_time_does_not_include_it() -> None:
    store = ready_store(0, 9)
    assert minutes(page(store, 3, at(7)).candles) == [4, 5, 6]
    assert minutes(page(store, 3, at(7) + 1).candles) == [5, 6, 7]


@pytest.mark.parametrize(
    ("limit", "before", "more"),
    [(9, None, True), (10, None, False), (1000, None, False), (3, 3, False), (2, 3, True)],
)
def test_page_says_whether_there_are_older_ones(limit: int, before: int | None, more: bool) -> None:
    store = ready_store(0, 9)
    assert page(store, limit, None if before is None else at(before)).has_more is more


def test_page_before_everything_is_empty() -> None:
    found = page(ready_store(0, 9), 5, at(0))
    assert (found.candles, found.has_more) == ((), False)


def test_page_is_as_of_the_newest_event() -> None:
    store = ready_store()
    assert page(store).as_of == at(3)
    put(store, candle(3, closed=False, event=30, volume=20.0))
    assert page(store, 1, at(2)).as_of == at(3) + 30_000


def test_page_has_the_gaps() -> None:
    store = ready_store()
    put(store, candle(6))
    store.check_overdue(0.0, 0.0)
    store.check_overdue(BUFFER_TIMEOUT + 1, 0.0)
    assert page(store, 1).gaps == (Gap(at(3), at(5), "unfilled"),)


def test_what_has_no_page_has_a_reason() -> None:
    store = new_store()
    assert store.page(UNKNOWN, 1, None) is PageUnavailable.SYMBOL
    assert store.page(Series("BTCUSDT", Interval.DAY_1), 1, None) is PageUnavailable.INTERVAL
    assert store.page(BTC, 1, None) is PageUnavailable.HISTORY
    put(store, candle(0))
    assert store.page(BTC, 1, None) is PageUnavailable.HISTORY


def test_revision_is_that_of_one_series() -> None:
    store = ready_store()
    store.put_history(ETH, rows(0, 3), None, 0.0, 0.0)
    before = page(store).revision
    store.put_updates([(ETH, candle(3))], 0.0, 0.0)
    assert page(store).revision == before


def test_gap_that_turns_out_to_be_a_hole_is_a_change_of_the_page() -> None:
    store = ready_store()
    put(store, candle(3), candle(6, closed=False))
    store.check_overdue(0.0, 0.0)
    store.check_overdue(BUFFER_TIMEOUT + 1, 0.0)
    before = page(store)
    store.put_history(BTC, [candle(6, closed=False, volume=0.5, from_rest=True)], at(4), 0.0, 0.0)
    after = page(store)
    assert (before.gaps[0].cause, after.gaps[0].cause) == ("unfilled", "exchange")
    assert after.candles == before.candles
    assert after.revision > before.revision


page_steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("event"), st.integers(0, 8), st.booleans(), st.integers(1, 5), st.booleans()
        ),
        st.tuples(st.just("history"), st.integers(0, 8), st.integers(0, 4), st.booleans()),
        st.tuples(st.just("pass"), st.integers(1, 10)),
    ),
    max_size=30,
)
PageStep = tuple[str, int] | tuple[str, int, int, bool] | tuple[str, int, bool, int, bool]


@given(page_steps)
def test_revision_grows_with_every_change_of_the_page(story: list[PageStep]) -> None:
    """And only with one of the candles: those after one that is not final are not in the page."""
    store = ready_store(0, 2)
    now, before, candles_before = 0.0, page(store), store.newest_candles(BTC, WINDOW_SIZE)
    for step in story:
        match step:
            case ("event", minute, closed, trades, _):
                received = candle(minute, closed=bool(closed), event=2 * trades, volume=trades)
                put(store, received, now=now)
            case ("history", first, more, _):
                newest = page(store).candles[-1].open_time
                start = min(at(first), newest + 60_000)
                answer = [
                    each._replace(open_time=start + index * 60_000)
                    for index, each in enumerate(rows(0, more))
                ]
                store.put_history(BTC, answer, start, 0.0, 0.0)
            case ("pass", seconds):
                now += seconds
                store.check_overdue(now, 0.0)
        after, candles = page(store), store.newest_candles(BTC, WINDOW_SIZE)
        assert after.revision >= before.revision
        page_before = before.candles, before.gaps, before.as_of
        is_same = (after.candles, after.gaps, after.as_of) == page_before
        if after.revision == before.revision:
            assert is_same
        elif is_same:
            assert candles != candles_before
        before, candles_before = after, candles


def opened(
    store: MemoryStore, *wanted: SubscriptionSpec, subscriber: str = "client"
) -> SubscriptionsOpened[Any]:
    event, *_ = store.open_subscriptions(OpenSubscriptions(subscriber, wanted, b"ack"))
    assert isinstance(event, SubscriptionsOpened)
    assert (event.subscriber, event.acknowledgement) == (subscriber, b"ack")
    return event


# Subscribers


def test_plain_subscription_is_open_at_once_without_a_snapshot() -> None:
    event = opened(new_store(), SubscriptionSpec(BTC))
    assert (event.series, event.snapshots) == ((BTC,), ())


def test_snapshot_has_the_newest_candles() -> None:
    event = opened(ready_store(0, 9), SubscriptionSpec(BTC, snapshot=3))
    assert event.series == (BTC,)
    (snapshot,) = event.snapshots
    assert states(snapshot.candles) == [(7, True), (8, True), (9, False)]
    assert (snapshot.series, snapshot.truncated) == (BTC, False)


def test_since_has_every_candle_from_there_and_wins_over_snapshot() -> None:
    event = opened(ready_store(0, 9), SubscriptionSpec(BTC, snapshot=1, since=at(7)))
    (snapshot,) = event.snapshots
    assert minutes(snapshot.candles) == [7, 8, 9]
    assert not snapshot.truncated


@pytest.mark.parametrize(
    ("count", "since", "truncated"),
    [
        (WINDOW_SIZE, 0, False),
        (WINDOW_SIZE, -1, True),
        (WINDOW_SIZE, -5000, True),
        (WINDOW_SIZE, 500, False),
        (10, -1, False),  # there never was anything older
    ],
)
def test_since_before_the_window_is_truncated(count: int, since: int, truncated: bool) -> None:
    event = opened(ready_store(0, count - 1), SubscriptionSpec(BTC, since=at(since)))
    assert event.snapshots[0].truncated is truncated
    assert event.snapshots[0].candles[0].open_time == max(at(0), at(since))


def test_since_beyond_the_newest_is_an_empty_snapshot() -> None:
    event = opened(ready_store(0, 3), SubscriptionSpec(BTC, since=at(9)))
    assert event.snapshots == (Snapshot(BTC, (), False),)
    assert event.series == (BTC,)


def test_unknown_series_is_not_opened() -> None:
    event = opened(ready_store(0, 3), SubscriptionSpec(UNKNOWN), SubscriptionSpec(BTC))
    assert event.series == (BTC,)


def test_snapshot_without_history_waits_for_it() -> None:
    store = new_store()
    event = opened(store, SubscriptionSpec(BTC, snapshot=2), SubscriptionSpec(ETH))
    assert (event.series, event.snapshots) == ((ETH,), ())
    put(store, candle(3, closed=False, volume=20.0))
    events = store.put_history(BTC, rows(0, 3), None, 0.0, 0.0)
    (late,) = [event for event in events if isinstance(event, SubscriptionsOpened)]
    assert (late.subscriber, late.acknowledgement, late.series) == ("client", b"", (BTC,))
    assert late.snapshots[0].candles[-1] == candle(3, closed=False, volume=20.0)
    assert len(late.snapshots[0].candles) == 2
    assert store.put_history(BTC, rows(0, 3), at(0), 0.0, 0.0) == []


def test_every_waiting_subscriber_gets_its_own_snapshot() -> None:
    store = new_store()
    opened(store, SubscriptionSpec(BTC, snapshot=1), subscriber="one")
    opened(store, SubscriptionSpec(BTC, since=at(1)), subscriber="two")
    opened(store, SubscriptionSpec(BTC, snapshot=1), subscriber="gone")
    opened(store, SubscriptionSpec(BTC, snapshot=1), subscriber="unsubscribed")
    store.close_subscriptions(CloseSubscriptions("gone"))
    store.close_subscriptions(CloseSubscriptions("unsubscribed", [BTC, UNKNOWN], b"ok"))
    received = {}
    for event in store.put_history(BTC, rows(0, 3), None, 0.0, 0.0)[:-1]:
        assert isinstance(event, SubscriptionsOpened)
        received[event.subscriber] = minutes(event.snapshots[0].candles)
    assert received == {"one": [3], "two": [1, 2, 3]}


def test_closing_some_leaves_the_others_waiting() -> None:
    store = new_store()
    opened(store, SubscriptionSpec(BTC, snapshot=1), SubscriptionSpec(ETH, snapshot=1))
    store.close_subscriptions(CloseSubscriptions("client", [ETH]))
    assert store.put_history(ETH, rows(0, 3), None, 0.0, 0.0) == [WindowReplaced(ETH)]
    assert len(store.put_history(BTC, rows(0, 3), None, 0.0, 0.0)) == 2


def test_closing_is_passed_on() -> None:
    store = new_store()
    assert store.close_subscriptions(CloseSubscriptions("client", [BTC], b"ok")) == [
        SubscriptionsClosed("client", (BTC,), b"ok")
    ]
    assert store.close_subscriptions(CloseSubscriptions("client")) == [
        SubscriptionsClosed("client", None, b"")
    ]


# The hand-over, whenever it happens


def test_page_of_a_series_without_any_candle_is_as_of_no_time() -> None:
    store = new_store()
    store.put_history(BTC, [], None, 0.0, 0.0)
    found = page(store)
    assert (found.candles, found.as_of, found.has_more) == ((), 0, False)
