"""A store and a hub in virtual time, and sessions as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio
from trio.testing import wait_all_tasks_blocked

from actors import Mailbox
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.session.actor import (
    run_legacy_session,
    run_session,
)
from smarttrade.session.budget import Budget
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.draining import Draining
from smarttrade.session.hub_actor import run_hub
from smarttrade.session.hub_counters import HubCounters
from smarttrade.session.protocol import SessionProtocol
from smarttrade.session.session_limits import SessionLimits
from smarttrade.session.subscriber import Subscriber
from smarttrade.store.actor import run_store
from smarttrade.store.events import CandlesMissing, HubEvent
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    PutHistory,
    PutUpdates,
    StoreMessage,
)
from tests.fakes.candles import BTC, rows
from tests.fakes.clients import MemoryClient
from tests.fakes.frames import Message

BTC_1M = {"symbol": "BTCUSDT", "interval": "1m"}


@dataclass
class Service:
    """A store and a hub, with BTC's history, and sessions as they come."""

    nursery: trio.Nursery
    store: Mailbox[StoreMessage] = field(default_factory=lambda: Mailbox("store", capacity=100))
    hub: Mailbox[HubEvent] = field(default_factory=lambda: Mailbox("hub", capacity=100))
    gaps: Mailbox[CandlesMissing] = field(default_factory=lambda: Mailbox("gaps", capacity=100))
    counters: HubCounters = field(default_factory=HubCounters)
    draining: Draining = field(default_factory=Draining)
    ended: list[float] = field(default_factory=list)
    """When each session ended, in order."""

    async def start_store(self) -> None:
        memory = MemoryStore(["BTCUSDT", "ETHUSDT"], [Interval.MINUTE_1])
        await self.nursery.start(
            partial(run_store, self.store, memory, hub=self.hub, gaps=self.gaps)
        )
        await self.store.tell(PutHistory(BTC, rows(0, 3), None))

    async def start_hub(self) -> None:
        await self.nursery.start(
            partial(run_hub, self.hub, CandleTexts(), self.counters, heartbeat=25)
        )

    def welcome(
        self, client: MemoryClient, limits: SessionLimits | None = None
    ) -> trio.CancelScope:
        """Begin a session; cancel what is returned when the client vanishes."""
        client.outbox.write_in(self.nursery)
        limits = limits or SessionLimits()
        budget = Budget(limits)
        protocol = SessionProtocol("s1", "smarttrade/9", 25, limits, budget)
        return self._begin(
            partial(
                run_session,
                client,
                Subscriber(client.outbox, budget),
                protocol,
                self.store,
                draining=self.draining,
            )
        )

    def welcome_legacy(
        self, client: MemoryClient, series: Series = BTC, limits: SessionLimits | None = None
    ) -> trio.CancelScope:
        client.outbox.write_in(self.nursery)
        return self._begin(
            partial(
                run_legacy_session,
                client,
                Subscriber(client.outbox, Budget(limits or SessionLimits()), legacy=True),
                series,
                self.store,
                draining=self.draining,
            )
        )

    def _begin(self, session: Callable[[], Awaitable[None]]) -> trio.CancelScope:
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await session()
            self.ended.append(trio.current_time())

        self.nursery.start_soon(run)
        return scope

    async def put(self, *candles: Candle, series: Series = BTC) -> None:
        await self.store.tell(PutUpdates([(series, each) for each in candles]))
        await wait_all_tasks_blocked()

    def is_empty(self) -> bool:
        return (self.counters.subscribers, self.counters.subscriptions) == (0, 0)


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    with trio.fail_after(3600):
        async with trio.open_nursery() as nursery:
            service = Service(nursery)
            await service.start_store()
            await service.start_hub()
            yield service
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def serving_nothing() -> AsyncIterator[Service]:
    """Only the mailboxes."""
    with trio.fail_after(3600):
        async with trio.open_nursery() as nursery:
            yield Service(nursery)
            nursery.cancel_scope.cancel()


def kinds(messages: Sequence[Message]) -> list[str]:
    return [each["type"] for each in messages]
