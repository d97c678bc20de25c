from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.candle import MAX_EVENT_DELAY, Candle
from smarttrade.market.gaps import Gap
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.store.events import (
    CandlesMissing,
    CandlesPublished,
    Event,
    FeedChanged,
    Published,
    Snapshot,
    SubscriptionsClosed,
    SubscriptionsOpened,
    WindowReplaced,
)
from smarttrade.store.feed import Feed, FeedReport, FeedStatus
from smarttrade.store.freshness import (
    BUFFER_TIMEOUT,
    MAX_OVERDUE_PAUSE,
    NOT_READY_AFTER,
    OVERDUE_AFTER,
)
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    Catalogue,
    CloseSubscriptions,
    OpenSubscriptions,
    Page,
    PageUnavailable,
    SubscriptionSpec,
)
from tests.fakes.candles import BTC, BTC_HOUR, ETH, ETH_HOUR, at, candle, minutes, rows, states

UNKNOWN = Series("DOGEUSDT", Interval.MINUTE_1)


def new_store() -> MemoryStore:
    return MemoryStore(["BTCUSDT", "ETHUSDT"], [Interval.MINUTE_1, Interval.HOUR_1])


def ready_store(first: int = 0, last: int = 3) -> MemoryStore:
    """One that has read BTC's history; the last candle is forming."""
    store = new_store()
    store.put_history(BTC, rows(first, last), None, 0.0, 0.0)
    return store


def put(store: MemoryStore, *candles: Candle, now: float = 0.0, wall: float = 0.0) -> list[Event]:
    return store.put_updates([(BTC, each) for each in candles], now, wall)


def page(store: MemoryStore, limit: int = WINDOW_SIZE, before: int | None = None) -> Page:
    found = store.page(BTC, limit, before)
    assert isinstance(found, Page)
    return found


def published(events: list[Event]) -> list[Published]:
    """The published candles, in order."""
    return [
        each for event in events if isinstance(event, CandlesPublished) for each in event.published
    ]


def questions(events: list[Event]) -> list[CandlesMissing]:
    return [event for event in events if isinstance(event, CandlesMissing)]


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
    store.put_history(BTC, [candle(6, closed=False, volume=0.5, read=True)], at(4), 0.0, 0.0)
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
def test_revision_grows_with_every_change_of_the_page_and_only_then(story: list[PageStep]) -> None:
    store = ready_store(0, 2)
    now, before = 0.0, page(store)
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
        after = page(store)
        grown = after.revision > before.revision
        assert after.revision >= before.revision
        page_before = (before.candles, before.gaps, before.as_of)
        assert grown is ((after.candles, after.gaps, after.as_of) != page_before)
        before = after


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
    read = candle(3, closed=False, volume=12.0, read=True)._replace(event_time=0)
    answer = [*rows(0, 2, closed=True), read]
    store.put_history(BTC, answer, None if is_first else at(0), 0.0, 0.0)
    assert put(store, candle(3, closed=False, event=30, volume=11.0)) == []
    assert put(store, candle(3, closed=False, event=32, volume=11.0)) == []
    assert page(store).candles[-1].volume == 12.0
    certainly = candle(3, closed=False, volume=11.0)._replace(
        event_time=at(3) + 32_000 + MAX_EVENT_DELAY
    )
    assert put(store, certainly)


# Missing, overdue, held for too long


def test_up_to_now_is_asked_for_from_the_first_unsettled_candle() -> None:
    store = ready_store(0, 3)
    assert store.find_missing([BTC]) == [CandlesMissing(BTC, at(3), None, 0)]
    put(store, candle(3))
    assert store.find_missing([BTC]) == [CandlesMissing(BTC, at(4), None, candle(3).event_time)]
    put(store, candle(6))
    store.check_overdue(0.0, 0.0)
    store.check_overdue(BUFFER_TIMEOUT + 1, 0.0)
    assert store.find_missing([BTC]) == [CandlesMissing(BTC, at(4), None, candle(6).event_time)]


