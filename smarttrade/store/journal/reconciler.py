"""Reads what is stored and compares it with memory."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from actors import Mailbox

from ...market.series import Series
from ...market.window_state import WindowState
from ..backlog import PendingWrites
from ..database import StoredWindow
from ..messages import RestoreWindows, StoreMessage
from ..redis_format import Damaged
from .batches import Batches
from .state import Journal

logger = structlog.get_logger("store.journal")

WINDOWS_PER_READ = 50
"""Windows that are read and compared at a time: 100 ms in which the service does little else."""


class Reconciler:
    """Lets the store begin with what is stored, and notes in the backlog what differs."""

    def __init__(self, journal: Journal, store: Mailbox[StoreMessage], batches: Batches) -> None:
        self._journal = journal
        self._store = store
        self._batches = batches

    async def reconcile(self, *, leading: bool) -> bool:
        """Read all that is stored: the store may begin with it; else what differs is noted.

        False when we have ceased to lead.
        """
        series, restored = self._journal.memory.listed, 0
        for first in range(0, len(series), WINDOWS_PER_READ):
            stored = await self._journal.database.load(series[first : first + WINDOWS_PER_READ])
            if leading:
                await self._quarantine_damaged(stored)
                if self._batches.is_heartbeat_due() and not await self._batches.write(
                    PendingWrites()
                ):
                    return False
            offered = await self._offer(stored)
            restored += len(offered)
            for each in stored if leading else ():
                if each.series not in offered:
                    self._journal.backlog.compare(each.series, each.state)
                if each.state is not None:
                    self._journal.lengths[each.series] = len(each.state.candles)
        if not self._journal.was_loaded:
            await self._store.tell(RestoreWindows((), await self._listed()))
            self._journal.was_loaded = True
        if restored:
            logger.info("windows_restored", series=restored)
        return True

    async def _quarantine_damaged(self, stored: Sequence[StoredWindow]) -> None:
        damaged = [each for each in stored if each.damage is not None]
        if not damaged:
            return
        for each in damaged:
            logger.error("damaged_series", series=str(each.series), damage=each.damage)
        await self._journal.database.quarantine([each.series for each in damaged])
        self._journal.report.quarantined += len(damaged)

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
            state = (await self._journal.database.position()).state
        except Damaged as error:  # it is about to be written anew
            logger.error("damaged_state", damage=str(error))
            return ()
        return () if state is None else state.symbols
