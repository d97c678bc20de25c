"""The backfill actor beside the real store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx
import pytest
import trio
from trio.testing import MockClock

from actors import Mailbox
from smarttrade.feed.backfill import (
    STREAM_FIRST,
    run_backfill,
)
from smarttrade.feed.backfill_queue import ATTEMPT_BACKOFF
from smarttrade.feed.network import CONNECTIONS
from smarttrade.feed.rest import RestClient
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.actor import run_store
from smarttrade.store.events import CandlesMissing, CandlesPublished, HubEvent
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    FindMissing,
    GetPage,
    ListSymbols,
    Page,
    PutUpdates,
    StoreMessage,
)
from tests.fakes.exchange_rest import ReceivedRequest, RestExchange, candle
from tests.smarttrade.feed.backfills import (
    BTC,
    INTERVALS,
    MINUTE,
    NEW,
    SIXTY,
    SYMBOLS,
    backfilling,
    client,
    gaps_mailbox,
    minutes,
    open_times,
)

NOW = 1_700_000_000_000 // MINUTE * MINUTE


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
                    from_rest=False, event_time=minute * MINUTE + second * 1000
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
        live = newest._replace(event_time=newest.open_time + 1, from_rest=False)
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
    assert times[2] > times[1] + exchange.latency + ATTEMPT_BACKOFF.first / 2
