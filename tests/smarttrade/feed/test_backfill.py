from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import httpx
import pytest
import trio
from trio.testing import MockClock

from actors import Mailbox, Overflow
from smarttrade.binance.venue import BINANCE
from smarttrade.feed.backfill import (
    CHECK_OVERDUE_INTERVAL,
    MAX_ATTEMPTS,
    STREAM_FIRST,
    run_backfill,
)
from smarttrade.feed.backfill_queue import MAX_FRUITLESS, PAUSE
from smarttrade.feed.network import CONNECTIONS
from smarttrade.feed.rest import MAX_KLINES, RestClient
from smarttrade.feed.weight import WeightBudget
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.actor import run_store
from smarttrade.store.events import CandlesMissing, CandlesPublished, HubEvent
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    CheckOverdue,
    FindMissing,
    GetPage,
    HistoryRefused,
    ListSymbols,
    Page,
    PutUpdates,
    StoreMessage,
)
from tests.fakes.exchange_rest import LONG_AFTER, MAIN, SPARE, ReceivedRequest, RestExchange, candle
from tests.fakes.exchange_store import RecordingStore

MINUTE = 60_000
BTC = Series("BTCUSDT", Interval.MINUTE_1)
ETH = Series("ETHUSDT", Interval.MINUTE_1)
NEW = Series("NEWUSDT", Interval.MINUTE_1)
NOW = 1_700_000_000_000 // MINUTE * MINUTE

SYMBOLS = [f"S{number}USDT" for number in range(10)]
INTERVALS = [
    Interval.MINUTE_1,
    Interval.MINUTE_5,
    Interval.MINUTE_15,
    Interval.HOUR_1,
    Interval.HOUR_4,
    Interval.DAY_1,
]
SIXTY = [Series(symbol, interval) for symbol in SYMBOLS for interval in INTERVALS]


def read(exchange: RestExchange) -> list[Candle]:
    """The history of BTC as the client returns it."""
    return [candle._replace(event_time=LONG_AFTER) for candle in exchange.history[BTC]]


def gaps_mailbox(series: int) -> Mailbox[CandlesMissing]:
    return Mailbox[CandlesMissing](
        "gaps", capacity=series, overflow=Overflow.CONFLATE, key=lambda gap: gap.series
    )


@asynccontextmanager
async def client(exchange: RestExchange, ceiling: int = 3000) -> AsyncIterator[RestClient]:
    async with exchange.client() as http:
        with trio.fail_after(24 * 3600):
            rest = RestClient(BINANCE, http, [MAIN, SPARE], WeightBudget(6000, ceiling))
            rest.clock.learn(LONG_AFTER, trio.current_time())
            yield rest


# The actor beside a store that only writes down


@dataclass
class Asking:
    exchange: RestExchange
    store: RecordingStore
    gaps: Mailbox[CandlesMissing]
    rest: RestClient
    progress: list[tuple[int, int]] = field(default_factory=list)


@asynccontextmanager
async def backfilling(exchange: RestExchange, *series: Series) -> AsyncIterator[Asking]:
    store = RecordingStore(series)
    async with client(exchange) as rest, trio.open_nursery() as nursery:
        asking = Asking(exchange, store, gaps_mailbox(len(series)), rest)
        nursery.start_soon(store.run)
        await nursery.start(
            partial(
                run_backfill,
                asking.gaps,
                store.mailbox,
                rest,
                progress=lambda done, total: asking.progress.append((done, total)),
            )
        )
        yield asking
        nursery.cancel_scope.cancel()


def open_times(candles: Sequence[Candle]) -> list[int]:
    return [c.open_time for c in candles]


def minutes(first: int, last: int) -> list[int]:
    return list(range(first * MINUTE, (last + 1) * MINUTE, MINUTE))


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
        longest = PAUSE.pause(number, 1.0)
        pause = round(other - one - latency, 6)
        assert longest * (1 - PAUSE.jitter) <= pause <= longest


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
        await trio.sleep(PAUSE.max_pause + 5)
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
        await trio.sleep(back_at + PAUSE.max_pause + 1)
    assert {put.series for put in asking.store.history} == set(SIXTY)
    assert asking.progress[-1] == (60, 60)
    calm = [asked.at for asked in exchange.requests if 60 <= asked.at < back_at]
    most_a_second = 2 * CONNECTIONS / (PAUSE.max_pause * (1 - PAUSE.jitter))
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


