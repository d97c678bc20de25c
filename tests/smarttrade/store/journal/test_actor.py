"""The journal in virtual time, on a server that can be lost in every way."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from smarttrade.market.gaps import Missing
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.market.window_state import WindowState
from smarttrade.store.backlog import MAX_DIFFERENCES
from smarttrade.store.database import StoredWindow
from smarttrade.store.events import CandlesMissing
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.freshness import CONFIRM_TIMEOUT
from smarttrade.store.journal import HEARTBEAT_INTERVAL, START_TIMEOUT, run_journal
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    CheckOverdue,
    CorrectCandles,
    FindMissing,
    ListSymbols,
    PutHistory,
    ReportFeed,
)
from smarttrade.store.redis_format import StoreState
from smarttrade.store.redis_report import RedisRole
from tests.fakes.candles import BTC, ETH, at, candle, rows
from tests.fakes.database import Contents, VirtualRedis
from tests.fakes.journals import LEASE, Process, running


async def assert_equal(server: VirtualRedis, memory: MemoryStore) -> None:
    stored = await server.connect().load(memory.listed)
    expected = [StoredWindow(each, memory.state_of(each), None) for each in memory.listed]
    assert [each._replace(seq=0) for each in stored] == expected


async def test_changes_are_written_behind_the_store(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await process.history(ETH, [])
        await process.update(candle(5), candle(6, closed=False))
        await process.store.tell(CorrectCandles(BTC, [candle(2, close=7.0)]))
        await process.store.tell(ReportFeed(FeedStatus(Feed.LIVE, 5.0)))
        await trio.sleep(0.1)
        await process.store.tell(ListSymbols(["BTCUSDT"]))
        await trio.sleep(0.1)
        await assert_equal(server, process.memory)
        feed = FeedStatus(Feed.LIVE, 5.0)
        assert server.contents.state == StoreState(("BTCUSDT",), (BTC.interval,), feed)
        assert process.role() is RedisRole.LEADING
        assert process.report.describe()["waiting"] == 0


async def test_more_windows_than_the_store_has_room_for_are_restored(
    autojump_clock: MockClock,
) -> None:
    """The store starts after the journal, which must not wait for it then."""
    server = VirtualRedis()
    symbols = [f"S{number}USDT" for number in range(30)]
    first, second = Process(server, *symbols), Process(server, *symbols, capacity=2)
    async with running(first):
        for series in first.memory.listed:
            await first.history(series, rows(0, 5))
        await trio.sleep(1)
    async with trio.open_nursery() as nursery:
        await trio.sleep(LEASE)
        with trio.fail_after(START_TIMEOUT / 2):
            await nursery.start(second.run)
        await trio.sleep(1)
        for series in second.memory.listed:
            assert second.memory.state_of(series) == first.memory.state_of(series)
        nursery.cancel_scope.cancel()


async def test_states_between_two_batches_are_left_out_and_final_ones_are_not(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await trio.sleep(1)
        before = server.contents.seq
        for event in range(10, 50, 10):
            await process.update(candle(5, closed=False, event=event, volume=event))
        await process.update(candle(5, volume=99.0), candle(6, closed=False))
        await trio.sleep(0.5)
        changed = [e for _, e in server.contents.changes if e.seq > before]
        published = [p.candle for e in changed for c in e.changes for p in c.published]
        assert published[-2:] == [candle(5, volume=99.0), candle(6, closed=False)]
        assert len(published) < 6


async def test_stored_candles_are_there_before_anything_else(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    first = Process(server)
    async with running(first):
        await first.history(BTC, rows(0, 5))
        await first.history(ETH, rows(0, 3))
        await first.store.tell(ListSymbols(["BTCUSDT", "ETHUSDT"]))
        await first.update(candle(5), candle(6, closed=False))
        await trio.sleep(1)
        first.kill()
    second = Process(server)
    async with running(second):
        await trio.testing.wait_all_tasks_blocked()
        assert second.memory.state_of(BTC) == first.memory.state_of(BTC)
        assert second.memory.is_listed
        seen = second.memory.symbol_overviews(second.memory.symbols, 0.0)
        troubles = [each.not_ready_reason for each in seen]
        assert all("stored" in (trouble or "") for trouble in troubles)
        # The newest is not taken for final. A window that is not full may have more history.
        await second.store.tell(FindMissing([BTC, ETH]))
        assert await second.gaps.receive() == CandlesMissing(BTC, None, None, 0)
        assert await second.gaps.receive() == CandlesMissing(ETH, None, None, 0)
        await second.store.tell(PutHistory(BTC, rows(6, 9), at(6)))
        await trio.sleep(LEASE)
        assert second.role() is RedisRole.LEADING
        await assert_equal(server, second.memory)
        assert BTC not in second.memory.overview(0.0).not_ready


async def test_stored_candles_wait_for_the_stream_and_not_for_ever(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    server.contents.lists[BTC] = rows(0, 5)
    process = Process(server)
    async with running(process):
        await process.store.tell(FindMissing([BTC], skip_restored=True))
        await trio.sleep(CONFIRM_TIMEOUT + 0.1)
        assert process.gaps.depth == 0
        await process.store.tell(CheckOverdue())
        assert await process.gaps.receive() == CandlesMissing(BTC, None, None, 0)


async def test_what_is_absent_without_a_reason_is_asked_for(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    server.contents.lists[BTC] = [candle(0), candle(3), candle(4, closed=False), candle(5)]
    process = Process(server)
    async with running(process):
        await trio.sleep(0.1)
        state = process.memory.state_of(BTC)
        assert state is not None
        assert state.unfilled == (Missing(at(1), at(3)), Missing(at(4), at(5)))
        await process.store.tell(FindMissing([BTC]))
        assert await process.gaps.receive() == CandlesMissing(BTC, None, None, 0)
        await process.store.tell(PutHistory(BTC, rows(1, 6), at(1)))
        await trio.sleep(1)
        await assert_equal(server, process.memory)


async def test_redis_that_is_away_at_the_start_holds_nothing_up(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    server.refusal = "ConnectionError: refused"
    process = Process(server)
    async with running(process):
        assert trio.current_time() < 0.1
        await process.history(BTC, rows(0, 5))
        await trio.sleep(60)
        assert process.role() is RedisRole.AWAY
        assert process.report.error == "ConnectionError: refused"
        assert process.report.errors < 65
        server.refusal = None
        await trio.sleep(6)
        await assert_equal(server, process.memory)
        assert process.role() is RedisRole.LEADING


async def test_slow_redis_holds_up_the_start_for_a_moment_only(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    server.is_frozen = True
    process = Process(server)
    async with running(process):
        assert trio.current_time() <= START_TIMEOUT


async def test_redis_that_comes_before_the_exchange_is_read_then(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    server.contents.lists[BTC] = rows(0, 5)
    server.refusal = "ConnectionError: refused"
    process = Process(server)
    async with running(process):
        await trio.sleep(30)
        assert process.memory.state_of(BTC) is None
        await process.update(candle(9))
        server.refusal = None
        await trio.sleep(6)
        assert process.memory.state_of(BTC) == WindowState(tuple(rows(0, 5)))


@pytest.mark.parametrize("refusal", ["OOM", "READONLY", "ConnectionError"])
async def test_redis_away_for_minutes(refusal: str, autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await process.history(ETH, rows(0, 5))
        await trio.sleep(1)
        comparisons = process.report.comparisons
        server.refusal = refusal
        for minute in range(6, 26):
            await process.update(candle(minute - 1), candle(minute, closed=False))
            await trio.sleep(10)
        assert process.role() is RedisRole.AWAY
        assert process.report.describe()["waiting"] <= 21
        server.refusal = None
        await trio.sleep(6)
        await assert_equal(server, process.memory)
        assert process.report.comparisons == comparisons  # nothing was lost: no need to look


async def test_backlog_is_bounded_for_ever(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await trio.sleep(1)
        server.refusal = "ConnectionError: refused"
        for minute in range(6, 3000):
            await process.update(candle(minute - 1), candle(minute, closed=False))
            if minute % 50 == 0:
                await trio.sleep(1)
                assert process.report.describe()["waiting"] <= MAX_DIFFERENCES + 1
        server.refusal = None
        await trio.sleep(6)
        await assert_equal(server, process.memory)
        assert len(server.contents.lists[BTC]) == WINDOW_SIZE


@pytest.mark.parametrize("silently", [True, False])
async def test_flushed_redis_holds_everything_again(
    silently: bool, autojump_clock: MockClock
) -> None:
    server = VirtualRedis()
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await process.history(ETH, rows(0, 5))
        await trio.sleep(1)
        if not silently:
            server.refusal = "ConnectionError: refused"
            await trio.sleep(60)
        server.flush()
        server.refusal = None
        # There are no trades meanwhile: it is noticed all the same.
        await trio.sleep(HEARTBEAT_INTERVAL + 6)
        await assert_equal(server, process.memory)
        assert server.contents.state is not None


async def test_redis_that_went_back_in_time_is_brought_up_to_date(
    autojump_clock: MockClock,
) -> None:
    """As after a fail-over to a replica that was behind, or from an old snapshot."""
    server = VirtualRedis()
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await trio.sleep(1)
        old = list(server.contents.lists[BTC])
        batch, seq = server.contents.batch, server.contents.seq
        await process.update(candle(5), candle(6), candle(7, closed=False))
        await trio.sleep(0.5)
        server.contents.lists[BTC] = old
        server.contents.batch, server.contents.seq = batch, seq
        await trio.sleep(3)
        await assert_equal(server, process.memory)
        assert process.report.lost == 1


async def test_list_that_was_deleted_is_written_again(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await process.history(ETH, rows(0, 5))
        await trio.sleep(1)
        del server.contents.lists[BTC]
        await process.update(candle(5), candle(6, closed=False))
        await trio.sleep(1)
        await assert_equal(server, process.memory)


async def test_list_that_was_deleted_is_written_again_without_a_trade(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await process.history(ETH, rows(0, 5))
        await trio.sleep(1)
        del server.contents.lists[BTC]
        await trio.sleep(5)
        await assert_equal(server, process.memory)


async def test_lease_is_kept_while_thousands_of_windows_are_read(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    many = [f"S{number:04}USDT" for number in range(500)]
    one, two = Process(server, *many), Process(server, *many)
    for link in (one.link, two.link):
        link.latency = 0.4
    async with running(one, two):
        await trio.sleep(60)
        assert (one.role(), two.role()) == (RedisRole.LEADING, RedisRole.STANDBY)
        assert server.contents.epoch == 1


async def test_a_later_versions_format_is_left_alone(autojump_clock: MockClock) -> None:
    """This version goes on from memory, and leads once the other's values are gone."""
    server = VirtualRedis()
    server.contents.format = "4"
    server.contents.lists[BTC] = rows(0, 5)
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(3, 7))
        await trio.sleep(60)
        assert process.role() is RedisRole.AWAY
        assert server.contents == Contents(shards=1, format="4", lists={BTC: rows(0, 5)})
        server.flush()
        await trio.sleep(6)
        await assert_equal(server, process.memory)


