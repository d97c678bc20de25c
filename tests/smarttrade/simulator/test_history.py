from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smarttrade.simulator.calendar import DAY, HOUR, MINUTE, SECOND, Interval
from smarttrade.simulator.history import Closure, History, Kline
from smarttrade.simulator.price_series import PriceSeries
from smarttrade.simulator.symbols import DEFAULT_SYMBOLS, describe
from smarttrade.simulator.synthetic import SyntheticMarket

from .clients import every_part, merged

SHORTER = {
    Interval.MINUTE_1: Interval.SECOND_1,
    Interval.MINUTE_3: Interval.MINUTE_1,
    Interval.MINUTE_5: Interval.MINUTE_1,
    Interval.MINUTE_15: Interval.MINUTE_5,
    Interval.MINUTE_30: Interval.MINUTE_15,
    Interval.HOUR_1: Interval.MINUTE_1,
    Interval.HOUR_2: Interval.MINUTE_30,
    Interval.HOUR_4: Interval.HOUR_1,
    Interval.HOUR_6: Interval.HOUR_2,
    Interval.HOUR_8: Interval.HOUR_4,
    Interval.HOUR_12: Interval.HOUR_6,
    Interval.DAY_1: Interval.HOUR_1,
    Interval.DAY_3: Interval.DAY_1,
    Interval.WEEK_1: Interval.DAY_1,
    Interval.MONTH_1: Interval.DAY_1,
}

times = st.integers(1_600_000_000_000, 1_900_000_000_000)
intervals = st.sampled_from(list(Interval))


def prices_of(symbol: str = "BTCUSDT", seed: int = 0, *, sparse: bool = False) -> PriceSeries:
    return PriceSeries(SyntheticMarket(describe(symbol), seed, sparse=sparse))


def history(*closures: Closure) -> History:
    made = History()
    made.add("BTCUSDT", prices_of())
    for closure in closures:
        made.close(closure)
    return made


def kline(where: History, interval: Interval, open_time: int, at: int) -> Kline | None:
    return where.kline("BTCUSDT", interval, open_time, at)


@settings(max_examples=60, deadline=None)
@given(times, st.sampled_from(list(SHORTER)), st.sampled_from(DEFAULT_SYMBOLS))
def test_every_kline_is_made_of_those_of_the_shorter_interval(
    time: int, interval: Interval, symbol: str
) -> None:
    prices = prices_of(symbol)
    start = interval.opening(time)
    parts = every_part(prices, start, interval, SHORTER[interval])
    assert merged(parts) == prices.bar(start, interval.following(start))


@settings(max_examples=60, deadline=None)
@given(times, intervals, st.sampled_from(DEFAULT_SYMBOLS), st.booleans())
def test_a_forming_kline_grows_into_its_final_state(
    time: int, interval: Interval, symbol: str, sparse: bool
) -> None:
    klines = History()
    klines.add(symbol, prices_of(symbol, sparse=sparse))
    start = interval.opening(time)
    now = klines.kline(symbol, interval, start, time)
    later = klines.kline(symbol, interval, start, time + 7 * SECOND)
    final = klines.kline(symbol, interval, start, interval.following(start))
    assert now is not None
    assert later is not None
    assert final is not None
    for before, after in ((now.bar, later.bar), (later.bar, final.bar)):
        assert before.open == after.open
        assert before.high <= after.high
        assert before.low >= after.low
        assert before.volume <= after.volume
        assert before.trades <= after.trades


@settings(max_examples=30, deadline=None)
@given(times, intervals)
def test_the_same_question_has_the_same_answer_whatever_was_asked_before(
    time: int, interval: Interval
) -> None:
    used = history()
    for other in (time - 40 * DAY, time + 3 * HOUR, time - 5 * MINUTE):
        kline(used, Interval.DAY_1, Interval.DAY_1.opening(other), other)
        kline(used, Interval.MINUTE_1, Interval.MINUTE_1.opening(other), other)
    start = interval.opening(time)
    assert kline(used, interval, start, time) == kline(history(), interval, start, time)


@settings(max_examples=30, deadline=None)
@given(times, intervals)
def test_both_directions_find_the_same_klines(time: int, interval: Interval) -> None:
    klines = history()
    first = interval.opening(time)
    for _ in range(9):
        first = interval.preceding(first)
    forwards = list(klines.oldest("BTCUSDT", interval, first, time, time))
    backwards = list(islice(klines.newest("BTCUSDT", interval, time, time), 10))
    assert forwards == backwards[::-1]
    assert len(forwards) == 10


