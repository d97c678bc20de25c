"""What a process does while another one leads: it takes what that one publishes as final.

Streams differ in what they lose and when. A standby that takes the leader's closes and corrections
serves them as early as the leader's own clients have them, and has them when it takes over. It
notes in its backlog what the leader has not published, so that it can go on where that one ended.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
import trio

from actors import Mailbox

from ...market.candle import Candle
from ...market.series import Series
from ..database import ForeignFormat, Position
from ..events import Published
from ..exchange_clock import is_credible_entry
from ..messages import PutUpdates, StoreMessage, TakeCorrections
from ..redis_format import Entry
from ..stored_values import Damaged
from .reconciler import Reconciler
from .state import Journal

logger = structlog.get_logger("store.journal")

ENTRY_TIMEOUT = 0.25  # seconds for the next entry before asking whether the lease is free

SERIES_AT_A_TIME = 200  # noted before others have a turn: 1 ms


class Standby:
    def __init__(
        self, journal: Journal, store: Mailbox[StoreMessage], reconciler: Reconciler
    ) -> None:
        self._journal = journal
        self._store = store
        self._reconciler = reconciler
        self._after: str | None = None
        """The entry that was read last; None while it is not known where to go on."""
        self._seq = 0
        """Its number."""
        self._differs_from: Sequence[Series] | None = None
        self.has_begun = False

    async def begin(self) -> None:
        """Note where the change stream ends, and begin with what the leader has stored.

        If this version cannot read it, the feed alone has to do.
        """
        journal, self._after = self._journal, None
        try:
            position = await journal.database.position()
        except (ForeignFormat, Damaged) as error:
            logger.warning("stored_by_another_unreadable", error=str(error))
            journal.was_loaded = self.has_begun = True
            return
        await self._follow_from(position)
        self._compare_catalogues(position)
        if not journal.was_loaded and position.origin is not None:
            await self._reconciler.begin(position.time, leading=False)
        self.has_begun = journal.was_loaded or not self._reconciler.is_done

    async def _follow_from(self, position: Position) -> None:
        backlog = self._journal.backlog
        backlog.follow()
        for number, series in enumerate(self._journal.memory.listed):
            backlog.note_newest(series)
            if number % SERIES_AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
        self._after, self._seq = position.after, position.seq

    def end(self) -> None:
        """Follow no more."""
        self.has_begun, self._after = False, None

    async def catch_up(self) -> bool:
        """Take the last that the former leader has published.

        False when something of it may have been missed.
        """
        if self._after is None:
            return False
        try:
            position = await self._journal.database.position()
        except (ForeignFormat, Damaged):
            return False
        while self._seq < position.seq:
            if not await self._follow(0.0):
                return False
        return self._seq == position.seq

    async def follow_until(self, deadline: float) -> None:
        """Take what the leader publishes, until then or until the backlog closes.

        Returns early when all that is stored has been read.
        """
        closing = self._journal.backlog.closing
        while not closing.is_set() and (left := deadline - trio.current_time()) > 0:
            if not self._reconciler.is_done:
                await self._reconciler.step()
                if self._reconciler.is_done:
                    return
                left = 0.0
            if self._after is not None:
                await self._follow(min(left, ENTRY_TIMEOUT))
            elif left:
                with trio.move_on_after(left):
                    await closing.wait()

    async def _follow(self, within: float) -> int:
        """Take the next entries, and return how many they were."""
        assert self._after is not None
        try:
            entries = await self._journal.database.follow(self._after, within)
        except (Damaged, ForeignFormat) as error:
            logger.warning("damaged_entry", damage=str(error))
            self.end()
            return 0
        exchange = self._journal.database.exchange
        for name, entry in entries:
            if entry.seq != self._seq + 1:  # some are gone that were not read
                self.end()
                return 0
            expected = self._journal.memory.exchange_time(trio.current_time())
            if not is_credible_entry(entry.time, expected, self._journal.wall_clock()):
                logger.warning("damaged_entry", damage=f"an entry is from the future: {entry.time}")
                self.end()
                return 0
            self._after, self._seq = name, entry.seq
            if exchange is not None and entry.origin in exchange.accepted:
                await self._take(entry)
        return len(entries)

    async def _take(self, entry: Entry) -> None:
        published = [each for change in entry.changes for each in change.published]
        corrections = [each for each in published if each.corrected]
        if closes := _closes(published):
            await self._store.tell(PutUpdates(closes))
        if corrections:
            await self._store.tell(TakeCorrections(corrections, entry.time))
        for series, candle, corrected in published:
            self._journal.backlog.settle(series, candle, corrected=corrected)

    def _compare_catalogues(self, position: Position) -> None:
        """Processes that take turns should have the same series: clients notice the change."""
        if position.state is None:
            return
        theirs = {Series(s, i) for s in position.state.symbols for i in position.state.intervals}
        differ = sorted(theirs.symmetric_difference(self._journal.memory.listed), key=str)
        if differ and differ != self._differs_from:
            some = ", ".join(map(str, differ[:5]))
            logger.warning("leader_has_other_series", count=len(differ), series=some)
        self._differs_from = differ


def _closes(published: Sequence[Published]) -> list[tuple[Series, Candle]]:
    return [(p.series, p.candle) for p in published if p.candle.closed and not p.corrected]
