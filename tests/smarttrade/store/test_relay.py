"""A gateway's store, in virtual time, behind a leader and a server that come and go."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from actors import Mailbox
from smarttrade.market.candle import Candle
from smarttrade.market.gaps import Gap
from smarttrade.market.series import Series
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.market.window_state import WindowState
from smarttrade.store.actor import run_store
from smarttrade.store.database import StoredWindow
from smarttrade.store.events import (
    CandlesPublished,
    FeedChanged,
    HubEvent,
    SubscriptionsOpened,
    SymbolChanged,
)
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    CorrectCandles,
    ListSymbols,
    OpenSubscriptions,
    Page,
    PageUnavailable,
    PutHistory,
    ReportFeed,
    StoreMessage,
    SubscriptionSpec,
)
from smarttrade.store.redis_report import RedisRole, RelayReport
from smarttrade.store.relay import run_relay
from tests.fakes.candles import BTC, ETH, at, candle, rows, rows_at
from tests.fakes.database import Contents, VirtualDatabase, VirtualRedis
from tests.fakes.journals import Process, running

STALE_AFTER = 3.0


class Gateway:
    def __init__(self, server: VirtualRedis) -> None:
        self.link: VirtualDatabase = server.connect()
        self.memory = MemoryStore(("DOGEUSDT",), (BTC.interval,))
        self.report = RelayReport(lambda: 0.0)
        self.store = Mailbox[StoreMessage]("store", capacity=1000)
        self.hub = Mailbox[HubEvent]("hub", capacity=100_000)
        self.received: list[HubEvent] = []

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        relay = partial(
            run_relay, self.link, self.store, self.report, stale_after=STALE_AFTER, wall_clock=time
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(relay)
            await nursery.start(
                partial(run_store, hub=self.hub, gaps=None), self.store, self.memory
            )
            task_status.started()
            while True:
                self.received.append(await self.hub.receive())

    def candles(self, series: Series = BTC) -> Sequence[Candle]:
        state = self.memory.state_of(series)
        return () if state is None else state.candles

    def published(self, series: Series = BTC) -> list[tuple[Candle, bool]]:
        events = [event for event in self.received if isinstance(event, CandlesPublished)]
        received = [each for event in events for each in event.published]
        return [(each.candle, each.corrected) for each in received if each.series == series]

    @property
    def feeds(self) -> list[Feed]:
        return [event.status.feed for event in self.received if isinstance(event, FeedChanged)]


def time() -> float:
    return trio.current_time()


@asynccontextmanager
async def following(
    server: VirtualRedis, *gateways: Gateway, leader: Process | None = None
) -> AsyncGenerator[Process]:
    """A leader with six minutes of BTC and ETH, a live feed, and gateways."""
    leader = leader or Process(server)
    async with running(leader), trio.open_nursery() as nursery:
        await leader.history(BTC, rows(0, 5))
        await leader.history(ETH, rows(0, 5))
        await leader.store.tell(ReportFeed(FeedStatus(Feed.LIVE, 7.0)))
        await trio.sleep(0.5)
        for gateway in gateways:
            await nursery.start(gateway.run)
        await trio.sleep(1.2)
        yield leader
        nursery.cancel_scope.cancel()


def assert_same(gateway: Gateway, leader: Process) -> None:
    assert gateway.memory.catalogue == leader.memory.catalogue
    for series in leader.memory.listed:
        ours, theirs = gateway.memory.state_of(series), leader.memory.state_of(series)
        # When a correction became known here, it was later.
        assert (ours and ours[:3]) == (theirs and theirs[:3])


def assert_in_order(received: Sequence[tuple[Candle, bool]]) -> None:
    """None twice, and updates never back in time."""
    assert len(set(received)) == len(received)
    updates = [each.open_time for each, corrected in received if not corrected]
    assert updates == sorted(updates)


async def test_everything_is_loaded_and_then_followed(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        assert_same(gateway, leader)
        assert gateway.published() == []
        assert gateway.feeds == [Feed.LIVE]
        await leader.update(candle(5), candle(6, closed=False))
        await leader.store.tell(CorrectCandles(BTC, [candle(2, close=7.0)]))
        await trio.sleep(0.1)
        assert_same(gateway, leader)
        assert sorted(gateway.published()) == [
            (candle(2, close=7.0), True),
            (candle(5), False),
            (candle(6, closed=False), False),
        ]
        assert gateway.report.describe()["loads"] == 1


async def test_subscriber_of_a_series_without_history_gets_it_when_it_comes(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    leader = Process(server, "BTCUSDT", "ETHUSDT", "XRPUSDT")
    xrp = Series("XRPUSDT", BTC.interval)
    async with following(server, gateway, leader=leader):
        assert gateway.memory.page(xrp, 10, None) is PageUnavailable.HISTORY
        await gateway.store.tell(
            OpenSubscriptions("client", [SubscriptionSpec(xrp, snapshot=2)], b"")
        )
        await leader.history(xrp, rows(0, 5))
        await trio.sleep(0.1)
        opened = [event for event in gateway.received if isinstance(event, SubscriptionsOpened)]
        assert [s.candles for s in opened[-1].snapshots] == [tuple(rows(4, 5))]


async def test_other_series_are_taken_over(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        await leader.store.tell(ListSymbols(["ETHUSDT"]))
        await trio.sleep(1)
        assert gateway.memory.symbols == ("ETHUSDT",)
        assert_same(gateway, leader)


TRADING = SymbolDetails("TRADING", Decimal("0.01000000"))
HALTED = SymbolDetails("HALT", Decimal("0.0001"), SymbolState.HALTED, 7.5)


async def test_details_of_symbols_are_loaded_and_followed(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    early, late = Gateway(server), Gateway(server)
    both = ["BTCUSDT", "ETHUSDT"]
    async with following(server, early) as leader, trio.open_nursery() as nursery:
        await leader.store.tell(ListSymbols(both, {"BTCUSDT": TRADING, "ETHUSDT": HALTED}))
        await trio.sleep(0.1)
        assert SymbolChanged("ETHUSDT", HALTED) in early.received
        await nursery.start(late.run)
        await trio.sleep(0.1)
        for gateway in (early, late):
            assert_same(gateway, leader)
            assert gateway.memory.catalogue.details == {"BTCUSDT": TRADING, "ETHUSDT": HALTED}
        await leader.store.tell(ListSymbols(both, {"BTCUSDT": TRADING, "ETHUSDT": TRADING}))
        await trio.sleep(0.1)
        assert_same(late, leader)
        assert early.report.loads == late.report.loads == 1
        nursery.cancel_scope.cancel()


async def test_details_are_there_after_a_restart_and_are_not_forgotten_meanwhile(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    details = {"BTCUSDT": TRADING, "ETHUSDT": HALTED}
    async with following(server, gateway) as first:
        await first.store.tell(ListSymbols(["BTCUSDT", "ETHUSDT"], details))
        await trio.sleep(1)
        first.kill()
        second = Process(server)
        async with running(second):
            await trio.sleep(10)
            assert second.memory.catalogue.details == details
            assert server.contents.state is not None
            assert server.contents.state.details == details
            assert gateway.memory.catalogue.details == details
    changes = [event for event in gateway.received if isinstance(event, SymbolChanged)]
    assert changes == [SymbolChanged("ETHUSDT", HALTED)]


async def test_gateway_without_redis_starts_and_waits(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    server.refusal = "ConnectionError: refused"
    gateway = Gateway(server)
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.run)
        await trio.sleep(60)
        assert (gateway.report.role, gateway.feeds) == (RedisRole.AWAY, [Feed.STALE])
        server.refusal = None
        await trio.sleep(5)
        assert gateway.report.role is RedisRole.AWAY  # no process has ever written
        assert "ingest" in (gateway.report.error or "")
        async with following(server) as leader:
            await trio.sleep(3)
            assert_same(gateway, leader)
            assert gateway.feeds[-1] is Feed.LIVE
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("who", ["leader", "redis", "link"])
async def test_silence_is_reported_and_reads_go_on(who: str, autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        before = gateway.candles()
        if who == "leader":
            leader.link.is_cut = True
        elif who == "link":
            gateway.link.is_cut = True
        else:
            server.is_frozen = True
        cut_at = trio.current_time()
        while gateway.feeds[-1] is Feed.LIVE:
            await trio.sleep(0.01)
        assert STALE_AFTER - 1.1 < trio.current_time() - cut_at < STALE_AFTER + 0.5
        await leader.update(candle(5), candle(6), candle(7, closed=False))
        await trio.sleep(60)
        assert gateway.candles() == before
        server.is_frozen = leader.link.is_cut = gateway.link.is_cut = False
        await trio.sleep(6)
        assert gateway.feeds[-2:] == [Feed.STALE, Feed.LIVE]
        assert_same(gateway, leader)
        assert [each for each, _ in gateway.published()] == [
            candle(5),
            candle(6),
            candle(7, closed=False),
        ]


async def test_candles_that_are_written_while_windows_are_read_are_not_from_the_future(
    autojump_clock: MockClock,
) -> None:
    """A gateway of many series reads for longer than the exchange's clock may be estimated wrong."""
    server = VirtualRedis()
    gateway = Gateway(server)
    gateway.link.latency = 200.0
    async with trio.open_nursery() as nursery, running(leader := Process(server)):
        await leader.history(BTC, rows(0, 5))
        await leader.history(ETH, rows(0, 5))
        await trio.sleep(1)
        nursery.start_soon(nursery.start, gateway.run)
        for minute in range(6, 16):
            await leader.update(candle(minute - 1), candle(minute, closed=False))
            await trio.sleep(60)
        gateway.link.latency = 0.001
        await trio.sleep(60)
        assert [each.open_time for each in gateway.candles()] == [at(n) for n in range(16)]
        assert gateway.report.loads == 1
        nursery.cancel_scope.cancel()


