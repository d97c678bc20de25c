"""What one leader has published as final stays so, whichever process is asked and leads next."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from smarttrade.market.window import WINDOW_SIZE
from smarttrade.store.backlog import MAX_DIFFERENCES
from smarttrade.store.database import StoredWindow
from smarttrade.store.events import Published
from smarttrade.store.messages import CorrectCandles, ReportExchangeTime
from smarttrade.store.redis_format import FORMAT
from smarttrade.store.redis_report import RedisRole
from tests.fakes.candles import BTC, at, candle, rows, states
from tests.fakes.database import VirtualRedis
from tests.fakes.journals import LEASE, Process, running


async def test_takeover_undoes_no_close(autojump_clock: MockClock) -> None:
    """The standby's stream lags: it has the newest candle forming, and lacks three more."""
    server = VirtualRedis()
    one, two = Process(server), Process(server)
    async with running(one):
        await one.history(BTC, rows(0, 5))
        await trio.sleep(1)
        async with running(two):
            await two.history(BTC, rows(0, 5))
            await trio.sleep(1)
            two.link.is_cut = True
            await one.update(*map(candle, range(5, 9)), candle(9, closed=False))
            await trio.sleep(1)
            one.kill()
            two.link.is_cut = False
            await trio.sleep(3 * LEASE)
            assert two.role() is RedisRole.LEADING
            state = two.memory.state_of(BTC)
            assert state is not None
            assert states(state.candles) == [*((n, True) for n in range(9)), (9, False)]
            assert states(server.contents.lists[BTC]) == states(state.candles)


MANY = tuple(f"S{number:04}USDT" for number in range(300))


async def publish(process: Process, minute: int) -> None:
    """Close a minute of every series, and begin the next."""
    for series in process.memory.listed:
        await process.update(candle(minute), candle(minute + 1, closed=False), series=series)


def written_since(server: VirtualRedis, seq: int) -> list[Published]:
    return [
        published
        for _, entry in server.contents.changes
        if entry.seq > seq
        for change in entry.changes
        for published in change.published
    ]


async def test_takeover_of_many_series_begins_with_what_is_live(autojump_clock: MockClock) -> None:
    """To read and compare all of them takes a minute here."""
    server = VirtualRedis()
    one, two = Process(server, *MANY), Process(server, *MANY)
    async with running(one):
        for series in one.memory.listed:
            await one.history(series, rows(0, 5))
        await trio.sleep(5)
        async with running(two):
            for series in two.memory.listed:
                await two.history(series, rows(0, 5))
            await publish(one, 5)
            await publish(two, 5)
            await trio.sleep(10)
            two.link.load_latency = 2.0
            one.kill()
            died_at, seq = trio.current_time(), server.contents.seq
            await publish(two, 6)
            while len(written_since(server, seq)) < 2 * len(MANY):
                await trio.sleep(0.01)
            assert trio.current_time() - died_at < LEASE + 0.6
            assert two.report.comparisons == 0
            found = written_since(server, seq)
            assert not any(each.corrected for each in found)
            for series in two.memory.listed:
                states_of_series = [each.candle for each in found if each.series == series]
                assert states(states_of_series) == [(6, True), (7, False)]
            await trio.sleep(2.0 * len(MANY))
            assert two.report.comparisons == 1
            assert await two.link.load(two.memory.listed) == [
                StoredWindow(series, two.memory.state_of(series), None, server.contents.seq)
                for series in two.memory.listed
            ]