async def test_lease_without_an_end_is_asked_for_now_and_then(autojump_clock: MockClock) -> None:
    """An operator has set the key by hand."""
    server = VirtualRedis()
    server.contents.holder, server.contents.held_until = "other", float("inf")
    process = Process(server)
    async with running(process):
        await trio.sleep(10)
        assert process.role() is RedisRole.STANDBY


async def test_batch_whose_answer_is_lost_is_written_again(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await trio.sleep(1)
        for minute in range(6, 12):
            process.link.lose_answers = 1
            await process.update(candle(minute - 1), candle(minute, closed=False))
            await trio.sleep(2)
        await assert_equal(server, process.memory)
        assert process.report.retries == 6
        changed = [
            p.candle for _, e in server.contents.changes for c in e.changes for p in c.published
        ]
        assert len(changed) == len(set(changed))


async def test_standby_takes_over_and_nothing_is_missing(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    one, two = Process(server), Process(server)
    async with running(one, two):
        assert two.role() is RedisRole.STANDBY
        for process in (one, two):
            await process.history(BTC, rows(0, 5))
        await one.update(candle(5), candle(6, closed=False))
        await two.update(candle(5), candle(6, closed=False))
        await trio.sleep(1)
        assert two.report.describe()["leader"] == f"{one.journal.name}@binance.com"
        one.kill()
        died_at, before = trio.current_time(), server.contents.seq
        await two.update(candle(6), candle(7), candle(8, closed=False))
        while two.role() is not RedisRole.LEADING:
            await trio.sleep(0.01)
        assert trio.current_time() - died_at < LEASE + 0.5
        await trio.sleep(0.1)
        await assert_equal(server, two.memory)
        # Only what was different was written.
        changes = [c for _, e in server.contents.changes if e.seq > before for c in e.changes]
        assert [each.is_whole for each in changes] == [False]


async def test_former_leader_stands_by(autojump_clock: MockClock) -> None:
    """It was cut off from Redis for longer than its lease."""
    server = VirtualRedis()
    one, two = Process(server), Process(server)
    async with running(one, two):
        for process in (one, two):
            await process.history(BTC, rows(0, 5))
        await trio.sleep(1)
        one.link.is_cut = True
        await one.update(candle(5, close=666.0))
        await trio.sleep(10)
        assert (one.role(), two.role()) == (RedisRole.AWAY, RedisRole.LEADING)
        one.link.is_cut = False
        await two.update(candle(5), candle(6, closed=False))
        await trio.sleep(10)
        assert (one.role(), two.role()) == (RedisRole.STANDBY, RedisRole.LEADING)
        await assert_equal(server, two.memory)
        assert one.report.describe()["waiting"] == 0


async def test_paused_leader_is_fenced(autojump_clock: MockClock) -> None:
    """It does not know that it was paused, and writes at once."""
    server = VirtualRedis()
    one = Process(server)
    async with running(one):
        await one.history(BTC, rows(0, 5))
        await trio.sleep(1)
        server.contents.holder = server.contents.leader = "another"
        server.contents.epoch += 1
        server.contents.held_until = trio.current_time() + 1000
        before = list(server.contents.lists[BTC])
        await one.update(candle(5), candle(6, closed=False))
        await trio.sleep(1)
        assert server.contents.lists[BTC] == before
        assert one.report.fenced == 1
        assert one.role() is RedisRole.STANDBY


async def test_ordered_stop_writes_what_is_left_and_lets_another_lead(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    one, two = Process(server), Process(server)
    async with running(one, two):
        await one.history(BTC, rows(0, 5))
        await two.history(BTC, rows(0, 5))
        await trio.sleep(1)
        await one.update(candle(5), candle(6, closed=False))
        await trio.testing.wait_all_tasks_blocked()
        one.journal.backlog.close()
        with trio.fail_after(0.2):
            await one.ended.wait()
        await assert_equal(server, one.memory)
        await trio.sleep(1.1)
        assert two.role() is RedisRole.LEADING


@pytest.mark.parametrize("trouble", ["frozen", "refused", "frozen from the start"])
async def test_stop_does_not_wait_for_redis(trouble: str, autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    server.is_frozen = trouble == "frozen from the start"
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await trio.sleep(1)
        server.is_frozen = trouble != "refused"
        server.refusal = "ConnectionError: refused"
        await process.update(candle(5), candle(6, closed=False))
        await trio.sleep(0.01)
        process.journal.backlog.close()
        with trio.fail_after(2.1):
            await process.ended.wait()


async def test_restart_of_the_actor_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await trio.sleep(1)
        process.journal.backlog.close()
        await process.ended.wait()
        await process.update(candle(5), candle(6, closed=False))
        async with trio.open_nursery() as nursery:
            await nursery.start(run_journal, process.journal, process.store)
            await process.update(candle(6), candle(7, closed=False))
            await trio.sleep(1)
            await assert_equal(server, process.memory)
            nursery.cancel_scope.cancel()


async def test_window_that_started_over_replaces_the_stored_one(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    process = Process(server)
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await trio.sleep(1)
        await process.history(BTC, rows(2000, 2010))
        await trio.sleep(1)
        await assert_equal(server, process.memory)
        assert server.contents.lists[BTC] == rows(2000, 2010)
