"""What has changed and is not written yet: between the store, which never waits, and the journal.

Candles are state, not events: of each candle only the newest state is kept, so what waits is never
stale, and never more than the windows themselves hold. When so much of a series waits that writing
its whole window costs no more, that is noted instead, and costs nothing at all until it is done.

A standby also collects what the leader has not published yet, and writes that first when it takes
over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import trio

from ..market.candle import Candle, supersedes
from ..market.packed_candles import PackedCandles
from ..market.series import Series
from ..market.window import WINDOW_SIZE
from ..market.window_state import WindowState
from .database import Group
from .events import (
    CandlesPublished,
    CatalogueChanged,
    Event,
    FeedChanged,
    GapsChanged,
    WindowReplaced,
)
from .redis_format import StoreState
from .shard_view import ShardView

MAX_DIFFERENCES = WINDOW_SIZE // 4
"""Changes of one series from which on its whole window is written instead."""


UNPUBLISHED = 2
"""Candles at the end of a window that a leader may not have published when it is first followed:
one that has just closed, and the next."""


class PendingCandle(NamedTuple):
    candle: Candle
    corrected: bool


@dataclass(slots=True)
class PendingWrites:
    """A part of the backlog, on its way to being written."""

    candles: dict[Series, dict[int, PendingCandle]] = field(default_factory=dict)
    whole: dict[Series, WindowState] = field(default_factory=dict)
    notes: set[Series] = field(default_factory=set)
    state: StoreState | None = None
    since: float | None = None
    """When the oldest of it came, in seconds of the loop's time."""

    def __len__(self) -> int:
        """Candles in it."""
        whole = sum(len(state.candles) for state in self.whole.values())
        return whole + sum(map(len, self.candles.values()))

    @property
    def series(self) -> tuple[Series, ...]:
        """In the order of the groups."""
        changed = dict.fromkeys([*self.whole, *self.candles])
        return (*changed, *(each for each in self.notes if each not in changed))


