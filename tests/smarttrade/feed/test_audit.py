"""What is published against what the exchange has later: confirmed, repaired, logged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors import Mailbox
from smarttrade.binance.venue import BINANCE
from smarttrade.feed.audit import (
    CONFIRM_AFTER,
    AuditCounters,
    run_audit,
)
from smarttrade.feed.rest import RestClient
from smarttrade.feed.weight import Purpose, WeightBudget
from smarttrade.market.candle import Candle
from smarttrade.market.settling import SETTLING_TIME
from smarttrade.store.actor import run_store
from smarttrade.store.events import CandlesPublished, HubEvent, Published
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import GetPage, ListSymbols, Page, PutHistory, StoreMessage
from tests.fakes.exchange_rest import LONG_AFTER, MAIN, ReceivedRequest, RestExchange, candle
from tests.fakes.exchange_streams import BTC, MINUTE

LAST = 199  # the newest minute; it forms
ROUND = 20.0  # seconds


@dataclass
class Auditing:
    exchange: RestExchange
    rest: RestClient
    store: Mailbox[StoreMessage]
    counters: AuditCounters = field(default_factory=AuditCounters)
    corrected: list[Published] = field(default_factory=list)

    async def follow(self, hub: Mailbox[HubEvent]) -> None:
        async for event in hub:
            if isinstance(event, CandlesPublished):
                self.corrected += [each for each in event.published if each.corrected]

    def alter(self, minute: int, **values: Any) -> Candle:
        rows = self.exchange.history[BTC]
        rows[minute] = rows[minute]._replace(**values)
        return rows[minute]

    async def published(self, minute: int) -> Candle:
        page = await self.store.ask(partial(GetPage, BTC, 1, (minute + 1) * MINUTE))
        assert isinstance(page, Page)
        return page.candles[-1]


@asynccontextmanager
async def auditing(
    *,
    absent: int | None = None,
    before: Callable[[Auditing], None] = lambda _: None,
    clock: int = LONG_AFTER,
) -> AsyncIterator[Auditing]:
    """Everything is published as the exchange has it, but for the minute `absent`."""
    exchange = RestExchange()
    exchange.have(BTC, 0, LAST * MINUTE)
    store, hub = Mailbox[StoreMessage]("store", capacity=16), Mailbox[HubEvent]("hub", capacity=64)
    async with exchange.client() as http, trio.open_nursery() as nursery:
        made = Auditing(exchange, RestClient(BINANCE, http, [MAIN], WeightBudget(6000)), store)
        made.rest.clock.learn(clock, trio.current_time())
        memory = MemoryStore(["BTCUSDT"], [BTC.interval])
        nursery.start_soon(partial(run_store, store, memory, hub=hub, gaps=None))
        nursery.start_soon(made.follow, hub)
        await store.tell(ListSymbols(["BTCUSDT"]))
        rows = [row for row in exchange.history[BTC] if row.open_time != (absent or -1) * MINUTE]
        await store.tell(PutHistory(BTC, rows, None))
        before(made)
        await nursery.start(
            partial(run_audit, store, made.rest, counters=made.counters, target_round=ROUND)
        )
        yield made
        nursery.cancel_scope.cancel()


async def test_what_agrees_is_left_alone(autojump_clock: MockClock) -> None:
    async with auditing() as made:
        await trio.sleep(5.5 * ROUND)
    assert made.counters.turns == 5
    assert made.counters.compared == 5 * (LAST)
    assert made.counters.differences == 0
    assert made.corrected == []
    assert len(made.exchange.requests) == 5


async def test_altered_history_is_confirmed_repaired_published_and_logged(
    autojump_clock: MockClock,
) -> None:
    with capture_logs() as logs:
        async with auditing() as made:
            held = await made.published(150)
            row = made.alter(150, close=1.5, volume=11.0)
            await trio.sleep(ROUND + CONFIRM_AFTER + 1)
            assert (await made.published(150)).same_values(row)
            await trio.sleep(3 * ROUND)
    assert [(each.series, each.candle.open_time) for each in made.corrected] == [
        (BTC, 150 * MINUTE)
    ]
    assert made.corrected[0].candle.same_values(row)
    assert made.corrected[0].candle.closed
    assert made.counters.differences == 1
    [logged] = [log for log in logs if log["event"] == "audit_difference"]
    assert logged["published"] == held[1:6]
    assert logged["exchange"] == row[1:6]
    times = [asked.at for asked in made.exchange.requests]
    assert times[1] - times[0] >= CONFIRM_AFTER  # what was read once more


async def test_answer_that_was_stale_once_repairs_nothing(autojump_clock: MockClock) -> None:
    async with auditing() as made:
        truth = list(made.exchange.history[BTC])
        made.alter(150, volume=3.0)

        def only_once(asked: ReceivedRequest) -> httpx.Response | None:
            if len(made.exchange.requests) > 1:
                made.exchange.history[BTC] = truth
            return None

        made.exchange.before = only_once
        await trio.sleep(3 * ROUND)
        assert (await made.published(150)).same_values(truth[150])
    assert made.corrected == []
    assert made.counters.differences == 0


async def test_second_answer_that_says_a_third_thing_repairs_nothing(
    autojump_clock: MockClock,
) -> None:
    async with auditing() as made:

        def ever_another(asked: ReceivedRequest) -> httpx.Response | None:
            made.alter(150, volume=100.0 + len(made.exchange.requests))
            return None

        made.exchange.before = ever_another
        await trio.sleep(5 * ROUND)
    assert made.corrected == []


async def test_candle_that_is_absent_here_is_put_in(autojump_clock: MockClock) -> None:
    async with auditing(absent=150) as made:
        assert (await made.published(150)).open_time == 149 * MINUTE
        await trio.sleep(ROUND + CONFIRM_AFTER + 1)
        assert (await made.published(150)).same_values(candle(150 * MINUTE))
    assert [each.candle.open_time for each in made.corrected] == [150 * MINUTE]


async def test_what_has_just_closed_is_not_compared(autojump_clock: MockClock) -> None:
    """The exchange may still be writing it."""
    at_turn = int(1000 * ROUND)
    async with auditing(clock=LAST * MINUTE + SETTLING_TIME - 1000 - at_turn) as made:
        for minute in (LAST - 1, LAST):
            made.alter(minute, volume=99.0)
        await trio.sleep(ROUND + CONFIRM_AFTER + 1)
    assert made.counters.turns == 1
    assert made.counters.compared == LAST - 1
    assert made.corrected == []


async def test_burst_of_weight_does_not_stop_it(autojump_clock: MockClock) -> None:
    def busy(made: Auditing) -> None:
        budget = made.rest.budget
        while not budget.reserve(2, Purpose.GAP, trio.current_time()):
            pass

    async with auditing(before=busy) as made:
        await trio.sleep(2.5 * ROUND)
        assert made.counters.turns == 2
        assert made.counters.skipped == 0


async def test_exchange_that_does_not_answer_is_asked_in_the_next_round(
    autojump_clock: MockClock,
) -> None:
    async with auditing() as made:
        made.exchange.before = lambda asked: httpx.Response(503)
        await trio.sleep(2.5 * ROUND)
        made.exchange.before = lambda asked: None
        await trio.sleep(ROUND)
    assert made.counters.skipped == 2
    assert made.counters.turns == 1
