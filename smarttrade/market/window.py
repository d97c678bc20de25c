"""The newest candles of one series, and what is missing among them.

The rules, which nothing else in the program repeats:

* Candles are published in ascending order. One is published only when the one before it is
  closed and no open time between them is missing. What arrives earlier is buffered, and
  `Change.missing` says which range would settle it; `merge` brings it.
* A state replaces another of the same candle only when it is later (`candle.supersedes`).
* Rows read over REST are one unbroken range of the exchange's history: an open time absent
  between two of them exists nowhere, and is remembered as a hole of the exchange.
* When history cannot be had, `release` publishes what is buffered all the same. The range stays
  unfilled until `merge` brings it; what it brings then lies in the past, and is a correction.
* At most `WINDOW_SIZE` candles are kept, the newest. When so much was missed that the newest rows
  begin after a gap, the window restarts from them.

So whatever order and repetition of the same candles comes in, the same window results; it never
goes back, and nothing is published twice or out of order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .candle import Candle, index_of, supersedes, with_event_time_of
from .gaps import Gap, KnownGaps, Missing
from .interval import Interval
from .window_state import WindowState, adopted

WINDOW_SIZE = 1000  # candles; also the most that the exchange gives in one answer


class Difference(NamedTuple):
    """A closed candle that the exchange's history has, and what was published for it."""

    current: Candle | None
    """None when nothing was."""
    row: Candle


@dataclass(frozen=True, slots=True)
class Change:
    """What a candle, or some history, did to a window."""

    updates: tuple[Candle, ...] = ()
    """Published now, in order: the newest candle's new state, or candles after it."""

    corrections: tuple[Candle, ...] = ()
    """Changed or filled in before the newest candle, in order."""

    missing: Missing | None = None
    """What keeps buffered candles from being published; None when nothing is buffered."""

    def __bool__(self) -> bool:
        return bool(self.updates or self.corrections)


UNCHANGED = Change()