@dataclass
class World:
    exchange: RestExchange
    memory: MemoryStore
    rest: RestClient
    store: Mailbox[StoreMessage]
    gaps: Mailbox[CandlesMissing]
    published: list[tuple[Series, Candle]] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)

    async def listen(self, hub: Mailbox[HubEvent]) -> None:
        async for event in hub:
            if isinstance(event, CandlesPublished):
                self.published += [(p.series, p.candle) for p in event.published]

    async def backfill(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        await run_backfill(
            self.gaps,
            self.store,
            self.rest,
            progress=lambda done, total: self.progress.append((done, total)),
            task_status=task_status,
        )

    async def window(self, series: Series) -> Sequence[Candle]:
        page = await self.store.ask(partial(GetPage, series, 1000, None))
        assert isinstance(page, Page), page
        return page.candles


@asynccontextmanager
async def world(
    exchange: RestExchange,
    symbols: Sequence[str],
    intervals: Sequence[Interval],
    *,
    ceiling: int = 3000,
    gaps: Mailbox[CandlesMissing] | None = None,
) -> AsyncIterator[World]:
    hub = Mailbox[HubEvent]("hub", capacity=64)
    memory = MemoryStore(symbols, intervals)
    async with client(exchange, ceiling) as rest, trio.open_nursery() as nursery:
        world = World(
            exchange,
            memory,
            rest,
            Mailbox[StoreMessage]("store", capacity=8),
            gaps or gaps_mailbox(len(symbols) * len(intervals)),
        )
        nursery.start_soon(world.listen, hub)
        nursery.start_soon(
            partial(run_store, world.store, memory, hub=hub, gaps=world.gaps, wall_clock=float)
        )
        await world.store.tell(ListSymbols(symbols))
        yield world
        nursery.cancel_scope.cancel()


def values(candles: Sequence[Candle]) -> list[tuple[object, ...]]:
    return [c[:7] for c in candles]


async def test_sixty_series_begin_in_parallel_short_intervals_first(
    autojump_clock: MockClock,
) -> None:
    exchange = RestExchange()
    for series in SIXTY:
        exchange.have(series, *around(series.interval, NOW, 1099))
    async with world(exchange, SYMBOLS, INTERVALS) as w, trio.open_nursery() as nursery:
        await nursery.start(w.backfill)
        await trio.sleep(STREAM_FIRST + 0.35)  # three rounds of twenty, of 0.1 s each
        for series in SIXTY:
            assert values(await w.window(series)) == values(exchange.history[series][-1000:])
        nursery.cancel_scope.cancel()
    assert exchange.max_concurrent == CONNECTIONS
    assert len(exchange.requests) == 60
    lengths = [asked.series.interval.typical_length for asked in exchange.requests]
    assert lengths == sorted(lengths)
    assert w.progress == [(done, 60) for done in range(1, 61)]


def around(interval: Interval, now: int, candles: int) -> tuple[int, int]:
    last = interval.floor(now)
    return interval.back(last, candles), last


async def test_beginning_stays_within_the_weight_budget(autojump_clock: MockClock) -> None:
    exchange = RestExchange()
    for series in SIXTY:
        exchange.have(series, *around(series.interval, NOW, 3))
    async with (
        world(exchange, SYMBOLS, INTERVALS, ceiling=50) as w,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(w.backfill)
        await trio.sleep(200)
        nursery.cancel_scope.cancel()
    assert w.progress[-1] == (60, 60)
    assert sum(exchange.weights.values()) == 120
    assert max(exchange.weights.values()) <= 50


async def test_what_the_stream_sent_of_a_new_symbol_is_published(
    autojump_clock: MockClock,
) -> None:
    exchange = RestExchange()
    exchange.history[NEW] = []
    live = Candle(NOW, 1.0, 1.0, 1.0, 1.0, 5.0, False, NOW + 1, False)
    async with (
        world(exchange, ["NEWUSDT"], [Interval.MINUTE_1]) as w,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(w.backfill)
        await trio.sleep(1)
        await w.store.tell(PutUpdates([(NEW, live)]))
        await trio.sleep(1)
        assert await w.window(NEW) == (live,)
        nursery.cancel_scope.cancel()
    assert (NEW, live) in w.published


async def test_minutes_that_history_never_lists_are_settled_by_what_it_lists_later(
    autojump_clock: MockClock,
) -> None:
    """The stream reported minute 10, trading stopped, and history goes on at minute 60 without it.

    What the stream sent stays in its last state, final; the minutes around it are a gap of the
    exchange. Meanwhile the range is asked for less and less often.
    """
    exchange = RestExchange()
    exchange.have(BTC, 0, 8 * MINUTE)
    exchange.history[BTC] = [c._replace(closed=True) for c in exchange.history[BTC]]
    sent = Candle(10 * MINUTE, 1.0, 1.0, 1.0, 1.0, 5.0, False, 10 * MINUTE + 1, False)
    async with (
        world(exchange, ["BTCUSDT"], [Interval.MINUTE_1]) as w,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(w.backfill)
        await trio.sleep(STREAM_FIRST + 1)
        await w.store.tell(PutUpdates([(BTC, sent)]))
        await trio.sleep(1200)
        assert (await w.window(BTC))[-1] == sent
        asked = len(exchange.requests)
        assert asked <= 60
        listed = exchange.history[BTC]
        exchange.have(BTC, 60 * MINUTE, 61 * MINUTE)
        exchange.history[BTC] = [*listed, *exchange.history[BTC]]
        await trio.sleep(301)
        page = await w.store.ask(partial(GetPage, BTC, 1000, None))
        nursery.cancel_scope.cancel()
    assert isinstance(page, Page)
    assert sent._replace(closed=True) in page.candles
    assert [(gap.first // MINUTE, gap.last // MINUTE, gap.cause) for gap in page.gaps] == [
        (9, 9, "exchange"),
        (11, 59, "exchange"),
    ]
    assert (BTC, sent._replace(closed=True)) in w.published


async def test_gap_is_looked_after_until_history_lists_it_although_the_stream_goes_on(
    autojump_clock: MockClock,
) -> None:
    """Ever more seldom: every five minutes in the end."""
    exchange = RestExchange()
    exchange.have(BTC, 0, 8 * MINUTE)
    exchange.history[BTC] = [c._replace(closed=True) for c in exchange.history[BTC]]
    async with (
        world(exchange, ["BTCUSDT"], [Interval.MINUTE_1]) as w,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(w.backfill)
        await trio.sleep(STREAM_FIRST + 1)
        for minute in range(10, 70):
            for second in range(2, 62, 2):
                sent = candle(minute * MINUTE, closed=second == 60)._replace(
                    read=False, event_time=minute * MINUTE + second * 1000
                )
                await w.store.tell(PutUpdates([(BTC, sent)]))
                await trio.sleep(2)
        assert len(exchange.requests) <= 60
        exchange.have(BTC, 0, 70 * MINUTE)
        await trio.sleep(301)
        page = await w.store.ask(partial(GetPage, BTC, 1000, None))
        nursery.cancel_scope.cancel()
    assert isinstance(page, Page)
    assert page.gaps == ()
    assert open_times(page.candles)[:70] == minutes(0, 69)


async def test_crash_forgets_nothing(autojump_clock: MockClock) -> None:
    """Neither what was being read, nor what waited, nor what turned out to be missing meanwhile."""
    exchange = RestExchange()
    for series in SIXTY:
        exchange.have(series, *around(series.interval, NOW, 50))
    crashed_at = STREAM_FIRST + 0.15

    def failing(asked: ReceivedRequest) -> httpx.Response | None:
        if asked.at > STREAM_FIRST and trio.current_time() < 2:
            raise LookupError("a bug")
        return None

    exchange.before = failing
    async with world(exchange, SYMBOLS, INTERVALS) as w:
        with pytest.raises(ExceptionGroup) as raised:
            await w.backfill()
        assert raised.group_contains(LookupError, depth=None)
        assert crashed_at < trio.current_time() < 2
        series = exchange.requests[0].series
        assert len(await w.window(series)) == 51
        # Five candles later, while no backfill runs, the stream goes on.
        for each in SIXTY:
            exchange.have(each, *around(each.interval, NOW + 5 * each.interval.typical_length, 55))
        newest = exchange.history[series][-1]
        live = newest._replace(event_time=newest.open_time + 1, read=False)
        await w.store.tell(PutUpdates([(series, live)]))
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            await nursery.start(w.backfill)
            await trio.sleep(10)
            for each in SIXTY:
                window = await w.window(each)
                assert values(window) == values(exchange.history[each][-len(window) :])
                assert len(window) >= 51
            nursery.cancel_scope.cancel()


async def test_full_mailbox_of_gaps_does_not_hold_up_the_restart(
    autojump_clock: MockClock,
) -> None:
    """The store waits to report a gap; an actor that asks the store first waits indefinitely."""
    exchange = RestExchange()
    for series in SIXTY:
        exchange.have(series, *around(series.interval, NOW, 3))
    gaps = Mailbox[CandlesMissing]("gaps", capacity=1)
    async with world(exchange, SYMBOLS, INTERVALS, gaps=gaps) as w:
        await w.store.tell(FindMissing(SIXTY))
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                await nursery.start(w.backfill)
                await trio.sleep(5)
                assert len([await w.window(series) for series in SIXTY]) == 60
                nursery.cancel_scope.cancel()


def test_candles_of_the_fake_differ() -> None:
    assert candle(0) != candle(MINUTE)


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


async def test_newest_page_that_is_full_and_lags_behind_is_gone_on_from_at_once(
    autojump_clock: MockClock,
) -> None:
    """Only a page that is not full says that the exchange has nothing later yet."""
    exchange = RestExchange()
    exchange.have(BTC, 0, 2599 * MINUTE)
    async with backfilling(exchange, BTC) as asking:
        await asking.gaps.tell(CandlesMissing(BTC, 100 * MINUTE, 2600 * MINUTE, 0))
        await trio.sleep(0.25)
        exchange.have(BTC, 0, 2600 * MINUTE)
        await trio.sleep(60)
    ranges = [(None, 2600 * MINUTE), *2 * [(2599 * MINUTE, 2600 * MINUTE)]]
    assert [asked.range for asked in exchange.requests] == ranges
    times = [asked.at for asked in exchange.requests]
    assert times[1] == pytest.approx(exchange.latency)
    assert times[2] > times[1] + exchange.latency + PAUSE.first / 2