class Backlog:
    """What the store has changed since it was last written. Plain code, but for `wait`."""

    def __init__(self, memory: ShardView) -> None:
        self._memory = memory
        self._candles: dict[Series, dict[int, PendingCandle]] = {}
        self._whole: dict[Series, None] = {}
        self._notes: dict[Series, None] = {}
        self._is_state_new = False
        self._is_collecting = False
        self._is_following = False
        self._led: dict[Series, Candle] = {}
        """While another one leads: the newest that it has published of each series."""
        self._skipped: dict[Series, dict[int, None]] = {}
        """Open times of candles of which it has not published the final state, but later ones."""
        self._uncompared: set[Series] = set()
        """Nothing is collected of these: they are to be compared with what is stored first."""
        self._since: float | None = None
        self._work = trio.Event()
        self.closing = trio.Event()
        """Set when nothing more will come."""

    def __len__(self) -> int:
        """Candles that wait to be written; a whole window counts as one."""
        if self._is_following:
            return 0
        return len(self._whole) + sum(map(len, self._candles.values()))

    @property
    def is_empty(self) -> bool:
        return not (self._candles or self._whole or self._notes or self._is_state_new)

    @property
    def age(self) -> float:
        """Seconds for which the oldest of it has waited; what is being written is not in it."""
        return 0.0 if self._since is None else trio.current_time() - self._since

    async def wait(self) -> None:
        """Return when there is something to take, or `close` was called."""
        while self.is_empty and not self.closing.is_set():
            self._work = trio.Event()
            await self._work.wait()

    def reopen(self) -> None:
        """The writer has restarted."""
        self.closing = trio.Event()

    @property
    def is_closing(self) -> bool:
        return self.closing.is_set()

    def close(self) -> None:
        """Nothing more will come; what is here should be written soon."""
        self.closing.set()
        self._work.set()

    # -- the store's side ----------------------------------------------------------------------

    def note(self, event: Event) -> None:
        """Remember what an event changed; other events mean nothing here."""
        if self._is_following:
            self._note_while_following(event)
        elif self._is_collecting and self._collect(event):
            if self._since is None:
                self._since = trio.current_time()
            self._work.set()

    def _collect(self, event: Event) -> bool:
        match event:
            case CandlesPublished(published):
                for series, candle, corrected in published:
                    self._note_candle(series, candle, corrected=corrected)
                    if corrected:
                        self._note_notes(series)
            case WindowReplaced(series):
                self.rewrite(series)
            case GapsChanged(series):
                self._note_notes(series)
            case FeedChanged() | CatalogueChanged():
                self._is_state_new = True
            case _:
                return False
        return True

    def _note_while_following(self, event: Event) -> None:
        match event:
            case CandlesPublished(published):
                for series, candle, corrected in published:
                    if not corrected:
                        self._note_unpublished(series, candle)
            case WindowReplaced(series):
                self._candles.pop(series, None)
                self.note_newest(series)

    def _note_unpublished(self, series: Series, candle: Candle) -> None:
        """What is too much for the leader to be only a little late waits for a comparison."""
        if series in self._uncompared:
            return
        waiting = self._candles.setdefault(series, {})
        waiting[candle.open_time] = PendingCandle(candle, corrected=False)
        if len(waiting) > MAX_DIFFERENCES:
            del self._candles[series]
            self._uncompared.add(series)

    def _note_candle(self, series: Series, candle: Candle, *, corrected: bool) -> None:
        if series in self._whole or series in self._uncompared:
            return
        waiting = self._candles.get(series)
        if waiting is None:
            waiting = self._candles[series] = {}
        before = waiting.get(candle.open_time)
        if before is not None and before.corrected:
            corrected = True
        waiting[candle.open_time] = PendingCandle(candle, corrected)
        if len(waiting) > MAX_DIFFERENCES:
            self.rewrite(series)

    def _note_notes(self, series: Series) -> None:
        if series not in self._whole and series not in self._uncompared:
            self._notes[series] = None

    # -- the journal's side --------------------------------------------------------------------

    def begin(self, uncompared: Iterable[Series]) -> None:
        """Write from now on: of each of these series once it has been compared."""
        self.forget()
        self._is_collecting = self._is_state_new = True
        self._uncompared.update(uncompared)

    def take_over(self) -> None:
        """Write from now on, and first what the former leader has not published."""
        self._is_following = False
        self._is_collecting = self._is_state_new = True
        self._notes.update((series, None) for series, skipped in self._skipped.items() if skipped)
        self._led, self._skipped = {}, {}
        self._work.set()

    def follow(self) -> None:
        """Another one writes: collect only what it has not published."""
        self.forget()
        self._is_following = True

    def note_newest(self, series: Series) -> None:
        """The end of a window may be unpublished."""
        for candle in self._memory.newest_candles(series, UNPUBLISHED):
            self._note_unpublished(series, candle)

    def settle(self, series: Series, published: Candle, *, corrected: bool = False) -> None:
        """The leader has published this state of a candle.

        It publishes in order, but for a final state that it did not know when the next one came.
        """
        waiting, skipped = self._candles.get(series, {}), self._skipped.setdefault(series, {})
        if corrected:
            skipped.pop(published.open_time, None)
            waiting.pop(published.open_time, None)
            return
        before = self._led.get(series)
        self._led[series] = published
        if before is not None and not before.closed and before.open_time < published.open_time:
            skipped[before.open_time] = None
            if len(skipped) > MAX_DIFFERENCES:
                del skipped[next(iter(skipped))]
        for open_time, pending in tuple(waiting.items()):
            is_before = open_time < published.open_time and open_time not in skipped
            is_same = open_time == published.open_time
            if is_before or (is_same and not supersedes(pending.candle, published)):
                del waiting[open_time]

    def forget(self) -> None:
        """Collect nothing: another one writes."""
        self._is_collecting = self._is_following = self._is_state_new = False
        self._since = None
        for known in (self._candles, self._whole, self._notes, self._uncompared):
            known.clear()
        self._led, self._skipped = {}, {}

    def rewrite(self, series: Series) -> None:
        """The whole window is to be written, unless its comparison is going to decide that."""
        if series in self._uncompared:
            return
        self._candles.pop(series, None)
        self._notes.pop(series, None)
        self._whole[series] = None
        self._work.set()

    def rewrite_state(self) -> None:
        """What is known beside candles is to be written."""
        self._is_state_new = True
        self._work.set()

    def compare(self, series: Series, stored: WindowState | None) -> None:
        """Note whatever is to be written so that `stored` becomes equal to the store's window."""
        self._uncompared.discard(series)
        mine = self._memory.state_of(series)
        if mine is None:
            return
        differences = None if stored is None else _differences(mine, stored)
        if differences is None:
            self.rewrite(series)
            return
        for pending in differences:
            self._note_candle(series, pending.candle, corrected=pending.corrected)
        if stored is not None and mine.notes != stored.notes:
            self._note_notes(series)

    def take(self, most: int) -> PendingWrites:
        """Take about `most` candles, whole windows first."""
        taken = PendingWrites()
        while self._whole and len(taken) + len(taken.whole) < most:
            series = next(iter(self._whole))
            del self._whole[series]
            if (window := self._memory.state_of(series)) is not None:
                taken.whole[series] = window
        left = most - len(taken)
        while self._candles and left > 0:
            series = next(iter(self._candles))
            waiting = self._candles.pop(series)
            if waiting:
                taken.candles[series] = dict(sorted(waiting.items()))
            left -= len(waiting)
        for series in list(self._notes)[: max(0, most - len(taken.whole) - len(taken.candles))]:
            del self._notes[series]
            taken.notes.add(series)
        taken.since = self._since
        if not (self._candles or self._whole or self._notes):
            self._since = None
        if self._is_state_new:
            self._is_state_new = False
            taken.state = self._memory.state
        return taken

    def put_back(self, taken: PendingWrites) -> None:
        """It was not written, or perhaps not; what has become newer meanwhile stays newer."""
        self._since = taken.since or self._since
        for series in taken.whole:
            self.rewrite(series)
        for series, candles in taken.candles.items():
            newer = self._candles.pop(series, {})
            for pending in (*candles.values(), *newer.values()):
                self._note_candle(series, pending.candle, corrected=pending.corrected)
        self._notes.update(dict.fromkeys(s for s in taken.notes if s not in self._whole))
        self._is_state_new = self._is_state_new or taken.state is not None

    def groups(self, taken: PendingWrites, lengths: dict[Series, int]) -> Sequence[Group]:
        """`taken` as it is written; `lengths` says how long the lists are that are known."""
        return [self._group(series, taken, lengths) for series in taken.series]

    def _group(self, series: Series, taken: PendingWrites, lengths: dict[Series, int]) -> Group:
        if (window := taken.whole.get(series)) is not None:
            return Group(series, window.candles, is_whole=True, notes=window.notes)
        state = self._memory.state_of(series) if series in taken.notes else None
        pending: Iterable[PendingCandle] = taken.candles.get(series, {}).values()
        return Group(
            series,
            [each.candle for each in pending],
            [each.corrected for each in pending],
            expected=lengths.get(series, -1),
            notes=None if state is None else state.notes,
        )