class Window:
    """The newest candles of one series: published, ascending, at most `WINDOW_SIZE`.

    Before the first `merge` nothing is published; live candles are buffered until then.
    """

    __slots__ = (
        "_buffered",
        "_candles",
        "interval",
        "is_ready",
        "known_gaps",
    )

    def __init__(self, interval: Interval) -> None:
        self.interval = interval
        self.is_ready = False
        self.known_gaps = KnownGaps(interval)
        self._candles: list[Candle] = []
        self._buffered: dict[int, Candle] = {}

    # -- reading ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._candles)

    def __iter__(self) -> Iterator[Candle]:
        return iter(self._candles)

    @property
    def newest(self) -> Candle | None:
        return self._candles[-1] if self._candles else None

    @property
    def oldest(self) -> Candle | None:
        return self._candles[0] if self._candles else None

    @property
    def is_full(self) -> bool:
        return len(self._candles) >= WINDOW_SIZE

    @property
    def buffered(self) -> int:
        """How many candles wait for those before them."""
        return len(self._buffered)

    @property
    def oldest_buffered(self) -> int | None:
        """The open time in ms of the first candle that waits."""
        return min(self._buffered, default=None)

    def newest_candles(self, limit: int, before: int | None = None) -> tuple[Candle, ...]:
        """At most `limit` candles, the newest of those that open before `before` (ms)."""
        end = len(self._candles) if before is None else index_of(self._candles, before)
        return tuple(self._candles[max(0, end - limit) : end])

    def since(self, open_time: int) -> tuple[Candle, ...]:
        """Every candle that opens at `open_time` (ms) or later."""
        return tuple(self._candles[index_of(self._candles, open_time) :])

    @property
    def unfilled(self) -> tuple[Missing, ...]:
        """Ranges that were published over, and are still to be read from the exchange."""
        return tuple(self.known_gaps.unfilled)

    @property
    def state(self) -> WindowState:
        """Everything but what is buffered, to be kept elsewhere."""
        return WindowState(tuple(self._candles), tuple(self.known_gaps.holes), self.unfilled)

    def gaps(self) -> tuple[Gap, ...]:
        """What is absent, or not final, between the oldest and the newest candle."""
        return self.known_gaps.among(self._candles)

    def is_overdue(self, exchange_time: int, grace: int) -> bool:
        """Whether the newest candle's time was over `grace` ms ago and no later one came.

        A symbol without trades sends nothing, not even at the turn of the minute; only the
        exchange's history tells that from candles that were lost.
        """
        newest = self.newest
        return newest is not None and (
            exchange_time > self.interval.close_time(newest.open_time) + grace
        )

    # -- changing --------------------------------------------------------------------------

    def apply(self, candle: Candle) -> Change:
        """Take one live candle."""
        candles = self._candles
        if not self.is_ready:
            self._buffer(candle)
            self._trim_buffer()
            return UNCHANGED
        if not candles or candle.open_time > candles[-1].open_time:
            self._buffer(candle)
            return self._advance()
        if candle.open_time < candles[-1].open_time:
            return self._apply_late(candle)
        newest = candles[-1]
        if not supersedes(candle, newest):
            return UNCHANGED
        candles[-1] = candle
        if self._buffered and candle.closed:
            return self._advance((candle,))
        # A state that was read before its event arrived was published then.
        is_known = newest.read and not candle.closed and candle.same_values(newest)
        return UNCHANGED if is_known else Change((candle,))

    def merge(self, rows: Sequence[Candle], first: int | None = None) -> Change:
        """Take one unbroken range of the exchange's history, ascending.

        A row is `closed` when the exchange had a later one by then. `first` (ms) says from which
        open time on the range was asked for, if from a certain one: what is absent between it and
        the first row does not exist.

        The first call makes the window ready; then it publishes everything. So does one that was
        asked for the newest and begins after a gap: what is in the gap would not fit in here.
        """
        if not self.is_ready:
            return self._take_first(rows)
        if not rows:
            return UNCHANGED
        if first is None and self._starts_after_gap(rows):
            return self._restart_from(rows)
        self.known_gaps.remember_holes(rows, first)
        corrections: list[Candle] = []
        updates: list[Candle] = []
        for index in self._final_without_row(rows, first):
            self._candles[index] = final = self._candles[index]._replace(closed=True)
            (updates if final is self.newest else corrections).append(final)
        for row in rows:
            newest = self.newest
            if newest is None or row.open_time > newest.open_time:
                self._buffer(row)
            elif row.open_time == newest.open_time:
                if supersedes(row, newest):
                    self._candles[-1] = with_event_time_of(row, newest)
                    updates.append(self._candles[-1])
            elif corrected := self._merge_past(row):
                corrections.append(corrected)
        self.known_gaps.settle(self._candles)
        return self._advance(updates, corrections)

    def extend(self, rows: Sequence[Candle]) -> bool:
        """Take rows of the exchange's history that are older than the oldest candle, if any are.

        They are no news: a reader that needs them asks for them. Returns whether there were any.
        """
        oldest = self.oldest
        if oldest is None:
            return False
        older = [row for row in rows if row.closed and row.open_time < oldest.open_time]
        self._candles[:0] = older
        self._trim()
        return bool(older)

    def release(self) -> Change:
        """Publish what is buffered although history is missing before it."""
        if not self.is_ready or not self._buffered:
            return UNCHANGED
        updates = []
        for open_time in sorted(self._buffered):
            if (missing := self._missing(open_time)) is not None:
                self.known_gaps.add_unfilled(missing)
            updates.append(self._publish(open_time))
        self._trim()
        return Change(tuple(updates))

    def differences(self, rows: Sequence[Candle]) -> tuple[Difference, ...]:
        """Which closed `rows` of the exchange's history are not what is published here.

        Rows outside the window, and candles that are still forming here, are not compared.
        """
        found = []
        for row in rows:
            index = index_of(self._candles, row.open_time)
            if not row.closed or index >= len(self._candles):
                continue
            current = self._candles[index]
            if current.open_time == row.open_time:
                if current.closed and not current.same_values(row):
                    found.append(Difference(current, row))
            elif index > 0:
                found.append(Difference(None, row))
        return tuple(found)

    def correct(self, row: Candle) -> Change:
        """Take one closed candle that was read again from the exchange and compared.

        A candle that is still forming here is left to `apply` and `merge`.
        """
        index = index_of(self._candles, row.open_time)
        current = self._candles[index] if index < len(self._candles) else None
        if current is None:
            return UNCHANGED
        if current.open_time != row.open_time:
            corrected = self._merge_past(row) if row.closed and index else None
            self.known_gaps.settle(self._candles)
            return Change(corrections=(corrected,)) if corrected else UNCHANGED
        if not current.closed or current.same_values(row):
            return UNCHANGED
        self._candles[index] = row
        return Change(corrections=(row,))

    # -- copies ----------------------------------------------------------------------------

    def restore(self, state: WindowState) -> Change:
        """Begin with what was kept elsewhere, unless there is a beginning already.

        Nothing in it is taken for final that was not. What is absent without a reason, or was
        still forming when it was published over, counts as unfilled.
        """
        if self.is_ready:
            return UNCHANGED
        change = self._take_first(state.candles)
        self.known_gaps.set(state.holes, state.unfilled)
        self.known_gaps.add_doubtful(self._candles)
        return change

    def merge_stored(self, state: WindowState) -> Change:
        """Take what another process has published of this series and this window lacks.

        Of two states of a candle the later one is kept, so no close is undone on either side; of
        two closed ones, that which was known last. Live candles that follow a gap are buffered.
        """
        updates: list[Candle] = []
        corrections: list[Candle] = []
        for candle in state.candles:
            newest = self.newest
            if newest is None or candle.open_time > newest.open_time:
                self._buffer(candle)
            elif candle.open_time == newest.open_time and not newest.closed:
                if supersedes(candle, newest):
                    self._candles[-1] = candle
                    updates.append(candle)
            elif corrected := self._merge_past(candle) or self._replace_earlier(candle):
                corrections.append(corrected)
        for hole in state.holes:
            self.known_gaps.add_hole(hole)
        if corrections:
            self.known_gaps.add_doubtful(self._candles)
        self.known_gaps.settle(self._candles)
        return self._advance(updates, corrections)

    def adopt(self, state: WindowState) -> Change:
        """Become equal to another window of this series, which decides about its candles.

        Published is what differs, in order. It never goes back, though: what is newer here stays.
        """
        became = adopted(self._candles, state.candles)
        was_ready, self.is_ready = self.is_ready, True
        self._candles = became.candles
        self.known_gaps.set(state.holes, state.unfilled)
        self._trim()
        if not was_ready:
            return UNCHANGED
        oldest = self._candles[0].open_time if self._candles else -1
        corrections = tuple(c for c in became.corrections if c.open_time >= oldest)
        return Change(tuple(became.updates), corrections)

    def follow(self, candle: Candle, *, corrected: bool) -> Change:
        """Take a state that another window of this series has published.

        A state that was known already, or is older than what is, changes nothing.
        """
        newest = self.newest
        if corrected and not candle.closed:
            return UNCHANGED
        if newest is None or candle.open_time > newest.open_time:
            self._candles.append(candle)
            self._trim()
            return Change((candle,))
        index = index_of(self._candles, candle.open_time)
        current = self._candles[index]
        if current.open_time == candle.open_time:
            if candle == current or not (corrected or supersedes(candle, current)):
                return UNCHANGED
            self._candles[index] = candle
        elif not corrected or (self.is_full and index == 0):
            return UNCHANGED
        else:
            self._candles.insert(index, candle)
            self._trim()
        return Change(corrections=(candle,)) if corrected else Change((candle,))

    # -- inside ----------------------------------------------------------------------------

    def _buffer(self, candle: Candle) -> None:
        current = self._buffered.get(candle.open_time)
        if current is None:
            self._buffered[candle.open_time] = candle
        elif supersedes(candle, current):
            self._buffered[candle.open_time] = with_event_time_of(candle, current)

    def _take_first(self, rows: Sequence[Candle]) -> Change:
        self.is_ready = True
        self._candles = list(rows)
        self.known_gaps.remember_holes(rows, None)
        live, self._buffered = self._buffered, {}
        for candle in live.values():
            self._add_live(candle)
        return self._advance(self._candles)

    def _add_live(self, candle: Candle) -> None:
        """Put a live candle that came before the history into it, or buffer it if it follows."""
        index = index_of(self._candles, candle.open_time)
        if index >= len(self._candles):
            self._buffered[candle.open_time] = candle
            return
        current = self._candles[index]
        if current.open_time == candle.open_time:
            later = supersedes(current, candle)
            self._candles[index] = with_event_time_of(current, candle) if later else candle
        elif candle.closed and index > 0:
            self._candles.insert(index, candle)

    def _starts_after_gap(self, rows: Sequence[Candle]) -> bool:
        """Whether something is missing between the newest candle and these newest rows."""
        newest = self.newest
        if newest is None or rows[0].open_time <= newest.open_time:
            return False
        following = self.interval.next(newest.open_time)
        return self.known_gaps.after_holes(following, rows[0].open_time) < rows[0].open_time

    def _restart_from(self, rows: Sequence[Candle]) -> Change:
        self.known_gaps.set((), ())
        return self._take_first(rows)

    def _apply_late(self, candle: Candle) -> Change:
        """A candle older than the newest: its final state is news where we have none yet.

        Not before the oldest, since what lies between is unknown.
        """
        oldest = self._candles[0]
        if candle.open_time < oldest.open_time or not candle.closed:
            return UNCHANGED
        if corrected := self._merge_past(candle):
            self.known_gaps.settle(self._candles)
            return Change(corrections=(corrected,))
        return UNCHANGED

    def _final_without_row(self, rows: Sequence[Candle], first: int | None) -> list[int]:
        """Which forming candles are final as they stand: history has later ones, but not them."""
        begin = rows[0].open_time if first is None else first
        listed = {row.open_time for row in rows}
        return [
            index
            for index in range(
                index_of(self._candles, begin), index_of(self._candles, rows[-1].open_time)
            )
            if not self._candles[index].closed and self._candles[index].open_time not in listed
        ]

    def _merge_past(self, row: Candle) -> Candle | None:
        """Put a closed candle into the past, unless one is there; None when nothing changed.

        A forming state there would be a correction that is not final.
        """
        if not row.closed:
            return None
        index = index_of(self._candles, row.open_time)
        current = self._candles[index]
        if current.open_time == row.open_time:
            if not supersedes(row, current):
                return None
            self._candles[index] = with_event_time_of(row, current)
            return self._candles[index]
        if self.is_full and index == 0:
            return None
        self._candles.insert(index, row)
        self._trim()
        return row

    def _replace_earlier(self, candle: Candle) -> Candle | None:
        """Put a closed candle in the place of one that was known earlier and differs from it."""
        index = index_of(self._candles, candle.open_time)
        current = self._candles[index]
        is_same = current.open_time != candle.open_time or current.same_values(candle)
        if is_same or not candle.closed or candle.event_time <= current.event_time:
            return None
        self._candles[index] = candle
        return candle

    def _advance(
        self, updates: Iterable[Candle] = (), corrections: Iterable[Candle] = ()
    ) -> Change:
        """Publish what is buffered as far as it is whole."""
        published = list(updates)
        missing = None
        for open_time in sorted(self._buffered):
            if (missing := self._missing(open_time)) is not None:
                break
            published.append(self._publish(open_time))
        # Only now: history that is merged must not lose its first rows to live candles.
        self._trim_buffer()
        self._trim()
        return Change(tuple(published), tuple(corrections), missing)

    def _trim_buffer(self) -> None:
        for open_time in sorted(self._buffered)[: max(0, len(self._buffered) - WINDOW_SIZE)]:
            del self._buffered[open_time]

    def _publish(self, open_time: int) -> Candle:
        candle = self._buffered.pop(open_time)
        self._candles.append(candle)
        return candle

    def _missing(self, following: int) -> Missing | None:
        """What must be settled before the buffered candle at `following` can follow the newest."""
        newest = self.newest
        if newest is None:
            return None
        if not newest.closed:
            return Missing(newest.open_time, following)
        expected = self.known_gaps.after_holes(self.interval.next(newest.open_time), following)
        return Missing(expected, following) if expected < following else None

    def _trim(self) -> None:
        excess = len(self._candles) - WINDOW_SIZE
        if excess <= 0:
            return
        del self._candles[:excess]
        self.known_gaps.forget_before(self._candles[0].open_time)
