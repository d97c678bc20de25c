"""What one leader has published as final stays so, whichever process is asked and leads next."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from smarttrade.market.window import WINDOW_SIZE
from smarttrade.store.messages import CorrectCandles
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
    server.contents.origin, server.contents.format = "binance.com", "2"
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