def _differences(mine: WindowState, stored: WindowState) -> list[PendingCandle] | None:
    """What must be put into `stored` to make it `mine`; None when that would not do.

    What is stored and later than `mine` stays: it was written by one that knew more, and is taken
    into `mine` as soon as what is missing before it is there.
    """
    if not stored.candles or not mine.candles:
        return [] if stored.candles == mine.candles else None
    ours, theirs = PackedCandles.of(mine.candles), PackedCandles.of(stored.candles)
    before = {candle.open_time: candle for candle in theirs.differing_from(ours)}
    newest = stored.candles[-1].open_time
    different = []
    for candle in ours.differing_from(theirs):
        current = before.pop(candle.open_time, None)
        if current is None or not _is_settled(candle, current):
            is_past = candle.open_time < newest or (current is not None and current.closed)
            different.append(PendingCandle(candle, is_past and candle.closed))
    is_full, oldest, latest = (
        len(mine.candles) == WINDOW_SIZE,
        mine.candles[0].open_time,
        mine.candles[-1].open_time,
    )
    surplus = [t for t in before if t <= latest and not (is_full and t < oldest)]
    too_many = len(different) > MAX_DIFFERENCES and newest <= latest
    return None if surplus or too_many else different


def _is_settled(candle: Candle, current: Candle) -> bool:
    """Whether what is stored may stay: a close is never undone, and of two closed states only the
    values count, not their source or event time.
    """
    if current.closed:
        return not candle.closed or candle.same_values(current)
    return candle == current
