"""What a series' freshness is judged by, and what is asked for again when it was refused."""

from __future__ import annotations

from collections.abc import Sequence

from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.market.window_state import WindowState
from smarttrade.store.events import CandlesMissing, Event
from smarttrade.store.freshness import (
    BUFFER_TIMEOUT,
    CONFIRM_TIMEOUT,
    CONFIRMED_FOR,
    LAGGING_AFTER,
    MAX_REFUSED_PAUSE,
    NOT_READY_AFTER,
    REFUSED_PAUSE,
)
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import Page, SeriesOverview
from tests.fakes.candles import BTC, ETH, at, candle, minutes, rows, states

BTC_5M = Series("BTCUSDT", Interval.MINUTE_5)


def questions(events: list[Event]) -> list[CandlesMissing]:
    return [event for event in events if isinstance(event, CandlesMissing)]


def overview(store: MemoryStore, now: float, series: Series = BTC) -> SeriesOverview:
    found = store.symbol_overviews([series.symbol], now)
    return next(each for each in found if each.series == series)


def held(store: MemoryStore) -> Sequence[Candle]:
    page = store.page(BTC, 1000, None)
    assert isinstance(page, Page)
    return page.candles


def live(minute: int, second: int, close: float, volume: float = 1.0) -> Candle:
    return candle(minute, closed=False, close=close, volume=volume, event=second)


# A stream that says nothing although there are trades


def pair() -> MemoryStore:
    """BTC at 1m and 5m, both updated 2 s after minute 5 began."""
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1, Interval.MINUTE_5])
    for series in (BTC, BTC_5M):
        store.put_history(series, [live(5, 0, 100.0)], None, 0.0, 0.0)
        store.put_updates([(series, live(5, 2, 100.0))], 2.0, 0.0)
    return store


def not_ready_seconds(store: MemoryStore, until: int, close: float, begin: int = 4) -> list[int]:
    """When 5m is not ready while only 1m is updated."""
    found = []
    for now in range(begin, until, 2):
        store.put_updates([(BTC, live(5, now, close, volume=float(now)))], float(now), 0.0)
        store.check_overdue(now + 0.5, 0.0)
        if overview(store, now + 0.5, BTC_5M).not_ready_reason:
            found.append(now)
    return found


def test_series_that_lacks_a_price_of_its_symbol_is_not_ready_after_a_while() -> None:
    store = pair()
    found = not_ready_seconds(store, 40, close=101.0)
    assert found[0] == 4 + LAGGING_AFTER + 2
    assert found[-1] == 38
    assert overview(store, 39.0, BTC).not_ready_reason is None


def test_series_is_ready_again_when_it_is_updated() -> None:
    store = pair()
    not_ready_seconds(store, 40, close=101.0)
    store.put_updates([(BTC_5M, live(5, 39, 101.0, volume=50.0))], 39.0, 0.0)
    assert overview(store, 39.5, BTC_5M).not_ready_reason is None


def test_rest_read_counts_as_an_update() -> None:
    store = pair()
    not_ready_seconds(store, 30, close=101.0)
    row = live(5, 0, 101.0, volume=50.0)._replace(from_rest=True)
    store.put_history(BTC_5M, [row], at(5), 0.0, 30.0)
    after = overview(store, 33.0, BTC_5M)
    assert after.not_ready_reason is None
    assert after.age == 3.0


def test_series_of_a_symbol_without_trades_is_ready() -> None:
    """The minutes go on without a trade, and a longer interval says nothing of that."""
    store = pair()
    for minute in range(5, 9):
        close = candle(minute, volume=1.0 if minute == 5 else 0.0)
        store.put_updates([(BTC, close)], minute * 60.0, 0.0)
        store.put_updates([(BTC, live(minute + 1, 1, 100.0, volume=0.0))], minute * 60.0, 0.0)
        for second in (1.0, 30.0, 59.0):
            store.check_overdue(minute * 60.0 + second, 0.0)
            assert overview(store, minute * 60.0 + second, BTC_5M).not_ready_reason is None


def test_trade_at_the_same_price_in_a_later_candle_counts() -> None:
    store = pair()
    store.put_updates([(BTC, candle(5, volume=1.0))], 60.0, 0.0)
    store.put_updates([(BTC, live(6, 10, 100.0, volume=3.0))], 70.0, 0.0)
    store.check_overdue(70.5, 0.0)
    store.check_overdue(70.5 + LAGGING_AFTER + 1, 0.0)
    assert overview(store, 70.5 + LAGGING_AFTER + 1, BTC_5M).not_ready_reason


