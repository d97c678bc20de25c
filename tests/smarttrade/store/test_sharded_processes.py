"""Ingests and gateways of several shards, in virtual time and on a real Redis.

Each ingest has one store and a journal for each of its shards; a gateway follows all of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from actors import Mailbox, RestartBudget, State, Strategy, Supervisor
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.store.actor import run_store
from smarttrade.store.database import Database
from smarttrade.store.events import CandlesPublished, HubEvent
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    CorrectCandles,
    ListSymbols,
    PutHistory,
    PutUpdates,
    ReportFeed,
    StoreMessage,
)
from smarttrade.store.mismatch import WrongNamespace
from smarttrade.store.origin import OwnExchange
from smarttrade.store.redis_database import RedisDatabase
from smarttrade.store.redis_subtree import build_redis
from smarttrade.store.shards import make_shard, shard_of
from tests.fakes.candles import at, candle, rows
from tests.fakes.database import BINANCE, VirtualDatabase, VirtualRedis

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "ADAUSDT", "POLUSDT")
INTERVALS = (Interval.MINUTE_1, Interval.MINUTE_5)
MINUTES = [Series(symbol, Interval.MINUTE_1) for symbol in SYMBOLS]
LEASE = 3.0
LIVE = FeedStatus(Feed.LIVE, 1.0)

Connect = Callable[[OwnExchange | None, int, int], Database]
"""By exchange, number of the shard, and how many there are."""


@pytest.fixture
def connect(database_kind: str, redis_url: Callable[[str], str]) -> Connect:
    if database_kind == "virtual":
        return virtual()
    url = redis_url(database_kind)

    def to_redis(exchange: OwnExchange | None, number: int, count: int) -> Database:
        shard = make_shard(number, count, SYMBOLS)
        return RedisDatabase(
            url, "test", timeout=2.0, stream_length=1000, exchange=exchange, shard=shard
        )

    return to_redis


def virtual() -> Connect:
    servers: dict[int, VirtualRedis] = {}

    def to_server(exchange: OwnExchange | None, number: int, count: int) -> Database:
        server = servers.setdefault(number, VirtualRedis())
        return server.connect(exchange, make_shard(number, count, SYMBOLS))

    return to_server


class Process:
    """A store with journals of some shards, or with relays of all."""

    def __init__(
        self,
        connect: Connect,
        count: int,
        only: int | None = None,
        *,
        has_feed: bool = True,
        symbols: Sequence[str] = SYMBOLS,
    ) -> None:
        numbers = range(count) if only is None else [only]
        own = [s for s in symbols if shard_of(s, count) in numbers]
        exchange = BINANCE if has_feed else None
        self.memory = MemoryStore(own, INTERVALS, origin=exchange and exchange.name)
        self.store = Mailbox[StoreMessage]("store", capacity=1000)
        self.hub = Mailbox[HubEvent]("hub", capacity=100_000)
        self.received: list[HubEvent] = []
        self.subtree = build_redis(
            [connect(exchange, number, count) for number in numbers],
            self.memory,
            self.store,
            has_feed=has_feed,
            lease=LEASE,
            stale_after=3.0,
            wall_clock=trio.current_time,
        )
        self.tree = Supervisor(
            "test",
            self.subtree.children,
            strategy=Strategy.REST_FOR_ONE,
            budget=RestartBudget(0, within=1),
        )
        self._scope = trio.CancelScope()

    @property
    def role(self) -> str:
        return str(self.subtree.describe()["role"])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        store = partial(run_store, hub=self.hub, gaps=None, backlog=self.subtree.backlog)
        with self._scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(store, self.store, self.memory)
                await nursery.start(self.tree.run)
                task_status.started()
                async for event in self.hub:
                    self.received.append(event)

    def stop(self) -> None:
        self._scope.cancel()

    async def history(self, *series: Series, last: int = 5) -> None:
        for each in series:
            await self.store.tell(PutHistory(each, rows(0, last), None))

    async def update(self, *minutes: int) -> None:
        """All that it feeds: the next candle, which is still forming, after one that is closed."""
        for minute in minutes:
            updates = [
                (series, each)
                for series in MINUTES
                for each in (candle(minute), candle(minute + 1, closed=False))
            ]
            await self.store.tell(PutUpdates(updates))

    @property
    def feed(self) -> Feed:
        return self.memory.feed.feed

    def closes(self, series: Series) -> list[int]:
        events = [event for event in self.received if isinstance(event, CandlesPublished)]
        every = [each for event in events for each in event.published if each.series == series]
        return [each.candle.open_time for each in every if each.candle.closed]


@asynccontextmanager
async def running(*processes: Process) -> AsyncGenerator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        for process in processes:
            await nursery.start(process.run)
        yield nursery
        nursery.cancel_scope.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not is_so():
            await trio.sleep(0.02)


def windows(process: Process) -> list[Sequence[Candle]]:
    states = [process.memory.state_of(series) for series in MINUTES]
    return [() if state is None else state.candles for state in states]


@pytest.mark.parametrize("count", [1, 2, 4])
async def test_gateway_serves_all_shards_of_an_ingest(connect: Connect, count: int) -> None:
    ingest = Process(connect, count)
    gateway = Process(connect, count, has_feed=False, symbols=["DOGEUSDT"])
    async with running(ingest) as nursery:
        halted = {"ETHUSDT": SymbolDetails(state=SymbolState.HALTED)}
        await ingest.store.tell(ListSymbols(SYMBOLS, halted))
        await ingest.store.tell(ReportFeed(LIVE))
        await ingest.history(*MINUTES)
        await until(lambda: ingest.role == "leading")
        await nursery.start(gateway.run)
        await ingest.update(5, 6, 7)
        await ingest.store.tell(CorrectCandles(MINUTES[1], [candle(2, close=7.0)]))
        await until(lambda: windows(gateway) == windows(ingest))
        await until(lambda: gateway.memory.feed == LIVE)
        assert gateway.memory.catalogue == ingest.memory.catalogue
        assert gateway.role == "following"


@pytest.mark.parametrize("count", [2, 4])
async def test_shards_are_led_and_taken_over_one_by_one(connect: Connect, count: int) -> None:
    """Each shard has a leader of its own; one of them ends, and its standby leads."""
    ingests = [Process(connect, count, number) for number in range(count)]
    ingests = [each for each in ingests if each.memory.symbols]
    ended, others = ingests[0], ingests[1:]
    [shard] = {shard_of(symbol, count) for symbol in ended.memory.symbols}
    standby = Process(connect, count, shard)
    gateway = Process(connect, count, has_feed=False)
    async with running(*ingests) as nursery:
        for each in ingests:
            await each.history(*MINUTES)
            await each.store.tell(ReportFeed(LIVE))
            await each.update(5)
        await until(lambda: {each.role for each in ingests} == {"leading"})
        await nursery.start(standby.run)
        await standby.history(*MINUTES)
        await standby.store.tell(ReportFeed(LIVE))
        await standby.update(5)
        await nursery.start(gateway.run)
        assert standby.role == "standby"
        await until(lambda: gateway.feed is Feed.LIVE)
        ended.stop()
        for each in (*others, standby):
            await each.update(6, 7)
        await until(lambda: standby.role == "leading")
        for each in (*others, standby):
            await each.update(8)
        await until(lambda: all(len(window) == 10 for window in windows(gateway)))
        await until(lambda: all(len(gateway.closes(series)) >= 3 for series in MINUTES))
        for series in MINUTES:
            assert gateway.closes(series) == [at(6), at(7), at(8)]
        await until(lambda: {each.role for each in others} == {"leading"})
        assert gateway.memory.symbols == SYMBOLS


async def test_process_with_another_number_of_shards_does_not_begin(connect: Connect) -> None:
    async with running(Process(connect, 2)):
        for wrong in (Process(connect, 4), Process(connect, 1), Process(connect, 4, 0)):
            with pytest.RaisesGroup(WrongNamespace, flatten_subgroups=True):
                await wrong.run()
        gateway = Process(connect, 4, has_feed=False)
        with pytest.RaisesGroup(WrongNamespace, flatten_subgroups=True) as raised:
            await gateway.run()
        [error] = raised.value.exceptions
        assert "SMARTTRADE_SHARDS=2, and this process 4" in str(error)
        assert "SMARTTRADE_REDIS_NAMESPACE" in str(error)


async def test_clients_are_told_when_one_shard_is_silent(autojump_clock: MockClock) -> None:
    connect = virtual()
    ingests = [Process(connect, 2, number) for number in range(2)]
    gateway = Process(connect, 2, has_feed=False)
    async with running(*ingests, gateway):
        for each in ingests:
            await each.history(*MINUTES)
            await each.store.tell(ReportFeed(LIVE))
        await trio.sleep(4)
        assert gateway.feed.value == "live"
        ingests[1].stop()
        await trio.sleep(5)
        assert gateway.feed.value == "stale"
        await ingests[0].update(5)
        await trio.sleep(1)
        assert gateway.feed.value == "stale"
        feeds = [gateway.memory.feeds.of([symbol]).feed for symbol in ("ETHUSDT", "BTCUSDT")]
        assert feeds == [Feed.LIVE, Feed.STALE]
        assert gateway.memory.state_of(MINUTES[1]) == ingests[0].memory.state_of(MINUTES[1])


async def test_stop_of_many_shards_takes_no_longer_than_of_one(autojump_clock: MockClock) -> None:
    """Redis does not answer, so each journal gives up what is left, all at the same time."""
    symbols = [f"S{number}USDT" for number in range(200)]
    links: list[VirtualDatabase] = []

    def connect(exchange: OwnExchange | None, number: int, count: int) -> Database:
        links.append(VirtualRedis().connect(exchange, make_shard(number, count, symbols)))
        return links[-1]

    ingest = Process(connect, 16, symbols=symbols)
    async with trio.open_nursery() as nursery:
        await nursery.start(ingest.run)
        await trio.sleep(1)
        assert ingest.role == "leading"
        for link in links:
            link.latency = 60.0
        series = [Series(symbol, Interval.MINUTE_1) for symbol in ingest.memory.symbols]
        await ingest.history(*series)
        await trio.sleep(0.1)
        began = trio.current_time()
        ingest.tree.stop()
        while ingest.tree.inspect().state is not State.STOPPED:
            await trio.sleep(0.01)
        assert trio.current_time() - began < 1.1
        nursery.cancel_scope.cancel()


async def test_start_without_redis_takes_no_longer_with_many_shards(
    autojump_clock: MockClock,
) -> None:
    def slow(exchange: OwnExchange | None, number: int, count: int) -> Database:
        link = VirtualRedis().connect(exchange, make_shard(number, count, SYMBOLS))
        link.latency = 60.0
        return link

    began = trio.current_time()
    async with running(Process(slow, 16)):
        assert trio.current_time() - began < 2.1
