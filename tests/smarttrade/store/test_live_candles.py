from __future__ import annotations

import pytest

from smarttrade.market.candle import MAX_EVENT_DELAY
from smarttrade.store.events import (
    CandlesMissing,
    CandlesPublished,
    Event,
    Published,
    SubscriptionsOpened,
    WindowReplaced,
)
from smarttrade.store.freshness import (
    BUFFER_TIMEOUT,
)
from smarttrade.store.messages import (
    OpenSubscriptions,
    SubscriptionSpec,
)
from tests.fakes.candles import BTC, ETH, at, candle, rows, states
from tests.smarttrade.store.memory_stores import (
    UNKNOWN,
    new_store,
    page,
    published,
    put,
    ready_store,
)


def questions(events: list[Event]) -> list[CandlesMissing]:
    return [event for event in events if isinstance(event, CandlesMissing)]


# Live candles


def test_updates_are_published_in_order_in_one_event() -> None:
    store = ready_store()
    store.put_history(ETH, rows(0, 3), None, 0.0, 0.0)
    final, following = candle(3), candle(4, closed=False)
    events = store.put_updates([(BTC, final), (ETH, candle(3)), (BTC, following)], 1.0, 7.0)
    assert events == [
        CandlesPublished(
            [
                Published(BTC, final, False),
                Published(ETH, candle(3), False),
                Published(BTC, following, False),
            ]
        )
    ]
    assert store.updated_at == 7.0


def test_update_without_change_is_not_published() -> None:
    store = ready_store()
    store.updated_at = None
    assert put(store, candle(1), candle(3, closed=False, volume=0.0)._replace(event_time=0)) == []
    assert store.updated_at is None


def test_candle_of_no_series_of_ours_is_ignored() -> None:
    store = ready_store()
    assert store.put_updates([(UNKNOWN, candle(4))], 0.0, 0.0) == []
    assert store.put_history(UNKNOWN, rows(0, 3), None, 0.0, 0.0) == []


def test_what_is_missing_is_asked_for_once() -> None:
    store = ready_store()
    received = candle(6, closed=False)
    assert put(store, received) == [CandlesMissing(BTC, at(3), at(6), received.event_time)]
    later = candle(6, closed=False, event=4)
    assert put(store, later, candle(7)) == []
    assert questions(put(store, candle(3))) == [
        CandlesMissing(BTC, at(4), at(6), candle(7).event_time)
    ]


def test_candles_are_published_before_missing_ones_are_requested() -> None:
    store = ready_store()
    events = put(store, candle(3, closed=False, event=9, volume=20.0), candle(5))
    assert [type(event) for event in events] == [CandlesPublished, CandlesMissing]


def test_history_settles_what_was_missing() -> None:
    store = ready_store()
    put(store, candle(6, closed=False))
    events = store.put_history(BTC, rows(3, 6), at(3), 9.0, 0.0)
    received = published(events)
    assert states(each.candle for each in received) == [(3, True), (4, True), (5, True), (6, False)]
    assert not any(each.corrected for each in received)
    assert questions(events) == []
    assert store.updated_at == 9.0


def test_history_that_is_not_enough_is_asked_for_again() -> None:
    """The exchange's database lags behind its stream."""
    store = ready_store()
    put(store, candle(6, closed=False, event=20))
    question = CandlesMissing(BTC, at(3), at(6), candle(6, closed=False, event=20).event_time)
    assert store.put_history(BTC, rows(3, 3), at(3), 0.0, 0.0) == [question]
    assert questions(store.put_history(BTC, rows(3, 5), at(3), 0.0, 0.0)) == [
        CandlesMissing(BTC, at(5), at(6), question.as_of)
    ]


def test_candle_filled_in_later_is_a_correction_ahead_of_updates() -> None:
    store = ready_store()
    put(store, candle(6, closed=False))
    store.check_overdue(0.0, 0.0)
    store.check_overdue(BUFFER_TIMEOUT + 1, 0.0)
    received = published(
        store.put_history(BTC, [*rows(3, 6, closed=True), *rows(7, 7)], at(3), 0.0, 0.0)
    )
    assert states(each.candle for each in received) == [
        (3, True),
        (4, True),
        (5, True),
        (6, True),
        (7, False),
    ]
    assert [each.corrected for each in received] == [True, True, True, False, False]


# The first history


def test_first_history_is_asked_for_from_the_beginning() -> None:
    store = new_store()
    put(store, candle(3, closed=False))
    as_of = candle(3, closed=False).event_time
    assert store.find_missing([BTC, UNKNOWN, ETH]) == [
        CandlesMissing(BTC, None, None, as_of),
        CandlesMissing(ETH, None, None, as_of),
    ]


def test_first_history_is_not_published() -> None:
    store = new_store()
    assert store.put_history(BTC, rows(0, 3), None, 5.0, 0.0) == [WindowReplaced(BTC)]
    assert store.updated_at == 5.0


def test_live_candles_that_waited_for_the_first_history_are_sent_to_earlier_subscribers() -> None:
    """Every update to a subscribed series is pushed, also one that came before history did."""
    store = new_store()
    store.open_subscriptions(OpenSubscriptions("plain", [SubscriptionSpec(BTC)], b""))
    store.open_subscriptions(OpenSubscriptions("waiting", [SubscriptionSpec(BTC, 2)], b""))
    put(store, candle(3, closed=False), candle(3), candle(4, closed=False))
    events = store.put_history(BTC, rows(0, 4), None, 0.0, 0.0)
    kinds = [CandlesPublished, SubscriptionsOpened, WindowReplaced]
    assert [type(event) for event in events] == kinds
    assert states(each.candle for each in published(events)) == [(3, True), (4, False)]
    assert isinstance(events[1], SubscriptionsOpened)
    assert states(events[1].snapshots[0].candles) == [(3, True), (4, False)]


def test_first_history_that_live_candles_do_not_join_is_not_enough() -> None:
    store = new_store()
    put(store, candle(9))
    events = store.put_history(BTC, rows(0, 3), None, 0.0, 0.0)
    assert questions(events) == [CandlesMissing(BTC, at(3), at(9), candle(9).event_time)]


@pytest.mark.parametrize("is_first", [True, False])
def test_event_under_way_does_not_undo_what_history_knew_later(is_first: bool) -> None:
    """Not even if history was asked for long before it came, or before any event was known."""
    store = new_store() if is_first else ready_store(0, 3)
    store.put_updates([(ETH, candle(3, closed=False, event=31))], 0.0, 0.0)
    read = candle(3, closed=False, volume=12.0, from_rest=True)._replace(event_time=0)
    answer = [*rows(0, 2, closed=True), read]
    store.put_history(BTC, answer, None if is_first else at(0), 0.0, 0.0)
    assert put(store, candle(3, closed=False, event=30, volume=11.0)) == []
    assert put(store, candle(3, closed=False, event=32, volume=11.0)) == []
    assert page(store).candles[-1].volume == 12.0
    certainly = candle(3, closed=False, volume=11.0)._replace(
        event_time=at(3) + 32_000 + MAX_EVENT_DELAY
    )
    assert put(store, certainly)