# A series without trades


def standing_still() -> tuple[MemoryStore, float]:
    """One whose newest candle ended, and the time at which it is no longer ready."""
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.put_history(BTC, rows(0, 3), None, 0.0, 0.0)
    store.put_updates([(BTC, candle(3, closed=False, event=2, volume=20.0))], 2.0, 0.0)
    overdue = 60.0 + NOT_READY_AFTER / 1000 + 1
    assert overview(store, overdue).not_ready_reason
    return store, overdue


def test_exchange_that_has_nothing_later_either_makes_it_fresh() -> None:
    store, now = standing_still()
    store.put_history(BTC, [rows(3, 3)[0]], at(3), 0.0, now)
    assert overview(store, now).not_ready_reason is None
    assert overview(store, now + CONFIRMED_FOR / 1000 - 1).not_ready_reason is None
    assert overview(store, now + CONFIRMED_FOR / 1000 + 1).not_ready_reason


def test_read_from_before_its_end_proves_nothing() -> None:
    store, now = standing_still()
    store.put_history(BTC, [rows(3, 3)[0]], at(3), 0.0, 50.0)
    assert overview(store, now).not_ready_reason


def test_nothing_after_a_closed_candle_is_an_answer_too() -> None:
    store, now = standing_still()
    store.put_updates([(BTC, candle(3))], 60.0, 0.0)
    assert overview(store, now + 60).not_ready_reason
    store.put_history(BTC, [], at(4), 0.0, now + 60)
    assert overview(store, now + 60).not_ready_reason is None
    assert overview(store, now + 61).age == 1.0


def test_read_of_the_past_says_nothing_about_now() -> None:
    store, now = standing_still()
    store.put_history(BTC, rows(1, 2), at(1), 0.0, now)
    assert overview(store, now).not_ready_reason


# What the exchange did not give


def test_refused_history_is_asked_for_again_ever_later() -> None:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    assert questions(store.find_missing([BTC])) == [CandlesMissing(BTC, None, None, 0)]
    asked = []
    store.history_refused(BTC, 0.0)
    for now in range(1, 2000):
        if questions(store.check_overdue(float(now), 0.0)):
            asked.append(now)
            store.history_refused(BTC, float(now))
    pauses = [later - earlier for earlier, later in zip([0, *asked], asked, strict=False)]
    assert pauses[:3] == [REFUSED_PAUSE + 1, 2 * REFUSED_PAUSE + 1, 4 * REFUSED_PAUSE + 1]
    assert pauses[-1] == MAX_REFUSED_PAUSE + 1


def test_nothing_is_asked_for_again_while_an_answer_is_on_its_way() -> None:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.find_missing([BTC])
    assert all(not questions(store.check_overdue(float(now), 0.0)) for now in range(1000))


def test_empty_history_is_requested_again_and_put_before_the_updates() -> None:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.put_history(BTC, [], None, 0.0, 0.0)
    store.put_updates([(BTC, candle(3, closed=False, volume=1.0))], 1.0, 0.0)
    assert states(held(store)) == [(3, False)]
    [question] = questions(store.check_overdue(REFUSED_PAUSE + 1, 0.0))
    assert question.first is None
    store.put_history(BTC, rows(0, 3), None, 0.0, 7.0)
    assert states(held(store)) == [(0, True), (1, True), (2, True), (3, False)]
    assert all(not questions(store.check_overdue(7.0 + now, 0.0)) for now in range(50))


def test_range_that_was_published_over_and_refused_is_asked_for_again() -> None:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.put_history(BTC, rows(0, 3), None, 0.0, 0.0)
    [question] = questions(store.put_updates([(BTC, live(6, 1, 100.0))], 0.0, 0.0))
    assert question.first == at(3)
    store.history_refused(BTC, 0.0)
    store.check_overdue(0.1, 0.0)
    [again] = questions(store.check_overdue(0.2 + max(BUFFER_TIMEOUT, REFUSED_PAUSE), 0.0))
    assert (again.first, again.last) == (at(3), None)
    store.put_history(BTC, rows(3, 6), at(3), 0.0, 8.0)
    assert overview(store, 8.0).not_ready_reason is None
    assert minutes(held(store)) == [0, 1, 2, 3, 4, 5, 6]


def test_refusal_of_a_series_that_is_not_ours_is_ignored() -> None:
    assert MemoryStore(["BTCUSDT"], [Interval.MINUTE_1]).history_refused(ETH, 0.0) == []


