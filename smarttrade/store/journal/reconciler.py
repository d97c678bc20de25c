"""Reads what is stored, takes what is later than memory, and notes what differs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import structlog
import trio

from actors import Mailbox

from ...market.series import Series
from ...market.window_state import WindowState
from ..backlog import PendingWrites
from ..database import DatabaseUnavailable, StoredWindow
from ..messages import MergeWindows, RestoreWindows, StoreMessage
from ..stored_values import Damaged
from .batches import Batches
from .state import Journal

logger = structlog.get_logger("store.journal")

WINDOWS_PER_READ = 50
"""Windows that are read and compared at a time: 100 ms in which the service does little else."""

VERIFIED_PER_HEARTBEAT = 2
"""Windows that are read again and compared with every heartbeat, in turn, since other programs can
write to Redis, too: 60 series in half a minute, at 2 ms a second."""


class Reconciler:
    """Lets the store have what is stored, and notes in the backlog what differs."""

    def __init__(self, journal: Journal, store: Mailbox[StoreMessage], batches: Batches) -> None:
        self._journal = journal
        self._store = store
        self._batches = batches
        self._to_verify: list[Series] = []

    async def reconcile(self, time: int, *, leading: bool) -> bool:
        """Read all that is stored, as of `time` (exchange's, in ms), into the store.

        One that leads then notes what differs: nothing is written over that is later than what
        memory has, because memory takes it first. False when we no longer lead.
        """
        series, restored = self._journal.memory.listed, 0
        for first in range(0, len(series), WINDOWS_PER_READ):
            stored = await self._load(series[first : first + WINDOWS_PER_READ], time)
            if leading:
                await self._quarantine_damaged(stored)
                if self._batches.is_heartbeat_due() and not await self._write_heartbeat():
                    return False
            restored += await self._restore(stored)
            if leading:
                await self._merge(stored)
        if not self._journal.was_loaded:
            await self._note_former_format()
            await self._store.tell(await self._stored_symbols())
            self._journal.was_loaded = True
        if restored:
            logger.info("windows_restored", series=restored)
        return True

    async def verify_some(self) -> None:
        """Compare a few windows with what is stored; the next ones next time."""
        if not self._to_verify:
            self._to_verify = list(self._journal.memory.listed)
        some = self._to_verify[:VERIFIED_PER_HEARTBEAT]
        del self._to_verify[:VERIFIED_PER_HEARTBEAT]
        stored = await self._load(some, 0)
        await self._quarantine_damaged(stored)
        self._compare(stored)

    async def _load(self, series: Sequence[Series], time: int) -> list[StoredWindow]:
        known = self._journal.memory.exchange_time(trio.current_time())
        return await self._journal.database.load(series, known or time)

    async def _write_heartbeat(self) -> bool:
        return await self._batches.write(PendingWrites())

    async def _quarantine_damaged(self, stored: Sequence[StoredWindow]) -> None:
        damaged = [each for each in stored if each.damage is not None]
        if not damaged:
            return
        for each in damaged:
            logger.error("damaged_series", series=str(each.series), damage=each.damage)
            self._journal.lengths.pop(each.series, None)
        series = [each.series for each in damaged]
        await self._journal.database.quarantine(series)
        self._journal.report.quarantined += len(damaged)

    async def _restore(self, stored: Sequence[StoredWindow]) -> int:
        """Let the store begin with what it does not have; returns how many series that are."""
        memory = self._journal.memory
        windows: list[tuple[Series, WindowState]] = [
            (each.series, each.state)
            for each in stored
            if each.state is not None and memory.state_of(each.series) is None
        ]
        if windows:
            await self._store.tell(RestoreWindows(windows, ()))
        return len(windows)

    async def _merge(self, stored: Sequence[StoredWindow]) -> None:
        """Let the store take what is later there than here; what differs then is written."""
        memory = self._journal.memory
        begun = [each for each in stored if memory.state_of(each.series) is not None]
        windows = [(each.series, each.state) for each in begun if each.state is not None]
        if windows:
            await self._store.ask(partial(MergeWindows, windows))
        self._compare(begun)
        self._note_lengths(stored)

    def _compare(self, stored: Sequence[StoredWindow]) -> None:
        for each in stored:
            self._journal.backlog.compare(each.series, each.state)

    def _note_lengths(self, stored: Sequence[StoredWindow]) -> None:
        for each in stored:
            if each.state is not None:
                self._journal.lengths[each.series] = len(each.state.candles)

    async def _note_former_format(self) -> None:
        with suppress(DatabaseUnavailable):  # an account may be allowed no other keys than ours
            found = await self._journal.database.former_format()
            if found is not None:
                hint = "it is not read and may be deleted: see docs/operations.md"
                logger.warning("former_format_ignored", format=found, hint=hint)

    async def _stored_symbols(self) -> RestoreWindows:
        try:
            state = (await self._journal.database.position()).state
        except Damaged as error:  # it is about to be written anew
            logger.error("damaged_state", damage=str(error))
            state = None
        if state is None:
            return RestoreWindows((), ())
        return RestoreWindows((), state.symbols, state.details)
