from __future__ import annotations

from itertools import pairwise

from smarttrade.store.events import (
    CandlesMissing,
    FeedChanged,
)
from smarttrade.store.feed import Feed, FeedReport, FeedStatus
from smarttrade.store.freshness import (
    BUFFER_TIMEOUT,
    MAX_OVERDUE_PAUSE,
    NOT_READY_AFTER,
    OVERDUE_AFTER,
)
from smarttrade.store.messages import (
    PageUnavailable,
)
from tests.fakes.candles import BTC, BTC_HOUR, ETH, ETH_HOUR, at, candle, rows, states
from tests.smarttrade.store.memory_stores import new_store, page, published, put, ready_store

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
