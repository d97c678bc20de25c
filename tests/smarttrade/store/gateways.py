"""A gateway that follows a leader, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from actors import Mailbox
from smarttrade.market.candle import Candle
from smarttrade.market.series import Series
from smarttrade.store.actor import run_store
from smarttrade.store.events import (
    CandlesPublished,
    FeedChanged,
    HubEvent,
)
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    ReportFeed,
    StoreMessage,
)
from smarttrade.store.redis_report import RelayReport
from smarttrade.store.relay import run_relay
from tests.fakes.candles import BTC, ETH, rows
from tests.fakes.database import VirtualDatabase, VirtualRedis
from tests.fakes.journals import Process, running

STALE_AFTER = 3.0


class Gateway:
    def __init__(self, server: VirtualRedis, *, capacity: int = 1000) -> None:
        self.link: VirtualDatabase = server.connect()
        self.memory = MemoryStore(("DOGEUSDT",), (BTC.interval,))
        self.report = RelayReport(lambda: 0.0)
        self.store = Mailbox[StoreMessage]("store", capacity=capacity)
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
