"""A leader that writes a candle after the other to a real Redis, and a gateway that follows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from actors import Mailbox
from smarttrade.market.candle import Candle
from smarttrade.store.actor import run_store
from smarttrade.store.database import Database
from smarttrade.store.events import CandlesPublished, HubEvent
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.journal import Journal, run_journal
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import PutHistory, PutUpdates, ReportFeed, StoreMessage
from smarttrade.store.redis_report import RelayReport
from smarttrade.store.relay import run_relay

from .candles import BTC, candle, rows

LEASE = 3.0
INTERVAL = 0.05  # seconds between two candles
MAX_PAUSE = 20.0  # seconds in which writes go on, whatever fails
HISTORY = 5  # closed candles, and one that is not


class Followed:
    def __init__(self, connect: Callable[[], Database]) -> None:
        self._written = MemoryStore(("BTCUSDT",), (BTC.interval,), origin="binance.com")
        self._read = MemoryStore(("BTCUSDT",), (BTC.interval,))
        self._leader = Mailbox[StoreMessage]("store", capacity=100)
        self._gateway = Mailbox[StoreMessage]("store", capacity=100)
        self._hub = Mailbox[HubEvent]("hub", capacity=10_000)
        self._databases = (connect(), connect())
        self.journal = Journal(self._written, self._databases[0], lease=LEASE)
        self.relay = RelayReport(lambda: 0.0)
        self.closed = 0
        """How many candles the leader has closed."""
        self.closes: list[int] = []
        """The minute of each close that the gateway has published, in order."""
        self.longest_pause = 0.0
        """Seconds between two of them."""
        self._heard_at = 0.0

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(run_journal, self.journal, self._leader)
            store = partial(run_store, hub=None, gaps=None, backlog=self.journal.backlog)
            await nursery.start(store, self._leader, self._written)
            await self._leader.tell(PutHistory(BTC, rows(0, HISTORY), None))
            await self._leader.tell(ReportFeed(FeedStatus(Feed.LIVE, 1.0)))
            with trio.fail_after(20):
                while self.journal.report.batches == 0:
                    await trio.sleep(0.01)
            relay = partial(run_relay, self._databases[1], self._gateway, self.relay)
            await nursery.start(partial(relay, stale_after=3.0))
            store = partial(run_store, hub=self._hub, gaps=None)
            await nursery.start(store, self._gateway, self._read)
            nursery.start_soon(self._write)
            task_status.started()
            while True:
                self._note(await self._hub.receive())

    async def _write(self) -> None:
        while True:
            minute = HISTORY + self.closed
            await self._leader.tell(
                PutUpdates([(BTC, candle(minute)), (BTC, candle(minute + 1, closed=False))])
            )
            self.closed += 1
            await trio.sleep(INTERVAL)

    def _note(self, event: HubEvent) -> None:
        if not isinstance(event, CandlesPublished):
            return
        published = [each for each in event.published if not each.corrected]
        closes = [_minute(each.candle) for each in published if each.candle.closed]
        now = trio.current_time()
        if closes and self.closes:
            self.longest_pause = max(self.longest_pause, now - self._heard_at)
        if closes:
            self._heard_at = now
        self.closes += closes

    def reconnect(self) -> None:
        for each in self._databases:
            each.reconnect()

    async def until_followed(self) -> None:
        """Wait until the gateway has a close that is written from now on."""
        minute = HISTORY + self.closed
        with trio.fail_after(60):
            while not self.closes or self.closes[-1] < minute:
                await trio.sleep(0.01)

    def assert_complete(self) -> None:
        """Every close once, in order."""
        assert self.closes == [*range(self.closes[0], self.closes[-1] + 1)]
        assert self.closes[0] == HISTORY
        ours, theirs = self._read.state_of(BTC), self._written.state_of(BTC)
        assert ours is not None
        assert theirs is not None
        final = len(self.closes) + self.closes[0]
        assert list(ours.candles)[:final] == list(theirs.candles)[:final]


def _minute(each: Candle) -> int:
    return (each.open_time - candle(0).open_time) // 60_000


@asynccontextmanager
async def followed(
    connect: Callable[[], Database], *, max_pause: float = MAX_PAUSE
) -> AsyncGenerator[Followed]:
    """Both run, and the gateway has the first closes; in the end, it has all, and soon enough."""
    both = Followed(connect)
    async with trio.open_nursery() as nursery:
        await nursery.start(both.run)
        await both.until_followed()
        yield both
        await both.until_followed()
        both.assert_complete()
        assert both.longest_pause < max_pause
        nursery.cancel_scope.cancel()