@pytest.mark.parametrize("symbol", [*DEFAULT_SYMBOLS, "PEPEUSDT", "ETHBTC", "X"])
def test_prices_stay_of_the_order_of_the_symbol(symbol: str) -> None:
    usual = describe(symbol)
    ticks = [prices_of(symbol).bar(day * DAY, (day + 1) * DAY) for day in range(18000, 21000, 50)]
    for bar in ticks:
        price = bar.close / 10**usual.price_decimals
        assert usual.price / 6 < price < usual.price * 6
        assert (bar.high - bar.low) / bar.low < 0.5


def test_another_seed_is_another_history() -> None:
    assert prices_of(seed=1).bar(0, DAY) != prices_of(seed=2).bar(0, DAY)


def test_sparse_symbols_have_minutes_without_trades_and_others_have_none() -> None:
    start = 20_000 * DAY
    for sparse in (True, False):
        prices = prices_of(sparse=sparse)
        minutes = [
            prices.bar(time, time + MINUTE) for time in range(start, start + 2 * HOUR, MINUTE)
        ]
        assert any(bar.trades == 0 for bar in minutes) == sparse
        for before, bar in pairwise(minutes):
            if bar.trades == 0:
                assert bar[:5] == (before.close,) * 4 + (0,)


def test_nothing_exists_before_its_time() -> None:
    start = Interval.MINUTE_1.opening(1_785_000_000_000)
    assert kline(history(), Interval.MINUTE_1, start, start - 1) is None
    assert kline(history(), Interval.MINUTE_1, start, start) is not None


def test_the_hole_of_2023_03_24() -> None:
    """The minute ends early, and those until 14:00 exist nowhere; binance.com's own history."""
    stopped, resumed = 1_679_661_581_646, 1_679_666_400_000
    klines = history(Closure(stopped, resumed))
    minute, at = Interval.MINUTE_1, resumed + HOUR
    noon = resumed - 2 * HOUR
    found = list(klines.oldest("BTCUSDT", minute, noon + 38 * MINUTE, resumed + MINUTE, at))
    assert [one.open_time for one in found] == [
        noon + 38 * MINUTE,
        noon + 39 * MINUTE,
        resumed,
        resumed + MINUTE,
    ]
    assert found[1].close_time == stopped
    assert found[1].bar == prices_of().bar(noon + 39 * MINUTE, noon + 39 * MINUTE + 42 * SECOND)
    hours = list(islice(klines.newest("BTCUSDT", Interval.HOUR_1, at, at), 3))
    assert [one.open_time for one in hours] == [resumed + HOUR, resumed, noon]
    assert kline(klines, Interval.HOUR_1, noon + HOUR, at) is None
    four = kline(klines, Interval.HOUR_4, noon, at + DAY)
    assert four is not None
    assert four.close_time == noon + 4 * HOUR - 1
    whole = kline(history(), Interval.HOUR_4, noon, at + DAY)
    assert whole is not None
    assert 0 < four.bar.volume < whole.bar.volume


def test_history_begins_where_the_symbol_was_listed() -> None:
    listed = 20_000 * DAY + 10 * HOUR
    klines = history(Closure(0, listed))
    at = listed + 3 * DAY
    days = list(islice(klines.newest("BTCUSDT", Interval.DAY_1, at, at), 1000))
    assert len(days) == 4
    assert days[-1].open_time == 20_000 * DAY
    assert days[-1].bar == prices_of().bar(listed, 20_001 * DAY)
    assert next(klines.oldest("BTCUSDT", Interval.MINUTE_1, 0, at, at)).open_time == listed


def test_a_symbol_that_stopped_keeps_its_history() -> None:
    stopped = 20_000 * DAY
    klines = history(Closure.forever(stopped, "BTCUSDT"))
    at = stopped + DAY
    newest = next(klines.newest("BTCUSDT", Interval.MINUTE_1, at, at))
    assert newest.open_time == stopped - MINUTE
    assert list(klines.oldest("BTCUSDT", Interval.MINUTE_1, stopped, at, at)) == []


def test_history_may_be_amended() -> None:
    start = 20_000 * DAY
    klines = history()
    before = kline(klines, Interval.MINUTE_1, start, start + HOUR)
    assert before is not None
    amended = before.bar._replace(volume=before.bar.volume + 1)
    klines.amendments["BTCUSDT", Interval.MINUTE_1, start] = amended
    after = kline(klines, Interval.MINUTE_1, start, start + HOUR)
    assert after is not None
    assert after.bar == amended
    assert kline(klines, Interval.MINUTE_1, start, start + SECOND) != after
