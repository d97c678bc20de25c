"""A store and its journal, as in one process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from actors import Mailbox
from smarttrade.market.candle import Candle
from smarttrade.market.series import Series
from smarttrade.store.actor import run_store
from smarttrade.store.events import CandlesMissing
from smarttrade.store.journal import Journal, run_journal
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import PutHistory, PutUpdates, StoreMessage
from smarttrade.store.origin import OwnExchange
from smarttrade.store.redis_report import RedisRole
from tests.fakes.candles import BTC, at
from tests.fakes.database import BINANCE, VirtualDatabase, VirtualRedis

LEASE = 3.0


class Process:
    """A store and its journal."""

    def __init__(
        self,
        server: VirtualRedis,
        *symbols: str,
        exchange: OwnExchange = BINANCE,
        wall: float = at(5) / 1000,
        capacity: int = 100,
    ) -> None:
        self.link: VirtualDatabase = server.connect(exchange)
        self.memory = MemoryStore(
            symbols or ("BTCUSDT", "ETHUSDT"), (BTC.interval,), origin=exchange.name
        )
        self.journal = Journal(self.memory, self.link, lease=LEASE, wall_clock=lambda: wall)
        self.report = self.journal.report
        self.store = Mailbox[StoreMessage]("store", capacity=capacity)
        self.gaps = Mailbox[CandlesMissing]("gaps", capacity=1000)
        self.scope = trio.CancelScope()
        self.ended = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._journal)
                store = partial(run_store, hub=None, gaps=self.gaps, backlog=self.journal.backlog)
                await nursery.start(store, self.store, self.memory)
                task_status.started()

    async def _journal(self, *, task_status: trio.TaskStatus[None]) -> None:
        await run_journal(self.journal, self.store, task_status=task_status)
        self.ended.set()

    async def history(self, series: Series, candles: Sequence[Candle]) -> None:
        await self.store.tell(PutHistory(series, candles, None))

    async def update(self, *candles: Candle, series: Series = BTC) -> None:
        await self.store.tell(PutUpdates([(series, each) for each in candles]))

    def role(self) -> RedisRole:
        return self.report.role

    def kill(self) -> None:
        """Cut it off from the server and end it, as kill -9 does."""
        self.link.is_cut = True
        self.scope.cancel()


@asynccontextmanager
async def running(*processes: Process) -> AsyncGenerator[None]:
    async with trio.open_nursery() as nursery:
        for process in processes:
            await nursery.start(process.run)
        yield
        nursery.cancel_scope.cancel()