class NamedLink(VirtualDatabase):
    """Its connection stays with a server; a new one goes to where the name leads."""

    def __init__(self, server: VirtualRedis) -> None:
        super().__init__(server)
        self.named = server
        self.reconnected_at: list[float] = []

    def reconnect(self) -> None:
        self.reconnected_at.append(trio.current_time())
        self.server = self.named


async def test_gateway_leaves_a_server_that_lives_on_after_a_failover_and_is_not_written(
    autojump_clock: MockClock,
) -> None:
    old = VirtualRedis()
    gateway = Gateway(old)
    gateway.link = link = NamedLink(old)
    async with following(old, gateway) as leader:
        link.named = new = VirtualRedis()
        new.contents = copy.deepcopy(old.contents)
        leader.link.server = new
        await leader.update(candle(5), candle(6, closed=False))
        await trio.sleep(STALE_AFTER + 2.0)
        assert_same(gateway, leader)
        assert gateway.feeds == [Feed.LIVE, Feed.STALE, Feed.LIVE]
        assert [each for each, _ in gateway.published()] == [candle(5), candle(6, closed=False)]
        await trio.sleep(600)
        assert len(link.reconnected_at) == 1


async def test_gateway_connects_anew_again_and_again_while_the_leader_is_silent(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    gateway.link = link = NamedLink(server)
    async with following(server, gateway) as leader:
        began = trio.current_time()
        leader.link.is_cut = True
        await trio.sleep(600)
        pauses = [later - earlier for earlier, later in pairwise((began, *link.reconnected_at))]
        assert STALE_AFTER - 1.1 < pauses[0] < STALE_AFTER + 2.0
        assert all(pause < 32.0 for pause in pauses)
        assert all(pause > 14.0 for pause in pauses[6:])
        leader.link.is_cut = False
        await trio.sleep(10)
        before = len(link.reconnected_at)
        assert_same(gateway, leader)
        await trio.sleep(60)
        assert len(link.reconnected_at) == before
        assert gateway.report.loads == 1


async def test_gateway_that_falls_off_the_end_publishes_what_it_missed(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis(stream_length=5)
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        gateway.link.is_cut = True
        await trio.sleep(1)
        for minute in range(6, 40):
            await leader.update(candle(minute - 1), candle(minute, closed=False))
            await trio.sleep(0.1)
        await leader.store.tell(CorrectCandles(BTC, [candle(2, close=7.0)]))
        await trio.sleep(0.1)
        gateway.link.is_cut = False
        await trio.sleep(5)
        assert_same(gateway, leader)
        received = gateway.published()
        assert_in_order(received)
        assert [each for each, corrected in received if corrected] == [candle(2, close=7.0)]
        assert [each for each, corrected in received if not corrected] == [
            *map(candle, range(5, 39)),
            candle(39, closed=False),
        ]


async def test_stream_whose_end_is_lost_while_following_is_noticed(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis(stream_length=2)
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        name, entry = server.contents.changes[-1]
        server.contents.seq += 5
        await leader.update(candle(5), candle(6, closed=False))
        await trio.sleep(3)
        assert gateway.report.fell_behind == 1
        assert (name, entry.seq) != (server.contents.changes[-1][0], server.contents.seq)
        assert_same(gateway, leader)


async def test_flushed_redis_takes_nothing_away(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        for minute in range(6, 10):
            server.flush()
            await leader.update(candle(minute - 1), candle(minute, closed=False))
            await trio.sleep(6)
            assert_same(gateway, leader)
        assert_in_order(gateway.published())
        assert [each for each, _ in gateway.published() if each.closed] == [
            *map(candle, range(5, 9))
        ]
        assert gateway.memory.feed.feed is Feed.LIVE


async def test_take_over_misses_nothing(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    other = Process(server)
    async with following(server, gateway) as leader, running(other):
        for process in (leader, other):
            await process.history(BTC, rows(0, 5))
            await process.history(ETH, rows(0, 5))
            await process.store.tell(ReportFeed(FeedStatus(Feed.LIVE, 9.0)))
            await process.update(candle(5), candle(6, closed=False))
        await trio.sleep(1)
        leader.kill()
        for minute in range(7, 12):
            await other.update(candle(minute - 1), candle(minute, closed=False))
            await trio.sleep(1.5)
        assert_same(gateway, other)
        assert_in_order(gateway.published())
        closed = [each for each, _ in gateway.published() if each.closed]
        assert closed == [*map(candle, range(5, 11))]
        assert gateway.feeds[-1] is Feed.LIVE


async def test_window_that_started_over_replaces_the_local_one(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        await leader.history(BTC, rows(2000, 2010))
        await leader.update(candle(2010), candle(2011, closed=False))
        await trio.sleep(1)
        assert gateway.candles()[0].open_time == at(2000)
        assert_same(gateway, leader)
        assert_in_order(gateway.published())


async def test_gaps_are_the_same_in_every_process(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        await leader.store.tell(PutHistory(BTC, rows_at([5, 8, 9]), at(5)))
        await trio.sleep(1)
        gaps = [Gap(at(6), at(7), "exchange")]
        for process in (leader, gateway):
            page = process.memory.page(BTC, 100, None)
            assert isinstance(page, Page)
            assert list(page.gaps) == gaps
        late = Gateway(server)
        async with trio.open_nursery() as nursery:
            await nursery.start(late.run)
            await trio.sleep(0.1)
            assert_same(late, leader)
            nursery.cancel_scope.cancel()


async def test_loading_publishes_nothing_that_was_published(autojump_clock: MockClock) -> None:
    """The windows are read after the position was noted: what is published again changes nothing."""
    server = VirtualRedis()
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        for minute in range(6, 12):
            await leader.update(candle(minute - 1), candle(minute, closed=False))
            gateway.link.is_cut = minute % 2 == 0
            await trio.sleep(0.7)
        gateway.link.is_cut = False
        await trio.sleep(3)
        assert_same(gateway, leader)
        assert_in_order(gateway.published())
        state = gateway.memory.state_of(BTC)
        assert isinstance(state, WindowState)


async def test_series_without_any_candle_reaches_gateways(autojump_clock: MockClock) -> None:
    """A new listing: its first history is empty."""
    server = VirtualRedis()
    leader = Process(server)
    gateway = Gateway(server)
    async with running(leader):
        await leader.history(ETH, [])
        await leader.history(BTC, rows(0, 5))
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            await nursery.start(gateway.run)
            await trio.sleep(1)
            state = gateway.memory.state_of(ETH)
            assert state is not None
            assert state.candles == ()
            await leader.update(candle(0, closed=False), series=ETH)
            await trio.sleep(1)
            state = gateway.memory.state_of(ETH)
            assert state is not None
            assert len(state.candles) == 1
            nursery.cancel_scope.cancel()


async def test_corrections_from_before_a_window_was_read_are_not_published(
    autojump_clock: MockClock,
) -> None:
    """The window has the second of two already when the first comes through the stream."""
    server = VirtualRedis()
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        load = gateway.link.load

        async def late(series: Sequence[Series], time: int = 0) -> list[StoredWindow]:
            for close in (111.0, 222.0):
                await leader.store.tell(CorrectCandles(BTC, [candle(2, close=close)]))
                await trio.sleep(0.1)
            return await load(series, time)

        gateway.link.load = late  # type: ignore[method-assign]
        server.contents.changes.clear()
        server.contents.seq += 5  # it has fallen behind, and loads
        await trio.sleep(10)
        closes = [each.close for each, _ in gateway.published() if each.open_time == at(2)]
        assert closes == [222.0]


async def test_later_versions_leader_is_not_followed(autojump_clock: MockClock) -> None:
    """What is known is served on, as stale, until a leader of this version is back."""
    server = VirtualRedis()
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        known = gateway.candles()
        ours, server.contents = server.contents, Contents(format="4", seq=server.contents.seq + 5)
        leader.link.is_cut = True
        await trio.sleep(10)
        assert gateway.report.role is RedisRole.AWAY
        assert "format '4'" in (gateway.report.error or "")
        assert (gateway.candles(), gateway.feeds[-1]) == (known, Feed.STALE)
        server.contents, leader.link.is_cut = ours, False
        await leader.update(candle(5), candle(6, closed=False))
        await trio.sleep(10)
        assert_same(gateway, leader)
        assert gateway.feeds[-1] is Feed.LIVE