def test_quiet_series_is_asked_for_again_with_a_doubling_pause() -> None:
    store = ready_store(0, 3)
    put(store, candle(3), now=100.0)  # at(4) on the exchange's clock
    asked = [now for now in range(100, 500) if store.check_overdue(float(now), 0.0)]
    assert asked[0] == 100 + OVERDUE_AFTER // 1000
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    most = MAX_OVERDUE_PAUSE // 1000
    assert pauses[:7] == [5, 10, 20, 40, most, most, most]


def test_overdue_question_is_for_everything_from_the_first_unsettled_candle() -> None:
    store = ready_store(0, 3)
    received = candle(3, closed=False, event=30, volume=20.0)
    put(store, received, now=0.0)
    assert store.check_overdue(44.9, 0.0) == []
    assert store.check_overdue(45.0, 0.0) == [CandlesMissing(BTC, at(3), None, received.event_time)]


def test_series_that_went_on_is_asked_for_at_once_when_it_is_overdue_again() -> None:
    store = ready_store(0, 3)
    put(store, candle(3), now=0.0)
    asked = [now for now in range(200) if store.check_overdue(float(now), 0.0)]
    assert asked[-1] == 150  # and next at 210
    put(store, candle(4), candle(5), candle(6), now=200.0)  # at(7) on the exchange's clock
    assert store.check_overdue(201.0, 0.0) == []
    assert store.check_overdue(214.0, 0.0) == []
    again = [now for now in range(215, 235) if store.check_overdue(float(now), 0.0)]
    assert again == [215, 220, 230]


def test_nothing_is_overdue_before_the_exchange_time_is_known() -> None:
    store = ready_store(0, 3)
    assert store.check_overdue(1e6, 0.0) == []


def test_series_without_history_is_not_overdue() -> None:
    store = new_store()
    put(store, candle(3), now=0.0)
    assert store.check_overdue(1000.0, 0.0) == []


def test_held_candles_are_published_when_history_does_not_come() -> None:
    store = ready_store(0, 3)
    put(store, candle(3), candle(6), candle(7, closed=False), now=10.0)
    assert published(store.check_overdue(10.0, 0.0)) == []
    assert published(store.check_overdue(10.0 + BUFFER_TIMEOUT, 0.0)) == []
    received = published(store.check_overdue(10.1 + BUFFER_TIMEOUT, 5.0))
    assert states(each.candle for each in received) == [(6, True), (7, False)]
    assert not any(each.corrected for each in received)
    assert store.updated_at == 5.0
    assert published(store.check_overdue(11.0 + BUFFER_TIMEOUT, 0.0)) == []


def test_candles_held_at_the_beginning_of_time_are_released_too() -> None:
    store = ready_store(0, 3)
    put(store, candle(3), candle(6), now=0.0)
    assert [now for now in range(10) if published(store.check_overdue(float(now), 0.0))] == [6]


def test_waiting_starts_over_with_each_candle_that_must_wait() -> None:
    store = ready_store(0, 3)
    put(store, candle(3), candle(5), now=10.0)
    store.check_overdue(10.0, 0.0)
    put(store, candle(4), now=12.0)
    store.check_overdue(13.0, 0.0)
    put(store, candle(7), now=13.5)
    assert published(store.check_overdue(14.0, 0.0)) == []
    assert published(store.check_overdue(16.0, 0.0)) == []
    assert published(store.check_overdue(19.1, 0.0))


def test_waiting_for_the_first_history_does_not_count() -> None:
    """Once it is there, what it did not bring gets its own time to come."""
    store = new_store()
    put(store, candle(9, closed=False), now=0.0)
    for now in range(60):
        store.check_overdue(float(now), 0.0)
    store.put_history(BTC, rows(0, 8), None, 0.0, 0.0)
    assert published(store.check_overdue(60.0, 0.0)) == []
    assert published(store.check_overdue(65.0, 0.0)) == []
    assert published(store.check_overdue(65.1, 0.0))