def test_what_was_refused_is_asked_for_once_and_its_answer_is_waited_for() -> None:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.history_refused(BTC, 0.0)
    assert not questions(store.check_overdue(REFUSED_PAUSE, 0.0))
    assert questions(store.check_overdue(REFUSED_PAUSE + 0.5, 0.0))
    assert not questions(store.check_overdue(REFUSED_PAUSE + 1.0, 0.0))


def test_what_follows_stored_candles_is_requested_without_an_update_of_the_stream() -> None:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    stored = WindowState(tuple(map(candle, range(WINDOW_SIZE))))
    store.restore([(BTC, stored)], ["BTCUSDT"], 0.0, 0.0)
    assert not questions(store.check_overdue(CONFIRM_TIMEOUT, 0.0))
    [question] = questions(store.check_overdue(CONFIRM_TIMEOUT + 0.5, 0.0))
    assert question.first == at(WINDOW_SIZE)
    assert not questions(store.check_overdue(CONFIRM_TIMEOUT + 1.0, 0.0))
    assert questions(store.check_overdue(2 * CONFIRM_TIMEOUT + 1.0, 0.0))


def test_stored_candles_are_confirmed_by_what_the_leader_publishes_next() -> None:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.restore([(BTC, WindowState((candle(0), candle(1))))], ["BTCUSDT"], 0.0, 0.0)
    assert overview(store, 1.0).not_ready_reason is not None
    store.follow([], {}, at(2), 1.0, 0.0)
    assert overview(store, 1.0).not_ready_reason is None


# Lagging series, more closely


def not_ready_reason_of_5m(store: MemoryStore, since: float) -> str | None:
    """Whether 5m turns out to be not ready when no update comes any more."""
    store.check_overdue(since, 0.0)
    return overview(store, since + LAGGING_AFTER + 1, BTC_5M).not_ready_reason


def test_series_lags_behind_any_series_of_its_symbol_that_was_updated_later() -> None:
    store = pair()
    store.put_updates([(BTC_5M, live(5, 10, 101.0, volume=9.0))], 10.0, 0.0)
    store.check_overdue(10.5, 0.0)
    after = 10.5 + LAGGING_AFTER + 1
    assert overview(store, after, BTC).not_ready_reason
    assert overview(store, after, BTC_5M).not_ready_reason is None


def test_series_updated_at_one_time_do_not_lag() -> None:
    store = pair()
    update = live(5, 10, 101.0, volume=9.0)
    store.put_updates([(BTC, update), (BTC_5M, update._replace(close=100.0))], 10.0, 0.0)
    assert not_ready_reason_of_5m(store, 10.5) is None


def test_trades_at_the_same_price_in_the_same_candle_prove_nothing() -> None:
    assert not_ready_seconds(pair(), 40, close=100.0) == []


def test_candle_that_began_at_the_last_update_of_the_other_series_may_be_known_to_it() -> None:
    store = pair()
    store.put_updates([(BTC_5M, live(5, 60, 100.0, volume=9.0))], 60.0, 0.0)
    store.put_updates([(BTC, candle(5)), (BTC, live(6, 10, 100.0, volume=3.0))], 70.0, 0.0)
    assert not_ready_reason_of_5m(store, 70.5) is None


def test_smallest_trade_in_a_later_candle_counts() -> None:
    store = pair()
    store.put_updates([(BTC, candle(5)), (BTC, live(6, 10, 100.0, volume=0.001))], 70.0, 0.0)
    assert not_ready_reason_of_5m(store, 70.5)


def test_range_that_history_does_not_list_yet_is_asked_for_until_it_is_settled() -> None:
    """Later candles keep arriving meanwhile, so nothing else is overdue."""
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.put_history(BTC, rows(0, 3), None, 0.0, 0.0)
    store.put_updates([(BTC, live(5, 0, 100.0))], 0.0, 0.0)
    store.check_overdue(0.0, 0.0)
    store.check_overdue(BUFFER_TIMEOUT + 1, 0.0)
    store.put_history(BTC, [], at(3), 0.0, 10.0)
    asked = []
    for now in range(10, 55):
        store.put_updates([(BTC, live(5, now, 100.0, volume=float(now)))], float(now), 0.0)
        if found := questions(store.check_overdue(float(now), 0.0)):
            asked.append((now, found[0].first))
            store.put_history(BTC, [], at(3), 0.0, float(now))
    assert asked == [(12, at(3)), (24, at(3)), (46, at(3))]
    store.put_history(BTC, [candle(3, from_rest=True), live(5, 54, 100.0)], at(3), 0.0, 55.0)
    assert not questions(store.check_overdue(62.0, 0.0))
