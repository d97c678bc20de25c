"""What a gateway does when Redis or the leader is lost."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from smarttrade.store.events import Published
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.messages import (
    CheckOverdue,
    CorrectCandles,
    ReportFeed,
)
from smarttrade.store.redis_format import SeriesChange
from smarttrade.store.redis_report import RedisRole
from tests.fakes.candles import BTC, ETH, at, candle, rows
from tests.fakes.database import VirtualDatabase, VirtualRedis
from tests.fakes.journals import Process, running
from tests.smarttrade.store.gateways import (
    STALE_AFTER,
    Gateway,
    assert_in_order,
    assert_same,
    following,
)


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


def forge_entry(server: VirtualRedis, *, days: int) -> None:
    """Something else writes an entry of the future, of which time and candle agree."""
    name, last = server.contents.changes[-1]
    forged = Published(BTC, candle(days * 1440), False)
    change = SeriesChange(BTC, False, (forged,), None)
    entry = last._replace(seq=last.seq + 1, time=at(days * 1440) + 60_000, changes=(change,))
    server.contents.changes.append((f"{int(name.partition('-')[0]) + 1}-0", entry))
    server.contents.names += 1
    server.changed.set()
    server.changed = trio.Event()


async def test_entry_from_the_future_is_not_followed(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    gateway = Gateway(server)
    async with following(server, gateway) as leader:
        await leader.update(candle(5), candle(6, closed=False))
        await trio.sleep(0.1)
        forge_entry(server, days=3)
        await trio.sleep(1)
        assert gateway.candles()[-1] == candle(6, closed=False)
        await leader.update(candle(6), candle(7, closed=False))
        await trio.sleep(1)
        assert_same(gateway, leader)
        assert_in_order(gateway.published())
        assert gateway.report.fell_behind == 1


async def test_standby_does_not_take_an_entry_from_the_future(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    standby = Process(server)
    async with following(server) as leader, running(standby):
        await standby.history(BTC, rows(0, 5))
        await leader.update(candle(5), candle(6, closed=False))
        await trio.sleep(0.1)
        await standby.update(candle(5), candle(6, closed=False))
        await trio.sleep(1)
        forge_entry(server, days=3)
        for _ in range(10):
            await trio.sleep(1)
            await standby.store.tell(CheckOverdue())
        state = standby.memory.state_of(BTC)
        assert state is not None
        assert state.candles[-1].open_time == at(6)


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