def test_part_of_the_history_does_not_make_a_series_ready() -> None:
    """The check of a silent stream reads the newest two; the others would never be asked for."""
    store = new_store()
    assert store.put_history(BTC, rows(8, 9), at(8), 0.0, 0.0) == []
    assert store.page(BTC, 1000, None) is PageUnavailable.HISTORY
    assert store.find_missing([BTC]) == [CandlesMissing(BTC, None, None, 0)]
    store.put_history(BTC, rows(0, 9), None, 0.0, 0.0)
    assert len(page(store).candles) == 10


# Overview


def test_overview_names_every_series_and_what_ails_it() -> None:
    store = ready_store(0, 3)
    received = candle(3, closed=False, event=30, volume=20.0)
    put(store, received, now=10.0, wall=77.0)
    seen = store.overview(12.5)
    assert (seen.symbols, seen.intervals) == (store.symbols, store.intervals)
    assert list(seen.not_ready) == [BTC_HOUR, ETH, ETH_HOUR]
    listed = store.symbol_overviews(["BTCUSDT", "NONE", "ETHUSDT"], 12.5)
    assert [each.series for each in listed] == [BTC, BTC_HOUR, ETH, ETH_HOUR]
    assert seen.updated_at == 77.0
    assert seen.feed == FeedStatus(Feed.DOWN, 0.0)
    btc, btc_hour = listed[:2]
    assert (btc.count, btc.newest, btc.age, btc.not_ready_reason) == (4, received, 2.5, None)
    assert (btc_hour.count, btc_hour.newest, btc_hour.age) == (0, None, None)
    assert btc_hour.not_ready_reason == "history not read from the exchange yet"


def test_series_that_lacks_candles_is_in_trouble_until_they_are_there() -> None:
    store = ready_store(0, 3)
    put(store, candle(3), candle(6), now=0.0)
    assert "missing" in (store.symbol_overviews(store.symbols, 0.0)[0].not_ready_reason or "")
    store.check_overdue(0.0, 0.0)
    store.check_overdue(6.0, 0.0)
    assert "missing" in (store.symbol_overviews(store.symbols, 6.0)[0].not_ready_reason or "")
    store.put_history(BTC, rows(4, 6), at(4), 0.0, 0.0)
    assert store.symbol_overviews(store.symbols, 6.0)[0].not_ready_reason is None


def test_series_that_stands_still_is_in_trouble() -> None:
    store = ready_store(0, 3)
    put(store, candle(3), now=0.0)  # at(4)
    fresh_until = NOT_READY_AFTER / 1000
    assert store.symbol_overviews(store.symbols, fresh_until - 0.1)[0].not_ready_reason is None
    assert "ended" in (
        store.symbol_overviews(store.symbols, fresh_until + 0.1)[0].not_ready_reason or ""
    )


def test_feed_status_is_sent_and_kept() -> None:
    store = new_store()
    status = FeedStatus(Feed.LIVE, 12.0)
    assert store.report_feed(FeedReport(status)) == [FeedChanged(status)]
    assert store.overview(0.0).feed == status


# Listing


def test_only_listed_symbols_are_kept_in_the_configured_order() -> None:
    store = MemoryStore(["C", "A", "B"], [Interval.MINUTE_1])
    assert store.catalogue == Catalogue(("C", "A", "B"), (Interval.MINUTE_1,))
    assert not store.is_listed
    store.list_symbols(["B", "C", "D"])
    assert store.is_listed
    assert store.catalogue.symbols == ("C", "B")
    assert [series.symbol for series in store.listed] == ["C", "B"]
    assert store.page(Series("A", Interval.MINUTE_1), 1, None) is PageUnavailable.SYMBOL


