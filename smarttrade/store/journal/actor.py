"""The journal actor: keeps a copy of the windows in Redis, and nothing ever waits for it.

It writes only while it leads, which one process does at a time: it holds a lease, and the epoch
that it got with it is checked at every write. One that does not lead goes on like any other, feed,
reads and all, and merely does not write. So one that takes over has all candles already; it has
followed what the leader published, and writes at once what comes after that.

Whenever it is not certain that what is stored is what was written, it reads everything and
compares: at the start, when it begins to lead, and when Redis has lost something. It writes what is
live meanwhile: of a series that it has not followed, as soon as that one is compared.
"""

from __future__ import annotations

import random

import structlog
import trio

from actors import Backoff, Mailbox, MailboxClosed

from ..database import DatabaseUnavailable, ForeignFormat, Held, Leading
from ..messages import StoreMessage
from ..mismatch import NamespaceMismatch, WrongNamespace
from ..redis_report import RedisRole
from ..shard_logs import bind_shard
from .batches import RENEWALS, Batches
from .reconciler import Reconciler
from .standby import Standby
from .state import Journal

logger = structlog.get_logger("store.journal")

RETRY_BACKOFF = Backoff(first=0.25, max_pause=2.0)  # seconds between two tries while Redis is away

CANDLES_PER_BATCH = 1000
"""Candles in one batch: 80 KB, and 3 ms in which Redis serves no one else."""

LEASE_END_MARGIN = 0.05  # seconds after the end of another one's lease

BATCH_INTERVAL = 0.005
"""Seconds between two batches. Each costs a switch of threads and an entry of the change stream,
whatever is in it. The first one after a pause goes out at once."""

FLUSH_TIMEOUT = 0.8
"""Seconds for what is left when we stop: the last few milliseconds' candles, if Redis answers."""

LAST_CALL_TIMEOUT = 0.2
"""Seconds more for what waits for Redis at that moment. Several journals stop at the same time."""

START_TIMEOUT = 2.0  # seconds after which the service starts without what is stored


