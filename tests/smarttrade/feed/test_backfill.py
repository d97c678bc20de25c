"""The backfill actor beside a store that only writes down what it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import trio
from trio.testing import MockClock

from smarttrade.feed.backfill import (
    CHECK_OVERDUE_INTERVAL,
    MAX_ATTEMPTS,
    STREAM_FIRST,
)
from smarttrade.feed.backfill_queue import ATTEMPT_BACKOFF
from smarttrade.feed.rest import MAX_KLINES
from smarttrade.market.candle import Candle
from smarttrade.store.events import CandlesMissing
from smarttrade.store.messages import (
    CheckOverdue,
    FindMissing,
    HistoryRefused,
)
from tests.fakes.exchange_rest import LONG_AFTER, RestExchange
from tests.smarttrade.feed.backfills import (
    BTC,
    ETH,
    MINUTE,
    NEW,
    backfilling,
    minutes,
    open_times,
)


def read(exchange: RestExchange) -> list[Candle]:
    """The history of BTC as the client returns it."""
    return [candle._replace(event_time=LONG_AFTER) for candle in exchange.history[BTC]]


async def test_without_a_stream_the_store_is_asked_what_every_series_lacks(
    autojump_clock: MockClock,
) -> None:
    async with backfilling(RestExchange(), BTC, ETH) as asking:
        await trio.sleep(STREAM_FIRST - 0.01)
        assert asking.store.searches == []
        await trio.sleep(0.02)
    assert asking.store.searches == [FindMissing((BTC, ETH), skip_restored=True)]


async def test_what_the_stream_asked_for_is_not_asked_for_again(
    autojump_clock: MockClock,
) -> None:
    exchange = RestExchange()
    for series in (BTC, ETH, NEW):
        exchange.have(series, 0, 20 * MINUTE)
    exchange.latency = 0.9
    async with backfilling(exchange, BTC, ETH, NEW) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, None, None, 0))
        await trio.sleep(0.5)
        await asking.gaps.tell(CandlesMissing(ETH, None, None, 0))  # still being read then
        await trio.sleep(STREAM_FIRST - 0.5 + 0.01)
    assert asking.store.searches == [FindMissing((NEW,), skip_restored=True)]


async def test_when_the_stream_asked_for_everything_nothing_is_left_to_ask(
    autojump_clock: MockClock,
) -> None:
    exchange = RestExchange()
    exchange.have(BTC, 0, 20 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, None, None, 0))
        await trio.sleep(10)
    assert asking.store.searches == []


async def test_store_is_sent_check_overdue_every_second(autojump_clock: MockClock) -> None:
    async with backfilling(RestExchange(), BTC) as asking:
        await trio.sleep(3.5)
    assert asking.store.times(CheckOverdue) == [CHECK_OVERDUE_INTERVAL * n for n in (1, 2, 3)]


async def test_whole_history_is_one_request_for_the_newest(autojump_clock: MockClock) -> None:
    exchange = RestExchange()
    exchange.have(BTC, 0, 1499 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, None, None, 0))
        await trio.sleep(10)
    [asked] = exchange.requests
    assert (asked.range, asked.parameters["limit"]) == ((None, None), str(MAX_KLINES))
    [put] = asking.store.history
    assert (put.series, put.first) == (BTC, None)
    assert put.rows == read(exchange)[-1000:]
    assert asking.progress == [(1, 1)]


async def test_exactly_what_is_missing_is_asked_for(autojump_clock: MockClock) -> None:
    exchange = RestExchange()
    exchange.have(BTC, 0, 20 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 5 * MINUTE, 9 * MINUTE, as_of=LONG_AFTER + 77))
        await trio.sleep(10)
    [asked] = exchange.requests
    assert (asked.range, asked.parameters["limit"]) == (
        (5 * MINUTE, 9 * MINUTE),
        str(MAX_KLINES),
    )
    [put] = asking.store.history
    assert (put.first, open_times(put.rows)) == (5 * MINUTE, minutes(5, 9))
    assert {row.event_time for row in put.rows} == {LONG_AFTER + 77}
    assert asking.progress == []  # it had its history


async def test_up_to_now(autojump_clock: MockClock) -> None:
    exchange = RestExchange()
    exchange.have(BTC, 0, 20 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 18 * MINUTE, None, 0))
        await trio.sleep(10)
    [asked] = exchange.requests
    assert asked.range == (18 * MINUTE, None)
    [put] = asking.store.history
    assert open_times(put.rows) == minutes(18, 20)


async def test_nothing_new_is_asked_for_once(autojump_clock: MockClock) -> None:
    exchange = RestExchange()
    exchange.have(BTC, 0, 20 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 21 * MINUTE, None, 0))
        await trio.sleep(60)
    assert len(exchange.requests) == 1
    assert [put.rows for put in asking.store.history] == [[]]


async def test_outage_that_is_longer_than_a_window_costs_one_request(
    autojump_clock: MockClock,
) -> None:
    exchange = RestExchange()
    exchange.have(BTC, 0, 2600 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 100 * MINUTE, 2600 * MINUTE, 0))
        await trio.sleep(1)
    assert [asked.range for asked in exchange.requests] == [(None, 2600 * MINUTE)]
    [put] = asking.store.history
    assert (put.first, open_times(put.rows)) == (None, minutes(1601, 2600))


async def test_outage_of_unknown_length_costs_two_requests(autojump_clock: MockClock) -> None:
    """The first page shows that there is more; then the newest fill the window."""
    exchange = RestExchange()
    exchange.have(BTC, 0, 2600 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 100 * MINUTE, None, 0))
        await trio.sleep(1)
    assert [asked.range for asked in exchange.requests] == [(100 * MINUTE, None), (None, None)]
    [put] = asking.store.history
    assert (put.first, open_times(put.rows)) == (None, minutes(1601, 2600))


async def test_outage_of_a_little_more_than_a_window_loses_nothing(
    autojump_clock: MockClock,
) -> None:
    exchange = RestExchange()
    exchange.have(BTC, 0, 1300 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 100 * MINUTE, None, 0))
        await trio.sleep(1)
    assert [asked.range for asked in exchange.requests] == [(100 * MINUTE, None), (None, None)]
    assert [put.first for put in asking.store.history] == [100 * MINUTE, None]
    merged = {row.open_time: row for put in asking.store.history for row in put.rows}
    assert list(merged.values()) == read(exchange)[100:]


async def test_outage_of_exactly_one_page(autojump_clock: MockClock) -> None:
    exchange = RestExchange()
    exchange.have(BTC, 0, 999 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 0, 999 * MINUTE, 0))
        await trio.sleep(60)
        assert [asked.range for asked in exchange.requests] == [(0, 999 * MINUTE)]
        await asking.gaps.tell(CandlesMissing(BTC, 0, None, 0))
        await trio.sleep(60)
    assert [asked.range for asked in exchange.requests[1:]] == [(0, None), (None, None)]


async def test_hole_of_the_exchange_is_asked_for_once(autojump_clock: MockClock) -> None:
    """On 2023-03-24 the exchange stopped at 12:39 and went on at 14:00: asking must not loop."""
    exchange = RestExchange()
    exchange.have(BTC, 0, 100 * MINUTE)
    del exchange.history[BTC][20:100]
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 20 * MINUTE, 100 * MINUTE, 0))
        await trio.sleep(60)
    assert len(exchange.requests) == 1
    [put] = asking.store.history
    assert (put.first, open_times(put.rows)) == (20 * MINUTE, [100 * MINUTE])


async def test_history_that_lags_behind_the_stream_is_asked_again(
    autojump_clock: MockClock,
) -> None:
    """With growing pauses, and for no more than what it still lacks."""
    exchange = RestExchange()
    exchange.have(BTC, 0, 8 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 5 * MINUTE, 9 * MINUTE, 0))
        await trio.sleep(5)
        lagging = len(exchange.requests)
        exchange.have(BTC, 0, 9 * MINUTE)
        await trio.sleep(60)
    assert len(exchange.requests) == lagging + 1
    assert exchange.requests[0].range == (5 * MINUTE, 9 * MINUTE)
    assert {asked.range for asked in exchange.requests[1:]} == {(8 * MINUTE, 9 * MINUTE)}
    assert_growing_pauses([asked.at for asked in exchange.requests], exchange.latency)
    assert open_times(asking.store.history[-1].rows) == minutes(8, 9)


def assert_growing_pauses(times: Sequence[float], latency: float) -> None:
    """Each pause between half of its longest and its longest."""
    for number, (one, other) in enumerate(pairwise(times), start=1):
        longest = ATTEMPT_BACKOFF.pause(number, 1.0)
        pause = round(other - one - latency, 6)
        assert longest * (1 - ATTEMPT_BACKOFF.jitter) <= pause <= longest


async def test_history_that_never_lists_a_candle_is_left_to_the_store(
    autojump_clock: MockClock,
) -> None:
    """After some tries and one read on after it; the store asks again, ever later."""
    exchange = RestExchange()
    exchange.have(BTC, 0, 8 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 9 * MINUTE, 9 * MINUTE, 0))
        await trio.sleep(600)
    ranges = [asked.range for asked in exchange.requests]
    assert ranges == [(9 * MINUTE, 9 * MINUTE)] * MAX_ATTEMPTS + [(9 * MINUTE, None)]
    assert asking.store.got(HistoryRefused) == [HistoryRefused(BTC)]


async def test_later_candles_prove_that_history_has_none_of_those_before(
    autojump_clock: MockClock,
) -> None:
    exchange = RestExchange()
    exchange.have(BTC, 0, 100 * MINUTE)
    del exchange.history[BTC][9:100]
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 9 * MINUTE, 50 * MINUTE, 0))
        await trio.sleep(600)
    assert len(exchange.requests) == MAX_ATTEMPTS + 1
    put = asking.store.history[-1]
    assert (put.first, open_times(put.rows)) == (9 * MINUTE, [100 * MINUTE])
    assert asking.store.got(HistoryRefused) == []


async def test_newly_listed_symbol_without_any_candle_has_its_history(
    autojump_clock: MockClock,
) -> None:
    """Nothing is all that there is: otherwise what the stream sends would wait indefinitely."""
    exchange = RestExchange()
    exchange.history[NEW] = []
    async with backfilling(exchange, NEW) as asking:
        await asking.gaps.tell(CandlesMissing(NEW, None, None, 0))
        await trio.sleep(60)
    [put] = asking.store.history
    assert (put.series, put.rows, put.first) == (NEW, [], None)
    assert len(exchange.requests) == 1


async def test_two_reads_of_one_series_follow_each_other(autojump_clock: MockClock) -> None:
    exchange = RestExchange()
    exchange.have(BTC, 0, 20 * MINUTE)
    exchange.latency = 1
    async with backfilling(exchange, BTC) as asking:
        for first in (5, 10, 7):
            await asking.gaps.tell(CandlesMissing(BTC, first * MINUTE, (first + 1) * MINUTE, 0))
            await trio.sleep(0.1)
        await trio.sleep(10)
    assert [(asked.at, asked.range) for asked in exchange.requests] == [
        (0.0, (5 * MINUTE, 6 * MINUTE)),
        (1.0, (7 * MINUTE, 11 * MINUTE)),
    ]
