"""Reads what is stored, takes what is later than memory, and notes what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog
import trio

from actors import Mailbox

from ...market.series import Series
from ..database import DatabaseUnavailable, StoredWindow
from ..exchange_clock import latest_credible
from ..messages import MergeWindows, RestoreWindows, StoreMessage
from ..redis_format import StoreState
from ..starting import tell_or_start
from ..stored_values import Damaged
from .state import Journal

logger = structlog.get_logger("store.journal")

WINDOWS_PER_STEP = 10
"""Windows that are read at a time, between two batches of what is live: 50 ms in another thread."""

VERIFIED_PER_HEARTBEAT = 2
"""Windows that are read again and compared with every heartbeat, in turn, since other programs can
write to Redis, too: 60 series in half a minute, at 2 ms a second."""


class Reconciler:
    """Gives the store what is stored, and notes in the backlog what differs.

    It goes on in steps, between which a leader writes what is live, and a standby follows.
    """

    def __init__(
        self, journal: Journal, store: Mailbox[StoreMessage], start: Callable[[], None]
    ) -> None:
        self._journal = journal
        self._store = store
        self._start = start
        """Called when the store must have started for this to go on."""
        self._left: list[Series] = []
        self._time = 0
        self._restored = 0
        self._stored_state: StoreState | None = None
        self._to_verify: list[Series] = []
        self.is_done = True
        self.is_leading = False
        """Whether what differs is to be written."""

    async def begin(self, time: int, *, leading: bool) -> None:
        """Read all that is stored, as of `time` (exchange's, in ms), with the next steps.

        What is known of the symbols is read now, as a leader is about to write its own.
        """
        if not self._journal.was_loaded:
            self._stored_state = await self._read_state()
        self._left = list(reversed(self._journal.memory.listed))
        self._time, self._restored = time, 0
        self.is_done, self.is_leading = False, leading

    def end(self) -> None:
        """Stop: what has not been read is left out."""
        self.is_done = True

    async def step(self) -> None:
        """Read some windows into the store.

        One that leads then notes what differs: nothing is written over that is later than what
        memory has, because memory takes it first.
        """
        some = self._left[: -WINDOWS_PER_STEP - 1 : -1]
        stored = await self._load(some, self._time)
        if self.is_leading:
            await self._quarantine_damaged(stored)
        for each in stored:
            await self._restore(each)
            if self.is_leading:
                await self._merge(each)
        del self._left[len(self._left) - len(some) :]
        if not self._left:
            await self._finish()

    async def _finish(self) -> None:
        if not self._journal.was_loaded:
            await self._restore_symbols()
            self._journal.was_loaded = True
        if self._restored:
            logger.info("windows_restored", series=self._restored)
        self.is_done = True

    async def verify_some(self) -> None:
        """Compare a few windows with what is stored; the next ones next time."""
        if not self._to_verify:
            self._to_verify = list(self._journal.memory.listed)
        some = self._to_verify[:VERIFIED_PER_HEARTBEAT]
        del self._to_verify[:VERIFIED_PER_HEARTBEAT]
        stored = await self._load(some, 0)
        await self._quarantine_damaged(stored)
        for each in stored:
            self._journal.backlog.compare(each.series, each.state)

    async def _load(self, series: Sequence[Series], time: int) -> list[StoredWindow]:
        known = self._journal.memory.exchange_time(trio.current_time())
        return await self._journal.database.load(series, known or time)

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

    async def _restore(self, stored: StoredWindow) -> None:
        """Let the store begin with what it does not have."""
        is_known = self._journal.memory.state_of(stored.series) is not None
        if stored.state is not None and not is_known and self._is_credible(stored):
            self._restored += 1
            restore = RestoreWindows([(stored.series, stored.state)], ())
            await tell_or_start(self._store, restore, self._start)

    def _is_credible(self, stored: StoredWindow) -> bool:
        """Whether it is not later than the clocks.

        What is held back is read from the exchange as soon as that answers.
        """
        known = self._journal.memory.exchange_time(trio.current_time())
        latest = latest_credible(known, self._journal.wall_clock())
        newest = stored.state.candles[-1] if stored.state and stored.state.candles else None
        if newest is None or newest.open_time <= latest:
            return True
        logger.warning(
            "stored_series_held_back", series=str(stored.series), open_time=newest.open_time
        )
        return False

    async def _merge(self, stored: StoredWindow) -> None:
        """Let the store take what is later there than here; what differs then is written."""
        memory, windows = self._journal.memory, []
        if stored.state is not None:
            self._journal.lengths[stored.series] = len(stored.state.candles)
            windows = [(stored.series, stored.state)]
        if windows and memory.state_of(stored.series) is not None:
            await self._store.ask(partial(MergeWindows, windows))
        self._journal.backlog.compare(stored.series, stored.state)

    async def _restore_symbols(self) -> None:
        number = self._journal.memory.shard.number
        if number == 0:
            await self._note_former_format()
        restored = self._journal.stored_symbols.add(number, self._stored_state)
        if restored is not None:
            await tell_or_start(self._store, restored, self._start)

    async def _note_former_format(self) -> None:
        with suppress(DatabaseUnavailable):  # an account may be allowed no other keys than ours
            found = await self._journal.database.former_format()
            if found is not None:
                hint = "it is not read and may be deleted: see docs/operations.md"
                logger.warning("former_format_ignored", format=found, hint=hint)

    async def _read_state(self) -> StoreState | None:
        try:
            return (await self._journal.database.position()).state
        except Damaged as error:  # it is about to be written again
            logger.error("damaged_state", damage=str(error))
            return None