async def test_standby_does_not_repeat_what_the_leader_has_published(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    one, two = Process(server), Process(server)
    async with running(one, two):
        for process in (one, two):
            await process.history(BTC, rows(0, 5))
        for minute in range(5, 400):
            await two.update(candle(minute), candle(minute + 1, closed=False))
            await one.update(candle(minute), candle(minute + 1, closed=False))
            await trio.sleep(0.1)
        assert len(two.journal.backlog) == 0
        one.kill()
        seq = server.contents.seq
        await trio.sleep(LEASE + 0.2)
        assert two.role() is RedisRole.LEADING
        assert written_since(server, seq) == []


async def test_series_that_the_leader_does_not_publish_waits_for_its_comparison(
    autojump_clock: MockClock,
) -> None:
    """What a standby collects is bounded; a leader with fewer series is an operator's mistake."""
    server = VirtualRedis()
    one, two = Process(server, "ETHUSDT"), Process(server)
    async with running(one, two):
        await two.history(BTC, rows(0, 5))
        for minute in range(5, 2000):
            await two.update(candle(minute), candle(minute + 1, closed=False))
            if minute % 50 == 0:
                await trio.sleep(1)
                pending = two.journal.backlog._candles.get(BTC, {})
                assert len(pending) <= MAX_DIFFERENCES
        one.kill()
        await trio.sleep(LEASE + 1)
        state = two.memory.state_of(BTC)
        assert state is not None
        assert server.contents.lists[BTC] == list(state.candles)


async def test_start_writes_what_is_live_of_the_series_that_are_compared(
    autojump_clock: MockClock,
) -> None:
    """And of no other: what is stored of it may be later."""
    server = VirtualRedis()
    server.contents.origin, server.contents.format = "binance.com", FORMAT
    one = Process(server, *MANY)
    for series in one.memory.listed:
        server.contents.lists[series] = rows(0, 5)
    one.link.load_latency = 2.0
    async with running(one):
        assert one.role() is RedisRole.LEADING
        await trio.sleep(1)
        await publish(one, 5)
        await trio.sleep(3)
        lengths = {len(server.contents.lists[series]) for series in one.memory.listed}
        first, last = one.memory.listed[0], one.memory.listed[-1]
        assert lengths == {6, 7}
        assert len(server.contents.lists[first]) == 7
        assert len(server.contents.lists[last]) == 6
        await trio.sleep(2.0 * len(MANY))
        assert one.report.comparisons == 1


async def test_standby_that_missed_entries_compares_before_it_writes(
    autojump_clock: MockClock,
) -> None:
    """It was cut off while the leader wrote more than the change stream keeps."""
    server = VirtualRedis(stream_length=5)
    one, two = Process(server), Process(server)
    async with running(one, two):
        for process in (one, two):
            await process.history(BTC, rows(0, 5))
        await trio.sleep(1)
        two.link.is_cut = True
        for minute in range(5, 30):
            await one.update(candle(minute), candle(minute + 1, closed=False))
            await trio.sleep(0.5)
        one.kill()
        await trio.sleep(LEASE)
        two.link.is_cut = False
        await trio.sleep(10)
        state = two.memory.state_of(BTC)
        assert state is not None
        assert states(state.candles)[-2:] == [(29, True), (30, False)]
        assert states(server.contents.lists[BTC]) == states(state.candles)


async def test_standby_has_the_leaders_closes_and_corrections(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    one, two = Process(server), Process(server)
    async with running(one):
        await one.history(BTC, rows(0, 5))
        await trio.sleep(1)
        async with running(two):
            await two.history(BTC, rows(0, 5))
            await trio.sleep(1)
            assert two.role() is RedisRole.STANDBY
            await one.update(candle(5), candle(6, closed=False))
            await one.store.tell(CorrectCandles(BTC, [candle(2, close=7.0)]))
            await trio.sleep(0.1)
            state = two.memory.state_of(BTC)
            assert state is not None
            assert state.candles[5] == candle(5)
            assert state.candles[2] == candle(2, close=7.0)
            assert [each.open_time for each in state.corrections] == [at(2)]


async def test_corrections_outlive_a_restart(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    one = Process(server)
    async with running(one):
        await one.history(BTC, rows(0, 5))
        await one.update(candle(5), candle(6, closed=False))
        await one.store.tell(CorrectCandles(BTC, [candle(1, close=7.0)]))
        await trio.sleep(1)
        one.kill()
    two = Process(server)
    async with running(two):
        await trio.sleep(0.1)
        state = two.memory.state_of(BTC)
        assert state is not None
        assert [each.open_time for each in state.corrections] == [at(1)]


async def test_list_that_is_damaged_while_it_is_written_to_is_replaced(
    autojump_clock: MockClock,
) -> None:
    """A leader that is never idle looks after what is stored, too."""
    server = VirtualRedis()
    one = Process(server)
    async with running(one):
        await one.history(BTC, rows(0, 5))
        await trio.sleep(1)
        server.contents.lists[BTC][1] = candle(1, close=9.0)  # of the same length
        for event in range(100):
            forming = candle(5, closed=False, volume=event + 20.0)
            await one.update(forming._replace(event_time=at(5) + 3000 + 100 * event))
            await trio.sleep(0.1)
        assert server.contents.lists[BTC][1].close == candle(1).close


async def test_restored_window_that_is_not_full_is_completed(autojump_clock: MockClock) -> None:
    server = VirtualRedis()
    server.contents.origin, server.contents.format = "binance.com", FORMAT
    server.contents.lists[BTC] = rows(500, 600, closed=True)
    process = Process(server)
    async with running(process):
        await trio.sleep(0.1)
        await process.history(BTC, rows(0, 601))
        await trio.sleep(1)
        state = process.memory.state_of(BTC)
        assert state is not None
        assert [each.open_time for each in state.candles] == [at(n) for n in range(602)]
        assert state.corrections == ()
        assert len(state.candles) < WINDOW_SIZE


DAY = 86_400


@pytest.mark.parametrize(
    ("wall", "is_served"), [(0, True), (-DAY, True), (-DAY - 1, False), (10 * DAY, True)]
)
async def test_what_is_stored_and_later_than_the_local_clock_waits_for_the_exchanges(
    wall: int, is_served: bool, autojump_clock: MockClock
) -> None:
    """The exchange does not answer, so its own clock is not known."""
    server = VirtualRedis()
    server.contents.origin, server.contents.format = "binance.com", FORMAT
    server.contents.lists[BTC] = rows(0, 5)
    process = Process(server, wall=at(5) / 1000 + wall)
    async with running(process):
        await trio.sleep(10)
        assert (process.memory.state_of(BTC) is not None) is is_served
        assert len(server.contents.lists[BTC]) == 6
        await process.store.tell(ReportExchangeTime(at(5)))
        await process.history(BTC, rows(0, 5))
        await trio.sleep(1)
        state = process.memory.state_of(BTC)
        assert state is not None
        assert states(server.contents.lists[BTC]) == states(state.candles)


async def test_what_is_stored_and_later_than_the_exchanges_clock_is_never_served(
    autojump_clock: MockClock,
) -> None:
    """Its clock becomes known while what is stored is being read."""
    server = VirtualRedis()
    server.contents.origin, server.contents.format = "binance.com", FORMAT
    server.contents.lists[BTC] = rows(0, 500)
    process = Process(server, wall=at(500) / 1000)
    process.link.load_latency = 5.0
    async with running(process):
        await process.store.tell(ReportExchangeTime(at(5)))
        await trio.sleep(10)
        assert process.memory.state_of(BTC) is None
        await process.history(BTC, rows(0, 5))
        await trio.sleep(20)
        assert states(server.contents.lists[BTC]) == [*((n, True) for n in range(5)), (5, False)]
