"""The journal's batches: what is written at a time, and what the answer says."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from math import inf

import structlog
import trio

from ...market.series import Series
from ..backlog import PendingWrites
from ..database import Batch, Fenced, Group, Late, Lost, Written
from ..redis_format import StoreState, state_to_text
from .state import Journal

logger = structlog.get_logger("store.journal")

CHECKS_PER_HEARTBEAT = (
    50  # lists verified with every heartbeat, in turn, besides those that are written
)

RENEWALS = 3  # in the time of a lease
HEARTBEAT_INTERVAL = 1.0  # seconds at most, so that followers notice silence


class Batches:
    """Writes one batch after the other, and knows when the next is due as a heartbeat."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._backlog = journal.backlog
        self._report = journal.report
        self._heartbeat_at = -inf
        self._checked_at = -inf
        self._to_check: list[Series] = []

    def note_heartbeat(self) -> None:
        """What has just been asked of Redis has renewed the lease."""
        self._heartbeat_at = trio.current_time()

    def heartbeat_due_at(self) -> float:
        return self._heartbeat_at + min(HEARTBEAT_INTERVAL, self._journal.lease / RENEWALS)

    def is_heartbeat_due(self) -> bool:
        return trio.current_time() >= self.heartbeat_due_at()

    def is_check_due(self) -> bool:
        """Whether to look after what is stored; a leader that is never idle does that, too."""
        return trio.current_time() >= self._checked_at + HEARTBEAT_INTERVAL

    async def write(self, taken: PendingWrites) -> bool:
        """Write one batch; False when another one leads, or what was written before is gone."""
        journal, report = self._journal, self._report
        groups = [*self._backlog.groups(taken, journal.lengths), *self._checks(taken)]
        self.note_heartbeat()
        journal.number += 1
        batch = self._batch(groups, taken.state)
        try:
            outcome = await journal.database.write(
                journal.name, journal.epoch, journal.lease, batch
            )
        except BaseException:
            self._backlog.put_back(taken)
            for group in groups:
                journal.lengths.pop(group.series, None)
            report.retries += 1
            raise
        if not isinstance(outcome, Written):
            self._note_refusal(outcome)
            return False
        journal.written = batch.number
        self._note_state(taken.state, is_lost=outcome.is_state_lost)
        report.batches += 1
        report.written += len(taken)
        for group, length in zip(groups, outcome.lengths, strict=True):
            self._keep_length(group.series, length)
        return True

    def _batch(self, groups: Sequence[Group], state: StoreState | None) -> Batch:
        journal = self._journal
        return Batch(
            number=journal.number,
            written=journal.written,
            groups=groups,
            state=state,
            time=journal.memory.exchange_time(trio.current_time()),
            state_digest=journal.state_digest,
            is_heartbeat=True,
        )

    def _note_state(self, written: StoreState | None, *, is_lost: bool) -> None:
        if written is not None:
            text = state_to_text(written).encode()
            self._journal.state_digest = sha1(text, usedforsecurity=False).hexdigest()
        elif is_lost:
            logger.warning("redis_state_lost")
            self._report.lost += 1
            self._backlog.rewrite_state()

    def _note_refusal(self, outcome: Fenced | Lost | Late) -> None:
        self._journal.is_equal = False
        if isinstance(outcome, Fenced):
            self._report.fenced += 1
            self._backlog.forget()
            logger.warning("redis_fenced", leader=outcome.leader)
        else:
            self._report.lost += isinstance(outcome, Lost)
            logger.warning("redis_lost", what=type(outcome).__name__.lower())

    def _checks(self, taken: PendingWrites) -> list[Group]:
        """Groups that change nothing, but find out whether the lists are still there."""
        if not (self._journal.is_equal and self.is_check_due()):
            return []
        self._checked_at = trio.current_time()
        if not self._to_check:
            self._to_check = list(self._journal.lengths)
        some, self._to_check = (
            self._to_check[:CHECKS_PER_HEARTBEAT],
            self._to_check[CHECKS_PER_HEARTBEAT:],
        )
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