def test_listing_keeps_what_is_known_of_the_others() -> None:
    store = ready_store(0, 3)
    store.list_symbols(["BTCUSDT"])
    assert len(page(store).candles) == 4
    assert store.put_updates([(ETH, candle(4))], 0.0, 0.0) == []
    assert store.overview(0.0).series_count == 2


# Subscribers


def opened(
    store: MemoryStore, *wanted: SubscriptionSpec, subscriber: str = "client"
) -> SubscriptionsOpened[Any]:
    event, *_ = store.open_subscriptions(OpenSubscriptions(subscriber, wanted, b"ack"))
    assert isinstance(event, SubscriptionsOpened)
    assert (event.subscriber, event.acknowledgement) == (subscriber, b"ack")
    return event


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

hand_over_steps = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 4)),
        st.tuples(st.just("close"), st.integers(0, 0)),
        st.tuples(st.just("skip"), st.integers(1, 3)),
        st.tuples(st.just("history"), st.integers(0, 6)),
        st.tuples(st.just("pass"), st.integers(1, 7)),
        st.tuples(st.just("open"), st.integers(1, 6)),
        st.tuples(st.just("since"), st.integers(0, 6)),
    ),
    max_size=30,
)


class Audience:
    """Subscribers who do what a client does: replace by open time, in the order of arrival."""

    def __init__(self) -> None:
        self.views: dict[object, dict[int, Candle]] = {}
        self.reach: dict[object, int] = {}

    def hear(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case SubscriptionsOpened(subscriber, _, series, snapshots) if BTC in series:
                    candles = snapshots[0].candles
                    self.views[subscriber] = {each.open_time: each for each in candles}
                    if candles:
                        self.reach[subscriber] = candles[0].open_time
                case CandlesPublished(received):
                    for _, each, corrected in received:
                        for subscriber, view in self.views.items():
                            assert not view or corrected == (each.open_time < max(view))
                            self.reach.setdefault(subscriber, each.open_time)
                            view[each.open_time] = each


@given(hand_over_steps, st.booleans())
def test_snapshot_and_what_follows_make_the_window_whenever_one_subscribes(
    story: list[tuple[str, int]], has_history: bool
) -> None:
    store = ready_store(0, 2) if has_history else new_store()
    audience, now, minute, trades = Audience(), 0.0, 2, 10
    for number, (kind, value) in enumerate(story):
        match kind:
            case "event":
                trades += value
                received = candle(minute, closed=False, event=trades, volume=trades)
                events = put(store, received, now=now)
            case "close":
                events = put(store, candle(minute, volume=trades), now=now)
                minute += 1
            case "skip":
                minute, events = minute + value, []
            case "history":
                newest = None if isinstance(store.page(BTC, 1, None), PageUnavailable) else minute
                first = None if newest is None else at(max(0, minute - value))
                start = 0 if first is None else max(0, minute - value)
                events = store.put_history(BTC, rows(start, minute), first, 0.0, 0.0)
            case "pass":
                now += value
                events = store.check_overdue(now, 0.0)
            case _:
                wanted = (
                    SubscriptionSpec(BTC, value)
                    if kind == "open"
                    else SubscriptionSpec(BTC, since=at(value))
                )
                events = store.open_subscriptions(OpenSubscriptions(number, [wanted], b""))
        audience.hear(events)
        found = store.page(BTC, WINDOW_SIZE, None)
        if isinstance(found, Page):
            for subscriber, view in audience.views.items():
                reach = audience.reach.get(subscriber, at(99))
                there = [each[:7] for each in found.candles if each.open_time >= reach]
                assert [view[t][:7] for t in sorted(view) if t >= reach] == there


def test_page_of_a_series_without_any_candle_is_as_of_no_time() -> None:
    store = new_store()
    store.put_history(BTC, [], None, 0.0, 0.0)
    found = page(store)
    assert (found.candles, found.as_of, found.has_more) == ((), 0, False)
