"""The backfill actor: reads over REST exactly what the store says is missing."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import structlog
import trio

from actors import Backoff, Mailbox

from ..market.candle import Candle
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
from .backfill_queue import BackfillQueue
from .errors import ExchangeRefused, ExchangeUnavailable
from .rest import CONNECTIONS, MAX_KLINES, RestClient

logger = structlog.get_logger("feed.backfill")

PAUSE = Backoff(first=0.5, max_pause=5.0)
"""Between two tries for one series, whether the exchange failed or its history lags behind. Of
`CONNECTIONS` series at once, so an exchange that fails is asked a few times a second."""

CHECK_OVERDUE_INTERVAL = 1.0  # seconds

STREAM_FIRST = 1.0
"""Seconds in which the stream may connect. It then asks for everything itself; what is read before
that must be read again from there on, since nobody heard what came meanwhile."""

Progress = Callable[[int, int], None]
"""Told how many series of how many have their history."""


async def run_backfill(
    gaps: Mailbox[CandlesMissing],
    store: Mailbox[StoreMessage],
    rest: RestClient,
    *,
    progress: Progress,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Read every series' history, then whatever turns out to be missing, for ever.

    Without a stream too, but only after `STREAM_FIRST`. A restart asks the store anew, so nothing
    that was missing is forgotten.
    """
    task_status.started()
    backfill = _Backfill(store, rest, progress)
    async with trio.open_nursery() as nursery:
        # Before anything is asked: a store that waits for room in `gaps` answers nobody.
        nursery.start_soon(backfill.collect, gaps)
        series = await store.ask(GetListed)
        backfill.expect(series)
        for _ in range(CONNECTIONS):
            nursery.start_soon(backfill.work)
        nursery.start_soon(_check_overdue, store)
        await trio.sleep(STREAM_FIRST)
        if left := backfill.not_asked_for():
            await store.tell(FindMissing(left, but_stored=True))


async def _check_overdue(store: Mailbox[StoreMessage]) -> None:
    while True:
        await trio.sleep(CHECK_OVERDUE_INTERVAL)
        await store.tell(CheckOverdue())


class _Backfill:
    """The agenda, and those who work on it."""

    def __init__(self, store: Mailbox[StoreMessage], rest: RestClient, progress: Progress) -> None:
        self._store = store
        self._rest = rest
        self._progress = progress
        self._total = 0
        self._without_history: dict[Series, None] = {}  # in order
        self._agenda = BackfillQueue()
        self._idle = trio.lowlevel.ParkingLot()

    def expect(self, series: Sequence[Series]) -> None:
        """Count the progress of these; those that turn out to have history do not count."""
        self._total = len(series)
        shortest_first = sorted(series, key=lambda s: s.interval.typical_length)
        self._without_history = dict.fromkeys(shortest_first)

    def not_asked_for(self) -> tuple[Series, ...]:
        """Those that have no history, and none is being read."""
        return tuple(s for s in self._without_history if s not in self._agenda)

    async def collect(self, gaps: Mailbox[CandlesMissing]) -> None:
        async for missing in gaps:
            self._agenda.add(missing)
            self._idle.unpark()

    async def work(self) -> None:
        while True:
            missing = self._agenda.take()
            if missing is None:
                await self._idle.park()
                continue
            reached = None
            try:
                reached = await self._fill(missing)
            finally:
                self._agenda.done(missing.series, reached)
            self._count(missing)

    def _count(self, missing: CandlesMissing) -> None:
        is_first = missing.series in self._without_history
        self._without_history.pop(missing.series, None)
        if is_first and missing.first is None:
            self._progress(self._total - len(self._without_history), self._total)

    async def _fill(self, missing: CandlesMissing) -> int | None:
        """Read one range until it is whole or the exchange refuses it.

        When more is missing than a window holds, the newest are read instead.

        Returns the newest open time that was read.
        """
        first, failures = missing.first, 0
        if _is_too_much(missing):
            first = None
        while True:
            rows = await self._read(missing, first)
            if rows is None:
                return None
            if first is not None and missing.last is None and len(rows) >= MAX_KLINES:
                page, begin, first = rows, first, None
                rows = await self._read(missing, None)
                if rows is None:
                    return None
                if rows and rows[0].open_time <= page[-1].open_time:
                    await self._store.tell(PutHistory(missing.series, page, begin))
            # Nothing, too, is an answer: that there is nothing new.
            await self._store.tell(PutHistory(missing.series, rows, first))
            reached = rows[-1].open_time if rows else None
            if _is_whole(missing, first, reached, len(rows)):
                return reached
            if len(rows) < MAX_KLINES:  # the exchange's history lags behind its stream
                failures += 1
                await trio.sleep(PAUSE.pause(failures, random.random()))
            first = reached or first

    async def _read(self, missing: CandlesMissing, first: int | None) -> list[Candle] | None:
        """One page, however often it takes; None when the exchange refuses it."""
        failures = 0
        while True:
            try:
                return await self._rest.klines(
                    missing.series, first=first, last=missing.last, as_of=missing.as_of
                )
            except ExchangeRefused as error:
                logger.error("history_refused", series=str(missing.series), error=str(error))
                await self._store.tell(HistoryRefused(missing.series))
                return None
            except ExchangeUnavailable as error:
                failures += 1
                logger.warning("history_unavailable", series=str(missing.series), error=str(error))
                await trio.sleep(PAUSE.pause(failures, random.random()))


def _is_too_much(missing: CandlesMissing) -> bool:
    if missing.first is None or missing.last is None:
        return False
    return missing.series.interval.count(missing.first, missing.last) > MAX_KLINES


def _is_whole(missing: CandlesMissing, first: int | None, reached: int | None, count: int) -> bool:
    """Whether rows up to `reached`, read from `first` on, complete what was missing."""
    if missing.last is not None:
        return reached is not None and reached >= missing.last
    return first is None or count < MAX_KLINES
