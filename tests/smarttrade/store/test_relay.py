"""A gateway's store, in virtual time, behind a leader and a server that come and go."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

from smarttrade.market.gaps import Gap
from smarttrade.market.series import Series
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.market.window_state import WindowState
from smarttrade.store.damaged_windows import MAX_REREAD, REREAD_BACKOFF
from smarttrade.store.database import StoredWindow
from smarttrade.store.events import (
    SubscriptionsOpened,
    SymbolChanged,
)
from smarttrade.store.feed import Feed
from smarttrade.store.messages import (
    CorrectCandles,
    ListSymbols,
    OpenSubscriptions,
    Page,
    PageUnavailable,
    PutHistory,
    SubscriptionSpec,
)
from smarttrade.store.redis_report import RedisRole
from tests.fakes.candles import BTC, ETH, at, candle, rows, rows_at
from tests.fakes.database import Contents, VirtualRedis
from tests.fakes.journals import Process, running
from tests.smarttrade.store.gateways import (
    Gateway,
    assert_in_order,
    assert_same,
    following,
)


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


MANY = [f"S{number}USDT" for number in range(60)]


async def test_more_windows_than_the_store_has_room_for_are_loaded(
    autojump_clock: MockClock,
) -> None:
    """The store starts after the relay, which must not wait for it then."""
    server = VirtualRedis()
    leader = Process(server, *MANY)
    gateway = Gateway(server, capacity=2)
    async with running(leader), trio.open_nursery() as nursery:
        for series in leader.memory.listed:
            await leader.history(series, rows(0, 5))
        await trio.sleep(1)
        with trio.fail_after(0.5):
            await nursery.start(gateway.run)
        await trio.sleep(0.5)
        assert_same(gateway, leader)
        assert gateway.report.loads == 1
        nursery.cancel_scope.cancel()


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


async def test_window_that_could_not_be_read_is_read_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader, whose clock is later by now, finds it in order and does not replace it."""
    server = VirtualRedis()
    gateway = Gateway(server)
    load, damaged = gateway.link.load, {BTC}

    async def judge(series: Sequence[Series], time: int = 0) -> list[StoredWindow]:
        return [
            StoredWindow(each.series, None, "from the future", each.seq)
            if each.series in damaged
            else each
            for each in await load(series, time)
        ]

    monkeypatch.setattr(gateway.link, "load", judge)
    async with following(server, gateway) as leader:
        await leader.update(candle(6))
        await trio.sleep(2 * REREAD_BACKOFF.first)
        assert gateway.candles() == ()
        assert len(gateway.candles(ETH)) > 0
        damaged.clear()
        await trio.sleep(2 * REREAD_BACKOFF.first)
        assert_same(gateway, leader)


async def test_windows_that_stay_damaged_are_read_again_less_and_less_and_some_at_a_time(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = VirtualRedis()
    leader = Process(server, *MANY)
    gateway = Gateway(server)
    load = gateway.link.load
    reads: list[Sequence[Series]] = []

    async def judge(series: Sequence[Series], time: int = 0) -> list[StoredWindow]:
        reads.append(series)
        return [StoredWindow(each.series, None, "odd", 0) for each in await load(series, time)]

    async with running(leader), trio.open_nursery() as nursery:
        for series in leader.memory.listed:
            await leader.history(series, rows(0, 5))
        await trio.sleep(1)
        with monkeypatch.context() as damaging:
            damaging.setattr(gateway.link, "load", judge)
            await nursery.start(gateway.run)
            reads.clear()
            await trio.sleep(600)
        assert max(map(len, reads)) <= MAX_REREAD
        assert len(MANY) < sum(map(len, reads)) <= 9 * len(MANY)
        await trio.sleep(REREAD_BACKOFF.max_pause + 10)
        assert_same(gateway, leader)
        nursery.cancel_scope.cancel()


async def test_all_is_loaded_again_when_the_store_has_failed(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        with monkeypatch.context() as lost:
            lost.setattr(gateway.memory, "follow", lambda *_: [])
            await leader.update(candle(5), candle(6, closed=False))
            await trio.sleep(0.1)
        gateway.store.fail_unanswered(RuntimeError("with candles in its hands"))
        await trio.sleep(2)
        assert_same(gateway, leader)
        assert [each for each, _ in gateway.published()] == [candle(5), candle(6, closed=False)]