async def run_journal(
    journal: Journal,
    store: Mailbox[StoreMessage],
    *,
    start_timeout: float = START_TIMEOUT,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Offer the store what is stored, then write behind it until the backlog is closed.

    Has started when the store has what is stored, or has no room for more of it, or when Redis
    cannot be reached. Losing Redis is no failure here: it is retried until stopped.
    """
    bind_shard(journal.memory.shard)
    writer = _Writer(journal, store, task_status)
    journal.is_equal = False
    journal.backlog.reopen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.start_after, start_timeout)
        nursery.start_soon(_end_in_time, journal, nursery.cancel_scope)
        await _write_until_closed(journal, writer)
        await writer.finish()
        nursery.cancel_scope.cancel()


async def _end_in_time(journal: Journal, scope: trio.CancelScope) -> None:
    """Give up a call that Redis does not answer, soon after the backlog was closed."""
    await journal.backlog.closing.wait()
    await trio.sleep(FLUSH_TIMEOUT + LAST_CALL_TIMEOUT)
    logger.warning("redis_not_flushed", error="no answer", lost=len(journal.backlog))
    scope.cancel()


async def _write_until_closed(journal: Journal, writer: _Writer) -> None:
    failures = 0
    while not journal.backlog.is_closing:
        before = journal.report.batches
        try:
            await writer.lead_or_follow()
            failures = 0
        except DatabaseUnavailable as error:
            failures = 1 if journal.report.batches > before else failures + 1
            writer.note_failure(error)
            with trio.move_on_after(RETRY_BACKOFF.pause(failures, random.random())):
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
        self._task_status = task_status
        self._has_started = False
        self._batches = Batches(journal)
        self._reconciler = Reconciler(journal, store, self._start)
        self._standby = Standby(journal, store, self._reconciler)

    async def start_after(self, timeout: float) -> None:
        """A slow Redis does not delay the service."""
        await trio.sleep(timeout)
        self._start()

    def _start(self) -> None:
        if not self._has_started:
            self._has_started = True
            self._task_status.started()

    def note_failure(self, error: DatabaseUnavailable) -> None:
        if self._report.change(RedisRole.AWAY, str(error)):
            logger.warning("redis_unavailable", error=str(error), waiting=len(self._backlog))
        self._report.errors += 1
        self._start()

    async def lead_or_follow(self) -> None:
        """Lead until that ends, or follow until it is time to ask for the lease again.

        Raises:
            WrongNamespace: what is stored was never for us.
        """
        journal = self._journal
        try:
            claim = await self._database.acquire(journal.name, journal.lease)
        except NamespaceMismatch as error:
            if not journal.was_accepted:
                raise WrongNamespace(str(error)) from error
            raise DatabaseUnavailable(str(error)) from error
        except ForeignFormat as error:
            raise DatabaseUnavailable(str(error)) from error
        journal.was_accepted = True
        if isinstance(claim, Held):
            await self._wait_as_standby(claim)
            return
        self._batches.note_heartbeat()
        await self._begin_to_lead(claim)
        if self._report.change(RedisRole.LEADING):
            logger.info("redis_leading", epoch=claim.epoch, leader=journal.name)
        await self._write_until_over()

    async def _wait_as_standby(self, held: Held) -> None:
        journal = self._journal
        journal.is_equal = False
        if self._report.change(RedisRole.STANDBY, leader=held.holder):
            logger.warning("redis_standby", leader=held.holder)
        if self._reconciler.is_leading:
            self._reconciler.end()
        if not self._standby.has_begun:
            await self._standby.begin()
        if self._reconciler.is_done:
            self._start()
        wait = min(held.seconds_left + LEASE_END_MARGIN, journal.lease / RENEWALS)
        await self._standby.follow_until(trio.current_time() + wait)

    async def _begin_to_lead(self, claim: Leading) -> None:
        """Compare everything, unless nothing can have happened to what we wrote."""
        journal, reconciler = self._journal, self._reconciler
        is_ours = claim.epoch == journal.epoch and claim.written >= journal.written
        journal.epoch, journal.written = claim.epoch, claim.written
        is_comparing = reconciler.is_leading and not reconciler.is_done
        if is_ours and (journal.is_equal or is_comparing):
            return
        journal.is_equal = False
        journal.number = max(journal.number, claim.written)
        journal.lengths.clear()
        journal.state_digest = ""
        has_followed = await self._standby.catch_up()
        await reconciler.begin(claim.time, leading=True)
        if has_followed:
            self._backlog.take_over()
        else:
            self._backlog.begin(journal.memory.listed)
        self._standby.end()

    async def _write_until_over(self) -> None:
        """Until another one leads, or something was lost, or the backlog is closed and empty."""
        while True:
            if not self._backlog.is_empty or self._batches.is_heartbeat_due():
                if not await self._write():
                    self._reconciler.end()
                    return
                await trio.sleep(BATCH_INTERVAL)
            elif self._backlog.is_closing:
                return
            if self._backlog.is_closing:
                continue
            if not self._reconciler.is_done:
                await self._compare_some()
            elif self._backlog.is_empty:
                with trio.move_on_at(self._batches.heartbeat_due_at()):
                    await self._backlog.wait()

    async def _write(self) -> bool:
        is_due = self._journal.is_equal and self._batches.is_check_due()
        if not await self._batches.write(self._backlog.take(CANDLES_PER_BATCH)):
            return False
        if is_due:
            await self._reconciler.verify_some()
        return True

    async def _compare_some(self) -> None:
        await self._reconciler.step()
        if self._reconciler.is_done:
            self._journal.is_equal = True
            self._report.comparisons += 1
            self._start()

    async def finish(self) -> None:
        """Write what is left, if that is quickly done, and let another one lead."""
        with trio.move_on_after(FLUSH_TIMEOUT) as scope:
            try:
                if self._report.role is RedisRole.LEADING:
                    await self._write_until_over()
                    await self._database.release(self._journal.name)
            except DatabaseUnavailable as error:
                logger.warning("redis_not_flushed", error=str(error), lost=len(self._backlog))
        if scope.cancelled_caught:
            logger.warning("redis_not_flushed", error="no time left", lost=len(self._backlog))
