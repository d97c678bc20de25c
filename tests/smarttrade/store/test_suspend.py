"""A machine that was suspended: nothing counts as up to date until the exchange confirms it."""

from __future__ import annotations

from functools import partial

import trio
from trio.testing import MockClock

from actors import Mailbox
from smarttrade.store.actor import run_store
from smarttrade.store.exchange_clock import DISTRUST_FOR, ExchangeClock
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import GetOverview, Overview, PutHistory, PutUpdates, StoreMessage
from smarttrade.store.steady_clock import SteadyClock
from tests.fakes.candles import BTC, at, candle, rows

HOURS = 8 * 3600.0


class Machine:
    def __init__(self) -> None:
        self.slept = 0.0
        self.store = Mailbox[StoreMessage]("store", capacity=10)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        memory = MemoryStore(["BTCUSDT"], [BTC.interval])
        run = partial(run_store, hub=None, gaps=None, suspended=lambda: self.slept)
        await run(self.store, memory, task_status=task_status)

    async def reason(self) -> str | None:
        overview: Overview = await self.store.ask(GetOverview)
        return overview.not_ready.get(BTC)


async def test_first_answer_after_a_suspend_is_not_ready(autojump_clock: MockClock) -> None:
    machine = Machine()
    async with trio.open_nursery() as nursery:
        await nursery.start(machine.run)
        await machine.store.tell(PutHistory(BTC, rows(0, 5), None))
        await machine.store.tell(PutUpdates([(BTC, candle(5, closed=False, event=30, volume=20))]))
        assert await machine.reason() is None
        for slept in (20.0, HOURS):  # a short one, within the candle, and a night
            machine.slept += slept
            assert await machine.reason() is not None
            await machine.store.tell(
                PutUpdates([(BTC, candle(5, closed=False, event=31 + (slept == HOURS), volume=21))])
            )
            assert await machine.reason() is not None  # it had waited in the socket
        minute = 5 + int(HOURS) // 60
        now = candle(minute, closed=False, event=51)
        await machine.store.tell(PutHistory(BTC, rows(0, 999), None))
        await machine.store.tell(PutHistory(BTC, [now._replace(from_rest=True)], at(minute)))
        await machine.store.tell(PutUpdates([(BTC, now._replace(event_time=now.event_time + 1))]))
        assert await machine.reason() is None
        nursery.cancel_scope.cancel()


def test_late_events_are_not_believed_for_a_while() -> None:
    clock = ExchangeClock()
    clock.learn(1_000_000, 0.0)
    clock.distrust_late(100.0)
    clock.learn(1_050_000, 100.0)
    assert clock.estimate(100.0) == 1_100_000
    clock.learn(1_101_000, 101.5)
    assert clock.estimate(101.5) == 1_101_000
    clock.learn(1_102_000, 100.0 + DISTRUST_FOR + 1)
    assert clock.latest == 1_102_000


async def test_time_suspended_before_the_start_does_not_count(autojump_clock: MockClock) -> None:
    slept = HOURS
    clock = SteadyClock(lambda: slept)
    assert clock.now() == trio.current_time()
    slept += 20.0
    assert clock.now() == trio.current_time() + 20.0
