"""What a store answers, wherever its candles are kept: memory, Redis over a restart, or a gateway.

Each story is sent to a store. Then the same questions are put to that store itself, to one that
begins with what was stored in Redis, and to one that has followed all along.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from actors import Mailbox
from smarttrade.market.candle import Candle
from smarttrade.market.gaps import Gap
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.store.actor import run_store
from smarttrade.store.database import Database, StoredWindow
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.journal import Journal, run_journal
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    Catalogue,
    CorrectCandles,
    GetCatalogue,
    GetOverview,
    GetPage,
    GetSymbolOverviews,
    ListSymbols,
    Overview,
    Page,
    PageUnavailable,
    PutHistory,
    PutUpdates,
    ReportFeed,
    SeriesOverview,
    StoreMessage,
)
from smarttrade.store.redis_database import RedisDatabase
from smarttrade.store.redis_report import RelayReport
from smarttrade.store.relay import run_relay
from tests.fakes.candles import BTC, ETH, at, candle, rows, rows_at
from tests.fakes.database import BINANCE, VirtualRedis
from tests.fakes.redis_server import binaries

SYMBOLS = ("BTCUSDT", "ETHUSDT")
INTERVALS = (Interval.MINUTE_1,)
SERVERS = ["virtual", *(name for name, _ in binaries()), "cluster", "sentinel"]
KINDS = ["memory", *(f"{kind} {name}" for kind in ("restarted", "gateway") for name in SERVERS)]


class Store:
    def __init__(self) -> None:
        self.memory = MemoryStore(SYMBOLS, INTERVALS)
        self.mailbox = Mailbox[StoreMessage]("store", capacity=100)

    async def page(
        self, series: Series = BTC, limit: int = 1000, before: int | None = None
    ) -> Page | PageUnavailable:
        return await self.mailbox.ask(partial(GetPage, series, limit, before))

    async def candles(self, series: Series = BTC) -> Sequence[Candle]:
        page = await self.page(series)
        assert isinstance(page, Page)
        return page.candles

    async def catalogue(self) -> Catalogue:
        return await self.mailbox.ask(GetCatalogue)

    async def overview(self) -> Overview:
        return await self.mailbox.ask(GetOverview)

    async def each(self) -> tuple[SeriesOverview, ...]:
        symbols = ("BTCUSDT", "ETHUSDT")
        return await self.mailbox.ask(partial(GetSymbolOverviews, symbols))


class Scenario:
    """Sends messages to a store, and gives the one that is asked."""

    def __init__(self, kind: str, connect: Callable[[], Database] | None) -> None:
        self.kind = kind
        self._connect = connect
        self._store = Store()
        self._follower = Store()
        self._nursery: trio.Nursery | None = None
        self._journal: Journal | None = None

    async def send(self, *messages: StoreMessage) -> None:
        for message in messages:
            await self._store.mailbox.tell(message)

    async def history(self, candles: Sequence[Candle], first: int | None = None) -> None:
        await self.send(PutHistory(BTC, candles, first))

    async def update(self, *candles: Candle) -> None:
        await self.send(PutUpdates([(BTC, each) for each in candles]))

    async def asked(self) -> Store:
        """The store to ask, once it has everything that was sent."""
        await self._store.overview()
        if self._journal is None:
            return self._store
        await self._written()
        if self.kind.startswith("gateway"):
            return self._follower
        assert self._connect is not None
        assert self._nursery is not None
        restarted = Store()
        journal = Journal(restarted.memory, self._connect(), lease=30.0)
        await self._nursery.start(run_journal, journal, restarted.mailbox)
        await self._nursery.start(_serve(restarted, journal))
        with trio.fail_after(10):
            while not journal.was_loaded:
                await trio.sleep(0.01)
        return restarted

    async def _written(self) -> None:
        """Return when every copy is complete."""
        assert self._connect is not None
        memory = self._store.memory
        with trio.fail_after(10):
            while self._known(await self._connect().load(memory.listed)) != self._known(
                memory.listed
            ):
                await trio.sleep(0.01)
            while self.kind.startswith("gateway") and self._state(self._follower) != self._state(
                self._store
            ):
                await trio.sleep(0.01)
            await trio.sleep(0.02)

    def _known(self, series: Sequence[StoredWindow] | Sequence[Series]) -> list[object]:
        """Windows with anything in them."""
        states = [
            each.state if isinstance(each, StoredWindow) else self._store.memory.state_of(each)
            for each in series
        ]
        return [state for state in states if state is not None and state.candles]

    @staticmethod
    def _state(store: Store) -> object:
        memory = store.memory
        states = [memory.state_of(series) for series in memory.listed]
        return memory.catalogue, memory.feed, states

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Scenario]:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            if self._connect is not None:
                self._journal = Journal(self._store.memory, self._connect(), lease=30.0)
                await nursery.start(run_journal, self._journal, self._store.mailbox)
            await nursery.start(_serve(self._store, self._journal))
            if self.kind.startswith("gateway"):
                assert self._connect is not None
                relay = partial(run_relay, self._connect(), self._follower.mailbox)
                report = RelayReport(lambda: 0.0)
                await nursery.start(partial(relay, report, stale_after=30.0))
                await nursery.start(_serve(self._follower, None))
            yield self
            nursery.cancel_scope.cancel()


def _serve(store: Store, journal: Journal | None) -> Callable[..., Awaitable[None]]:
    backlog = None if journal is None else journal.backlog
    return partial(run_store, store.mailbox, store.memory, hub=None, gaps=None, backlog=backlog)


@pytest.fixture(params=KINDS)
async def story(
    request: pytest.FixtureRequest, redis_url: Callable[[str], str]
) -> AsyncGenerator[Scenario]:
    kind, _, server = request.param.partition(" ")
    connect: Callable[[], Database] | None = None
    if server == "virtual":
        connect = VirtualRedis().connect
    elif server:
        url = redis_url(server)
        connect = partial(
            RedisDatabase, url, "test", timeout=2.0, stream_length=100, exchange=BINANCE
        )
    async with Scenario(kind, connect).begin() as begun:
        yield begun


async def test_page_of_a_window(story: Scenario) -> None:
    await story.history(rows(0, 9))
    await story.update(candle(9), candle(10, closed=False, event=30))
    store = await story.asked()
    page = await store.page(limit=3)
    assert isinstance(page, Page)
    assert page.candles == (*rows(8, 8, closed=True), candle(9), candle(10, closed=False, event=30))
    assert (page.as_of, page.has_more, page.gaps) == (at(10) + 30_000, True, ())
    before = await store.page(limit=2, before=at(3))
    assert isinstance(before, Page)
    assert [each.open_time for each in before.candles] == [at(1), at(2)]


async def test_series_without_history_is_absent(story: Scenario) -> None:
    await story.history(rows(0, 3))
    store = await story.asked()
    assert await store.page(ETH) is PageUnavailable.HISTORY
    assert await store.page(Series("DOGEUSDT", Interval.MINUTE_1)) is PageUnavailable.SYMBOL
    assert await store.page(Series("BTCUSDT", Interval.HOUR_1)) is PageUnavailable.INTERVAL


async def test_window_is_bounded(story: Scenario) -> None:
    await story.history(rows(0, WINDOW_SIZE - 1))
    await story.update(*(candle(n) for n in range(WINDOW_SIZE - 1, WINDOW_SIZE + 5)))
    candles = await (await story.asked()).candles()
    assert [each.open_time for each in candles] == [at(n) for n in range(5, WINDOW_SIZE + 5)]


async def test_repair_of_the_past(story: Scenario) -> None:
    await story.history(rows(0, 9))
    await story.send(CorrectCandles(BTC, [candle(4, close=7.0)]))
    candles = await (await story.asked()).candles()
    assert candles[4] == candle(4, close=7.0)
    assert len(candles) == 10


async def test_window_that_starts_over(story: Scenario) -> None:
    await story.history(rows(0, 9))
    await story.history(rows(2000, 2004))
    candles = await (await story.asked()).candles()
    assert [each.open_time for each in candles] == [at(n) for n in range(2000, 2005)]


async def test_hole_of_the_exchange(story: Scenario) -> None:
    await story.history(rows_at([0, 1, 5, 6]))
    page = await (await story.asked()).page()
    assert isinstance(page, Page)
    assert page.gaps == (Gap(at(2), at(4), "exchange"),)


async def test_symbols_that_are_left_out(story: Scenario) -> None:
    await story.history(rows(0, 3))
    await story.send(ListSymbols(["BTCUSDT"]))
    store = await story.asked()
    if story.kind == "restarted":
        return  # the exchange is asked again: it may list a symbol again
    assert await store.catalogue() == Catalogue(("BTCUSDT",), INTERVALS)
    assert await store.page(ETH) is PageUnavailable.SYMBOL


async def test_overview(story: Scenario) -> None:
    await story.history(rows(0, 3))
    await story.send(ReportFeed(FeedStatus(Feed.LIVE, 5.0)))
    await story.update(candle(3), candle(4, closed=False))
    store = await story.asked()
    overview, (btc, eth) = await store.overview(), await store.each()
    assert (btc.series, btc.count, btc.newest) == (BTC, 5, candle(4, closed=False))
    assert (eth.series, eth.count, eth.newest) == (ETH, 0, None)
    if story.kind != "restarted":
        assert overview.feed == FeedStatus(Feed.LIVE, 5.0)
        assert (btc.not_ready_reason, bool(eth.not_ready_reason)) == (None, True)
