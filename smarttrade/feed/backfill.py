"""The backfill actor: reads over REST exactly what the store says is missing."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog
import trio

from actors import Mailbox

from ..market.packed_candles import PackedCandles
from ..market.series import Series
from ..store.events import CandlesMissing
from ..store.messages import (
    CheckOverdue,
    FindMissing,
    GetListed,
    HistoryRefused,
    PutHistory,
    StoreMessage,
)
from .backfill_queue import Attempt, BackfillQueue
from .errors import ExchangeRefused, ExchangeUnavailable
from .listing import log_states, report_symbols
from .network import CONNECTIONS
from .rest import MAX_KLINES, RestClient
from .symbols import SymbolTracker
from .weight import Purpose

logger = structlog.get_logger("feed.backfill")

MAX_ATTEMPTS = 5
"""Attempts in a row in which history does not list what the stream reported. In the last one, what
follows is read too; if it is not listed then either, the range is left to the store."""

CHECK_OVERDUE_INTERVAL = 1.0  # seconds

STREAM_FIRST = 1.0
"""Seconds in which the stream may connect. It then requests all history itself; what was read
before that would have to be read again, since updates in between were not received."""

Progress = Callable[[int, int], None]
"""Called with the number of series that have their history, and of all."""


async def run_backfill(
    gaps: Mailbox[CandlesMissing],
    store: Mailbox[StoreMessage],
    rest: RestClient,
    *,
    progress: Progress,
    symbols: SymbolTracker | None = None,
    wall_clock: Callable[[], float] = time.time,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Read every series' history, then what is found to be missing, until cancelled.

    `symbols` is where it is noted whose history the exchange refuses; it outlives this actor.
    Without a stream too, but only after `STREAM_FIRST`. A restart asks the store again, so nothing
    that was missing is forgotten.
    """
    task_status.started()
    backfill = _Backfill(store, rest, progress, symbols or SymbolTracker(()), wall_clock)
    async with trio.open_nursery() as nursery:
        # Before anything is asked: a store that waits for room in `gaps` does not answer.
        nursery.start_soon(backfill.collect, gaps)
        series = await store.ask(GetListed)
        backfill.expect(series)
        for _ in range(CONNECTIONS):
            nursery.start_soon(backfill.work)
        nursery.start_soon(_check_overdue, store)
        await trio.sleep(STREAM_FIRST)
        if left := backfill.not_asked_for():
            await store.tell(FindMissing(left, skip_restored=True))


async def _check_overdue(store: Mailbox[StoreMessage]) -> None:
    while True:
        await trio.sleep(CHECK_OVERDUE_INTERVAL)
        await store.tell(CheckOverdue())


