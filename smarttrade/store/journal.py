"""The journal actor: keeps a copy of the windows in Redis, and never keeps anybody waiting.

It writes only while it leads, which one process does at a time: it holds a lease, and the epoch
that it got with it is checked at every write. One that does not lead goes on like any other, feed,
reads and all, and merely does not write. So one that takes over has all candles already.

Whenever it is not certain that what is stored is what was written, it reads everything and
compares: at the start, when it begins to lead, and when Redis has lost something.
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from math import inf

import structlog
import trio

from actors import Backoff, Mailbox, MailboxClosed

from ..market.series import Series
from ..market.window import WindowState
from .backlog import Backlog, Taken
from .database import (
    Batch,
    Database,
    DatabaseUnavailable,
    Fenced,
    ForeignFormat,
    Group,
    Held,
    Leading,
    Lost,
    StoredWindow,
    Written,
)
from .memory import MemoryStore
from .messages import RestoreWindows, StoreMessage
from .redis_report import JournalReport, RedisRole
from .stored import Damaged

logger = structlog.get_logger("store.journal")

PAUSE = Backoff(first=0.25, most=5.0)  # seconds between two tries while Redis is away

MOST_AT_ONCE = 1000
"""Candles in one batch: 80 KB, and 3 ms in which Redis answers nobody else."""

SOON = 0.05  # seconds after the end of another one's lease

STOCK_AT_ONCE = 50
"""Windows that are read and compared at a time: 100 ms in which the service does little else."""

CHECKS = 50  # lists that are looked at with every beat, in turn, though nothing is written to them

GATHER = 0.005
"""Seconds between two batches. Each costs a switch of threads and an entry of the change stream,
whatever is in it. The first one after a pause goes out at once."""

RENEWALS = 3  # in the time of a lease
BEAT_EVERY = 1.0  # seconds at most, so that those who follow notice silence

FLUSH_WITHIN = 0.8
"""Seconds for what is left when we stop: the last few milliseconds' candles, if Redis answers."""

START_WITHIN = 2.0  # seconds after which the service starts without what is stored


def leader_name() -> str:
    """A name for this process that no other has had; operators see it in the lease."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Journal:
    """What the journal has to remember over a restart of its actor."""

    def __init__(
        self,
        memory: MemoryStore,
        database: Database,
        *,
        lease: float,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = leader_name()
        self.memory = memory
        self.database = database
        self.backlog = Backlog(memory)
        self.lease = lease
        self.report = JournalReport(wall_clock, lambda: len(self.backlog), lambda: self.backlog.age)
        self.epoch = 0
        self.number = 0
        """Of the last batch sent, whatever became of it."""
        self.written = 0
        """Of the last batch known to be written in this epoch."""
        self.is_equal = False
        """Whether what is stored plus the backlog is what memory holds."""
        self.lengths: dict[Series, int] = {}
        """How long the lists are, where that is known."""
        self.was_loaded = False
        """Whether the store has been offered what was stored before we began."""


async def run_journal(
    journal: Journal,
    store: Mailbox[StoreMessage],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Offer the store what is stored, then write behind it until the backlog is closed.

    Has started when the store has been told, or when Redis could not be asked. Losing Redis is no
    failure here; it is tried again for ever.
    """
    writer = _Writer(journal, store, task_status)
    journal.is_equal = False
    journal.backlog.reopen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.start_in_time)
        await _write_until_closed(journal, writer)
        await writer.finish()
        nursery.cancel_scope.cancel()


async def _write_until_closed(journal: Journal, writer: _Writer) -> None:
    failures = 0
    while not journal.backlog.is_closing:
        before = journal.report.batches
        try:
            await writer.lead_or_stand_by()
            failures = 0
        except DatabaseUnavailable as error:
            failures = 1 if journal.report.batches > before else failures + 1
            writer.was_refused(error)
            with trio.move_on_after(PAUSE.pause(failures, random.random())):
                await journal.backlog.closing.wait()
        except MailboxClosed:  # the store, which starts after us, was stopped before it began
            return


