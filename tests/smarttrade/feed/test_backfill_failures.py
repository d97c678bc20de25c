"""What the backfill actor does while the exchange fails or refuses."""

from __future__ import annotations

import httpx
import trio
from trio.testing import MockClock

from smarttrade.feed.backfill_queue import ATTEMPT_BACKOFF, MAX_FRUITLESS
from smarttrade.feed.network import CONNECTIONS
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.events import CandlesMissing
from smarttrade.store.messages import (
    HistoryRefused,
)
from tests.fakes.exchange_rest import MAIN, SPARE, ReceivedRequest, RestExchange
from tests.smarttrade.feed.backfills import (
    BTC,
    ETH,
    MINUTE,
    SIXTY,
    SYMBOLS,
    backfilling,
)

# The actor beside a store that only writes down


async def test_series_that_fail_do_not_hold_up_the_others(autojump_clock: MockClock) -> None:
    """Klines of four of ten symbols answer 500, for good."""
    exchange = RestExchange()
    for series in SIXTY:
        exchange.have(series, 0, 3 * series.interval.typical_length)
    sick = set(SYMBOLS[:4])
    exchange.before = lambda asked: (
        httpx.Response(500) if asked.parameters["symbol"] in sick else None
    )
    healthy = {series for series in SIXTY if series.symbol not in sick}
    async with backfilling(exchange, *SIXTY) as asking:
        for series in SIXTY:
            await asking.gaps.tell(CandlesMissing(series, None, None, 0))
        await trio.sleep(5)
        assert {put.series for put in asking.store.history} == healthy
        await trio.sleep(3600)
        before = trio.current_time()
        late = Series(SYMBOLS[9], Interval.MINUTE_1)
        await asking.gaps.tell(CandlesMissing(late, MINUTE, None, 0))
        while len(asking.store.history) == len(healthy):
            await trio.sleep(0.1)
        assert trio.current_time() - before <= 1
        exchange.before = lambda _: None
        await trio.sleep(ATTEMPT_BACKOFF.max_pause + 5)
    assert {put.series for put in asking.store.history} == set(SIXTY)
    asked = [a for a in exchange.requests if a.parameters["symbol"] == SYMBOLS[0] and a.at < 3600]
    assert len(asked) <= 2 * 6 * (MAX_FRUITLESS + 1)  # both hosts, six series


async def test_firewall_is_asked_once_in_many_minutes(autojump_clock: MockClock) -> None:
    """Each request would prolong its block; all series follow when it is over."""
    exchange = RestExchange()
    for series in SIXTY:
        exchange.have(series, 0, 3 * series.interval.typical_length)
    over_at = 3600.0
    exchange.before = lambda asked: (
        httpx.Response(403, text="<html>") if asked.at < over_at else None
    )
    async with backfilling(exchange, *SIXTY) as asking:
        for series in SIXTY:
            await asking.gaps.tell(CandlesMissing(series, None, None, 0))
        await trio.sleep(over_at)
        per_host = [sum(a.host in host for a in exchange.requests) for host in (MAIN, SPARE)]
        assert all(number <= CONNECTIONS + 4 for number in per_host)
        later = [a for a in exchange.requests if a.at > 1]
        assert len(later) <= 8
        await trio.sleep(1800 + 10)
    assert {put.series for put in asking.store.history} == set(SIXTY)


async def test_symbol_that_the_exchange_refuses_does_not_stop_the_others(
    autojump_clock: MockClock,
) -> None:
    exchange = RestExchange()
    exchange.have(BTC, 0, 5 * MINUTE)
    async with backfilling(exchange, ETH, BTC) as asking:
        for series in (ETH, BTC):
            await asking.gaps.tell(CandlesMissing(series, None, None, 0))
        await trio.sleep(60)
    assert [put.series for put in asking.store.history] == [BTC]
    assert len(exchange.requests) == 2
    assert asking.progress[-1] == (2, 2)


async def test_exchange_that_is_down_for_minutes(autojump_clock: MockClock) -> None:
    """It is asked again and again, a few times a second at most, and everything comes in the end."""
    exchange = RestExchange()
    for series in SIXTY:
        exchange.have(series, 0, 3 * series.interval.typical_length)
    back_at = 300.0

    def unreachable(asked: ReceivedRequest) -> httpx.Response | None:
        return httpx.Response(503) if asked.at < back_at else None

    exchange.before = unreachable
    async with backfilling(exchange, *SIXTY) as asking:
        for series in SIXTY:
            await asking.gaps.tell(CandlesMissing(series, None, None, 0))
        await trio.sleep(back_at + ATTEMPT_BACKOFF.max_pause + 1)
    assert {put.series for put in asking.store.history} == set(SIXTY)
    assert asking.progress[-1] == (60, 60)
    calm = [asked.at for asked in exchange.requests if 60 <= asked.at < back_at]
    most_a_second = 2 * CONNECTIONS / (ATTEMPT_BACKOFF.max_pause * (1 - ATTEMPT_BACKOFF.jitter))
    assert len(calm) / (back_at - 60) <= most_a_second


async def test_nothing_is_sent_to_an_exchange_that_limits_us(autojump_clock: MockClock) -> None:
    exchange = RestExchange()
    for series in SIXTY:
        exchange.have(series, 0, 3 * series.interval.typical_length)
    busy = httpx.Response(429, headers={"Retry-After": "100"})
    exchange.before = lambda asked: busy if asked.at < 1 else None
    async with backfilling(exchange, *SIXTY) as asking:
        for series in SIXTY:
            await asking.gaps.tell(CandlesMissing(series, None, None, 0))
        await trio.sleep(120)
    early = [asked for asked in exchange.requests if asked.at < 100]
    assert len(early) == CONNECTIONS
    assert {asked.at for asked in early} == {0.0}
    assert len(asking.store.history) == 60


# The actor beside the real store


async def test_newest_page_that_is_refused_after_the_first_leaves_the_first_unused(
    autojump_clock: MockClock,
) -> None:
    """Half of an answer would let the store believe that the rest is there."""

    def refuse_the_newest(asked: ReceivedRequest) -> httpx.Response | None:
        refusal = {"code": -1121, "msg": "Invalid symbol."}
        return httpx.Response(400, json=refusal) if asked.range == (None, None) else None

    exchange = RestExchange()
    exchange.have(BTC, 0, 1300 * MINUTE)
    exchange.before = refuse_the_newest
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 100 * MINUTE, None, 0))
        await trio.sleep(60)
    assert [asked.range for asked in exchange.requests] == [(100 * MINUTE, None), (None, None)]
    assert asking.store.history == []
    assert asking.store.got(HistoryRefused) == [HistoryRefused(BTC)]
