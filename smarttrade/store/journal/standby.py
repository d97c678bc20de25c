"""What a process does while another one leads: it takes what that one publishes as final.

Streams differ in what they lose and when. A standby that takes the leader's closes and corrections
serves them as early as the leader's own clients have them, and has them when it takes over.
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
from ..messages import PutUpdates, StoreMessage, TakeCorrections
from ..redis_format import Entry
from ..stored_values import Damaged
from .reconciler import Reconciler
from .state import Journal

logger = structlog.get_logger("store.journal")

WAIT = 0.25  # seconds for the next entry before asking whether the lease is free


class Standby:
    def __init__(
        self, journal: Journal, store: Mailbox[StoreMessage], reconciler: Reconciler
    ) -> None:
        self._journal = journal
        self._store = store
        self._reconciler = reconciler
        self._after: str | None = None
        """The entry that was read last; None before the first."""
        self._differs_from: Sequence[Series] | None = None

    async def begin(self) -> None:
        """Note where the change stream ends, and begin with what the leader has stored.

        If this version cannot read it, the feed alone has to do.
        """
        journal = self._journal
        try:
            position = await journal.database.position()
        except (ForeignFormat, Damaged) as error:
            logger.warning("stored_by_another_unreadable", error=str(error))
            journal.was_loaded = True
            return
        self._after = position.after
        self._compare_catalogues(position)
        if not journal.was_loaded and position.origin is not None:
            await self._reconciler.reconcile(position.time, leading=False)

    async def follow_until(self, deadline: float) -> None:
        """Take what the leader publishes, until then or until the backlog closes."""
        closing = self._journal.backlog.closing
        while not closing.is_set() and (left := deadline - trio.current_time()) > 0:
            if self._after is None:
                with trio.move_on_after(left):
                    await closing.wait()
                return
            await self._follow(min(left, WAIT))

    async def _follow(self, within: float) -> None:
        assert self._after is not None
        try:
            entries = await self._journal.database.follow(self._after, within)
        except Damaged as error:
            logger.warning("damaged_entry", damage=str(error))
            self._after = None
            return
        for name, entry in entries:
            self._after = name
            exchange = self._journal.database.exchange
            if exchange is not None and entry.origin in exchange.accepted:
                await self._take(entry)

    async def _take(self, entry: Entry) -> None:
        published = [each for change in entry.changes for each in change.published]
        corrections = [each for each in published if each.corrected]
        if closes := _closes(published):
            await self._store.tell(PutUpdates(closes))
        if corrections:
            await self._store.tell(TakeCorrections(corrections, entry.time))

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