class _Writer:
    def __init__(
        self, journal: Journal, store: Mailbox[StoreMessage], task_status: trio.TaskStatus[None]
    ) -> None:
        self._journal = journal
        self._backlog = journal.backlog
        self._database = journal.database
        self._report = journal.report
        self._store = store
        self._task_status = task_status
        self._has_started = False
        self._beat_at = -inf
        self._to_check: list[Series] = []

    async def start_in_time(self) -> None:
        """A slow Redis holds up nobody."""
        await trio.sleep(START_WITHIN)
        self._start()

    def _start(self) -> None:
        if not self._has_started:
            self._has_started = True
            self._task_status.started()

    def was_refused(self, error: DatabaseUnavailable) -> None:
        if self._report.change(RedisRole.AWAY, str(error)):
            logger.warning("redis_unavailable", error=str(error), waiting=len(self._backlog))
        self._report.errors += 1
        self._start()

    # -- leading -------------------------------------------------------------------------------

    async def lead_or_stand_by(self) -> None:
        """One turn of whichever it is: until leading ends, or until it is worth asking again."""
        journal = self._journal
        try:
            claim = await self._database.acquire(journal.name, journal.lease)
        except ForeignFormat as error:
            logger.error("foreign_format_set_aside", error=str(error))
            await self._database.set_all_aside(journal.memory.listed, error.found)
            self._report.set_aside += 1
            return
        if isinstance(claim, Held):
            await self._stand_by(claim)
            return
        self._beat_at = trio.current_time()
        if not await self._make_equal(claim):
            return
        if self._report.change(RedisRole.LEADING):
            logger.info("redis_leading", epoch=claim.epoch, leader=journal.name)
        self._start()
        await self._write_until_over()

    async def _stand_by(self, held: Held) -> None:
        journal = self._journal
        if journal.is_equal or self._report.role is not RedisRole.STANDBY:
            self._backlog.forget()
            journal.is_equal = False
        if self._report.change(RedisRole.STANDBY, leader=held.holder):
            logger.warning("redis_standby", leader=held.holder)
        if not journal.was_loaded:
            await self._offer_from_another()
        self._start()
        wait = min(held.seconds_left + SOON, journal.lease / RENEWALS)
        with trio.move_on_after(wait):
            await self._backlog.closing.wait()

    async def _offer_from_another(self) -> None:
        """Begin with what the leader has, if this version can read it."""
        try:
            await self._database.position()
        except (ForeignFormat, Damaged) as error:
            logger.warning("stored_by_another_unreadable", error=str(error))
            self._journal.was_loaded = True
        else:
            await self._take_stock(leading=False)

    async def _make_equal(self, claim: Leading) -> bool:
        """Compare everything, unless nothing can have happened to what we wrote.

        False when somebody else leads meanwhile.
        """
        journal = self._journal
        is_ours = claim.epoch == journal.epoch and claim.written >= journal.written
        journal.epoch, journal.written = claim.epoch, claim.written
        if is_ours and journal.is_equal:
            return True
        journal.number = max(journal.number, claim.written)
        journal.lengths.clear()
        self._backlog.begin()
        journal.is_equal = await self._take_stock(leading=True)
        self._report.comparisons += journal.is_equal
        return journal.is_equal

    async def _take_stock(self, *, leading: bool) -> bool:
        """Read all that is stored: the store may begin with it; else what differs is noted.

        False when we have ceased to lead.
        """
        series, restored = self._journal.memory.listed, 0
        for first in range(0, len(series), STOCK_AT_ONCE):
            stored = await self._database.load(series[first : first + STOCK_AT_ONCE])
            if leading:
                await self._set_aside_damaged(stored)
                if self._is_beat_due() and not await self._write(Taken()):
                    return False
            offered = await self._offer(stored)
            restored += len(offered)
            for each in stored if leading else ():
                if each.series not in offered:
                    self._backlog.compare(each.series, each.state)
                if each.state is not None:
                    self._journal.lengths[each.series] = len(each.state.candles)
        if not self._journal.was_loaded:
            await self._store.tell(RestoreWindows((), await self._listed()))
            self._journal.was_loaded = True
        if restored:
            logger.info("windows_restored", series=restored)
        return True

    async def _set_aside_damaged(self, stored: Sequence[StoredWindow]) -> None:
        damaged = [each for each in stored if each.damage is not None]
        if not damaged:
            return
        for each in damaged:
            logger.error("damaged_series", series=str(each.series), damage=each.damage)
        await self._database.set_aside([each.series for each in damaged])
        self._report.set_aside += len(damaged)

    async def _offer(self, stored: Sequence[StoredWindow]) -> frozenset[Series]:
        """Let the store begin with what it does not have; returns what that is."""
        memory = self._journal.memory
        windows: list[tuple[Series, WindowState]] = [
            (each.series, each.state)
            for each in stored
            if each.state is not None and memory.state_of(each.series) is None
        ]
        if windows:
            await self._store.tell(RestoreWindows(windows, ()))
        return frozenset(series for series, _ in windows)

    async def _listed(self) -> Sequence[str]:
        try:
            state = (await self._database.position()).state
        except Damaged as error:  # it is about to be written anew
            logger.error("damaged_state", damage=str(error))
            return ()
        return () if state is None else state.symbols

    # -- writing -------------------------------------------------------------------------------

    async def _write_until_over(self) -> None:
        """Until another one leads, or something was lost, or the backlog is closed and empty."""
        while True:
            if self._backlog.is_empty and not self._is_beat_due():
                if self._backlog.is_closing:
                    return
                with trio.move_on_at(self._beat_due_at()):
                    await self._backlog.wait()
                continue
            if not await self._write(self._backlog.take(MOST_AT_ONCE)):
                return
            await trio.sleep(GATHER)

    def _beat_due_at(self) -> float:
        return self._beat_at + min(BEAT_EVERY, self._journal.lease / RENEWALS)

    def _is_beat_due(self) -> bool:
        return trio.current_time() >= self._beat_due_at()

    async def _write(self, taken: Taken) -> bool:
        """Write one batch; False when we do not lead any more, or not what we thought."""
        journal, report = self._journal, self._report
        groups = [*self._backlog.groups(taken, journal.lengths), *self._checks(taken)]
        self._beat_at = trio.current_time()
        journal.number += 1
        batch = Batch(journal.number, journal.written, groups, taken.state, is_beat=True)
        try:
            outcome = await self._database.write(journal.name, journal.epoch, journal.lease, batch)
        except BaseException:
            self._backlog.give_back(taken)
            for group in groups:
                journal.lengths.pop(group.series, None)
            report.retries += 1
            raise
        if isinstance(outcome, Written):
            journal.written = batch.number
            report.batches += 1
            report.written += len(taken)
            for group, length in zip(groups, outcome.lengths, strict=True):
                self._keep_length(group.series, length)
            return True
        journal.is_equal = False
        if isinstance(outcome, Fenced):
            report.fenced += 1
            self._backlog.forget()
            logger.warning("redis_fenced", leader=outcome.leader)
        else:
            report.lost += isinstance(outcome, Lost)
            logger.warning("redis_lost", what=type(outcome).__name__.lower())
        return False

    def _checks(self, taken: Taken) -> list[Group]:
        """Groups that change nothing, but find out whether the lists are still there."""
        if not (self._journal.is_equal and self._is_beat_due()):
            return []
        if not self._to_check:
            self._to_check = list(self._journal.lengths)
        some, self._to_check = self._to_check[:CHECKS], self._to_check[CHECKS:]
        lengths, changed = self._journal.lengths, set(taken.series)
        return [
            Group(series, (), expected=lengths[series])
            for series in some
            if series in lengths and series not in changed
        ]

    def _keep_length(self, series: Series, length: int) -> None:
        if length >= 0:
            self._journal.lengths[series] = length
            return
        logger.warning("redis_series_lost", series=str(series))
        self._report.lost += 1
        self._journal.lengths.pop(series, None)
        self._backlog.rewrite(series)

    async def finish(self) -> None:
        """Write what is left, if that is quickly done, and let another one lead."""
        with trio.move_on_after(FLUSH_WITHIN) as scope:
            try:
                if self._journal.is_equal and self._report.role is RedisRole.LEADING:
                    await self._write_until_over()
                    await self._database.release(self._journal.name)
            except DatabaseUnavailable as error:
                logger.warning("redis_not_flushed", error=str(error), lost=len(self._backlog))
        if scope.cancelled_caught:
            logger.warning("redis_not_flushed", error="no time left", lost=len(self._backlog))