class _Backfill:
    """The queue, and the workers that read what is in it."""

    def __init__(
        self,
        store: Mailbox[StoreMessage],
        rest: RestClient,
        progress: Progress,
        symbols: SymbolTracker,
        wall_clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._rest = rest
        self._symbols = symbols
        self._wall_clock = wall_clock
        self._progress = progress
        self._total = 0
        self._without_history: dict[Series, None] = {}  # in order
        self._queue = BackfillQueue()
        self._idle = trio.lowlevel.ParkingLot()

    def expect(self, series: Sequence[Series]) -> None:
        """Count the progress of these; those that turn out to have history do not count."""
        self._total = len(series)
        shortest_first = sorted(series, key=lambda s: s.interval.typical_length)
        self._without_history = dict.fromkeys(shortest_first)

    def not_asked_for(self) -> tuple[Series, ...]:
        """Those that have no history, and none is being read."""
        return tuple(s for s in self._without_history if s not in self._queue)

    async def collect(self, gaps: Mailbox[CandlesMissing]) -> None:
        async for missing in gaps:
            self._queue.add(missing)
            self._idle.unpark()

    async def work(self) -> None:
        while True:
            taken = self._queue.take(trio.current_time())
            if taken is None:
                await self._wait()
            else:
                await self._attempt(taken)
                self._idle.unpark()  # what was put back may be due before anything else comes

    async def _wait(self) -> None:
        wait = self._queue.wait(trio.current_time())
        with trio.move_on_after(math.inf if wait is None else wait):
            await self._idle.park()

    def _count(self, missing: CandlesMissing) -> None:
        is_first = missing.series in self._without_history
        self._without_history.pop(missing.series, None)
        if is_first and missing.first is None:
            self._progress(self._total - len(self._without_history), self._total)

    async def _attempt(self, taken: Attempt) -> None:
        """One attempt of bounded length: at most two pages, each from every host at most once."""
        missing, symbol = taken.missing, taken.missing.series.symbol
        is_last = missing.last is not None and taken.fruitless >= MAX_ATTEMPTS
        try:
            first, rows = await self._read(missing, is_beyond=is_last)
        except ExchangeRefused as error:
            logger.error("history_refused", series=str(missing.series), error=str(error))
            if self._symbols.refuse(symbol, self._wall_clock()):
                await self._report(symbol)
            await self._give_up(missing)
        except ExchangeUnavailable as error:
            logger.warning("history_unavailable", series=str(missing.series), error=str(error))
            is_reachable = error.kind is None
            if is_reachable and self._symbols.fail(symbol, trio.current_time(), self._wall_clock()):
                await self._report(symbol)
            self._postpone(missing, is_reachable=is_reachable)
        else:
            if self._symbols.accept(symbol, self._wall_clock()):
                await self._report(symbol)
            # An empty answer is one as well: there is nothing new.
            await self._store.tell(PutHistory(missing.series, rows, first))
            reached = rows[-1].open_time if rows else None
            remaining = replace(missing, first=reached or first)
            if _is_complete(missing, first, reached, len(rows)):
                self._queue.settle(missing.series, reached)
                self._count(missing)
            elif len(rows) >= MAX_KLINES:
                self._queue.resume(remaining)
            elif is_last:
                logger.warning(
                    "history_not_listed", series=str(missing.series), first=remaining.first
                )
                await self._give_up(missing)
            else:  # the exchange's history lags behind its stream
                self._postpone(remaining)

    async def _report(self, symbol: str) -> None:
        log_states([symbol], self._symbols)
        await report_symbols(self._symbols, self._store)

    def _postpone(self, remaining: CandlesMissing, *, is_reachable: bool = True) -> None:
        self._queue.postpone(
            remaining, trio.current_time(), chance=random.random(), is_reachable=is_reachable
        )

    async def _give_up(self, missing: CandlesMissing) -> None:
        """Leave it to the store, which asks again after growing pauses."""
        self._queue.give_up(missing.series, trio.current_time())
        await self._store.tell(HistoryRefused(missing.series))
        self._count(missing)

    async def _read(
        self, missing: CandlesMissing, *, is_beyond: bool
    ) -> tuple[int | None, PackedCandles]:
        """What is missing, or its oldest part, and from which open time on it was asked for.

        When more is missing than a window holds, the newest are read instead. `is_beyond`: read on
        after its end, since history that lists later candles and not these proves that it has none.
        """
        first, last = missing.first, None if is_beyond else missing.last
        if _is_too_much(missing):
            first = None
        rows = await self._klines(missing, first, last)
        if first is None or missing.last is not None or len(rows) < MAX_KLINES:
            return first, rows
        newest = await self._klines(missing, None, None)
        if newest and newest[0].open_time <= rows[-1].open_time:
            await self._store.tell(PutHistory(missing.series, rows, first))
        return None, newest

    async def _klines(
        self, missing: CandlesMissing, first: int | None, last: int | None
    ) -> PackedCandles:
        purpose = Purpose.START if missing.first is None else Purpose.GAP
        return await self._rest.klines(
            missing.series, first=first, last=last, as_of=missing.as_of, purpose=purpose
        )


def _is_too_much(missing: CandlesMissing) -> bool:
    if missing.first is None or missing.last is None:
        return False
    return missing.series.interval.count(missing.first, missing.last) > MAX_KLINES


def _is_complete(
    missing: CandlesMissing, first: int | None, reached: int | None, count: int
) -> bool:
    """Whether rows up to `reached`, read from `first` on, complete what was missing."""
    if missing.last is not None:
        return reached is not None and reached >= missing.last
    return first is None or count < MAX_KLINES
