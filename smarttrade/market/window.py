"""From live candles and history, in any order, to what is published of a series.

The rules, which nothing else in the program repeats:

* Candles are published in ascending order. One is published only when the one before it is
  closed and no open time between them is missing. What arrives earlier is buffered, and
  `Change.missing` says which range would settle it; `merge` brings it.
* A state replaces another of the same candle only when it is later (`candle.supersedes`).
* Rows read over REST are one unbroken range of the exchange's history: an open time absent
  between two of them exists nowhere, and is remembered as a hole of the exchange.
* When history cannot be had, or is not final yet, `release` publishes what is buffered all the
  same. The range stays unfilled until `merge` brings it; what it brings then lies in the past, and
  is a correction.
* At most `WINDOW_SIZE` candles are kept, the newest. When so much was missed that the newest rows
  begin after a gap, the window restarts from them.

So whatever order and repetition of the same candles comes in, the same window results; it never
goes back, and nothing is published twice or out of order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .candle import Candle, supersedes, with_event_time_of
from .change import UNCHANGED, Change
from .gaps import Missing
from .interval import Interval
from .published_candles import PublishedCandles
from .settling import up_to_unsettled

WINDOW_SIZE = 1000  # candles; also the most that the exchange gives in one answer


class Window(PublishedCandles):
    """The newest candles of one series, and the live ones that wait for those before them.

    Before the first `merge` nothing is published; live candles are buffered until then.
    """

    __slots__ = ("_buffered",)

    def __init__(self, interval: Interval, size: int = WINDOW_SIZE) -> None:
        super().__init__(interval, size)
        self._buffered: dict[int, Candle] = {}

    @property
    def buffered(self) -> int:
        """How many candles wait for those before them."""
        return len(self._buffered)

    @property
    def oldest_buffered(self) -> int | None:
        """The open time in ms of the first candle that waits."""
        return min(self._buffered, default=None)

    def is_closed(self, open_time: int) -> bool:
        """Whether the final state of the candle at `open_time` (ms) is known."""
        known = self.candles.find(open_time) or self._buffered.get(open_time)
        return known is not None and known.closed

    # -- live candles ----------------------------------------------------------------------

    def apply(self, candle: Candle) -> Change:
        """Take one live candle."""
        if not self.is_ready:
            self.buffer(candle)
            self._trim_buffer()
            return UNCHANGED
        newest = self.candles.newest
        if newest is None or candle.open_time > newest.open_time:
            self.buffer(candle)
            return self.advance()
        if candle.open_time < newest.open_time:
            return self._apply_late(candle)
        if not supersedes(candle, newest):
            return UNCHANGED
        self.candles.newest = candle
        if self._buffered and candle.closed:
            return self.advance((candle,))
        # The event of a state that REST returned first: that was published then.
        is_known = newest.from_rest and not candle.closed and candle.same_values(newest)
        return UNCHANGED if is_known else Change((candle,))

    def _apply_late(self, candle: Candle) -> Change:
        """A candle older than the newest: its final state is news where we have none yet.

        Not before the oldest, since what lies between is unknown.
        """
        oldest = self.oldest
        if oldest is None or candle.open_time < oldest.open_time:
            return UNCHANGED
        if (corrected := self.put_past(candle)) is None:
            return UNCHANGED
        self.known_gaps.settle(self.candles)
        return Change(corrections=(corrected,))

    def release(self) -> Change:
        """Publish what is buffered although history is missing before it."""
        if not self.is_ready or not self._buffered:
            return UNCHANGED
        updates = []
        for open_time in sorted(self._buffered):
            if (missing := self._missing(open_time)) is not None:
                self.known_gaps.add_unfilled(missing)
            updates.append(self._publish(open_time))
        self.trim()
        return Change(tuple(updates))

    # -- history ---------------------------------------------------------------------------

    def merge(self, rows: Sequence[Candle], first: int | None = None) -> Change:
        """Take one unbroken range of the exchange's history, ascending.

        A row is `closed` when it is final. After the first that is not, rows are taken as live
        candles are: they show what there is, and not what there is not. `first` (ms) says from
        which open time on the range was asked for, if from a certain one: what is absent between
        it and the first row does not exist.

        The first call makes the window ready; then it publishes everything. So does one that was
        asked for the newest and begins after a gap: what is in the gap would not fit in here.
        """
        if not self.is_ready:
            return self.take_first(rows)
        if not rows:
            return UNCHANGED
        if first is None and self._starts_after_gap(rows):
            self.known_gaps.set((), ())
            return self.take_first(rows)
        certain = up_to_unsettled(rows, self.is_closed)
        self.known_gaps.remember_holes(certain, first)
        updates, corrections = self._close_unlisted(certain, first)
        known = self.candles.between(rows[0].open_time, rows[-1].open_time + 1)
        final = {candle.open_time for candle in known if candle.closed}
        for row in rows:
            newest = self.newest
            if row.open_time in final:
                pass  # as nearly all are when a whole window is read once more
            elif newest is None or row.open_time > newest.open_time:
                self.buffer(row)
            elif row.open_time == newest.open_time:
                if supersedes(row, newest):
                    self.candles.newest = latest = with_event_time_of(row, newest)
                    updates.append(latest)
            elif corrected := self.put_past(row):
                corrections.append(corrected)
        self.known_gaps.settle(self.candles)
        return self.advance(updates, corrections)

    def extend(self, rows: Sequence[Candle]) -> bool:
        """Take rows of the exchange's history that are older than the oldest candle, if any are.

        They are not published: a reader that needs them asks. Returns whether there were any.
        """
        oldest = self.oldest
        if oldest is None:
            return False
        older = [row for row in rows if row.closed and row.open_time < oldest.open_time]
        self.candles.prepend(older)
        self.trim()
        return bool(older)

    def take_first(self, rows: Sequence[Candle]) -> Change:
        """Replace all candles by this history, and publish all of it."""
        self.is_ready = True
        certain = up_to_unsettled(rows, self.is_closed)
        self.replace_all(rows)
        self.known_gaps.remember_holes(certain, None)
        live, self._buffered = self._buffered, {}
        for candle in live.values():
            self._add_live(candle)
        if len(certain) < len(rows):
            self.known_gaps.add_doubtful(self.candles)
        first = self.candles[:]
        change = self.advance()
        return Change(first + change.updates, missing=change.missing)

    def _add_live(self, candle: Candle) -> None:
        """Put a live candle that came before the history into it, or buffer it if it follows."""
        oldest, newest = self.oldest, self.newest
        if oldest is None or newest is None or candle.open_time > newest.open_time:
            self._buffered[candle.open_time] = candle
            return
        current = self.candles.find(candle.open_time)
        if current is not None:
            later = supersedes(current, candle)
            self.candles.put(with_event_time_of(current, candle) if later else candle)
        elif candle.closed and candle.open_time > oldest.open_time:
            self.candles.put(candle)

    def _starts_after_gap(self, rows: Sequence[Candle]) -> bool:
        """Whether something is missing between the newest candle and these newest rows."""
        newest = self.newest
        if newest is None or rows[0].open_time <= newest.open_time:
            return False
        following = self.interval.next(newest.open_time)
        return self.known_gaps.after_holes(following, rows[0].open_time) < rows[0].open_time

    def _close_unlisted(
        self, rows: Sequence[Candle], first: int | None
    ) -> tuple[list[Candle], list[Candle]]:
        """Forming candles are final as they stand when history has later ones, but not them.

        Returns which became final: the newest, and those before it.
        """
        begin = rows[0].open_time if first is None else first
        listed = {row.open_time for row in rows}
        finals = [
            candle._replace(closed=True)
            for candle in self.candles.between(begin, rows[-1].open_time)
            if not candle.closed and candle.open_time not in listed
        ]
        for final in finals:
            self.candles.put(final)
        updates = [final for final in finals if final is self.newest]
        return updates, finals[: len(finals) - len(updates)]

    # -- what waits ------------------------------------------------------------------------

    def buffer(self, candle: Candle) -> None:
        """Keep a candle until those before it are published."""
        current = self._buffered.get(candle.open_time)
        if current is None:
            self._buffered[candle.open_time] = candle
        elif supersedes(candle, current):
            self._buffered[candle.open_time] = with_event_time_of(candle, current)

    def advance(self, updates: Iterable[Candle] = (), corrections: Iterable[Candle] = ()) -> Change:
        """Publish what is buffered as far as nothing is missing, after `updates`."""
        published = list(updates)
        missing = None
        for open_time in sorted(self._buffered):
            if (missing := self._missing(open_time)) is not None:
                break
            published.append(self._publish(open_time))
        # Only now: history that is merged must not lose its first rows to live candles.
        self._trim_buffer()
        self.trim()
        return Change(tuple(published), tuple(corrections), missing)

    def _trim_buffer(self) -> None:
        for open_time in sorted(self._buffered)[: max(0, len(self._buffered) - self.size)]:
            del self._buffered[open_time]

    def _publish(self, open_time: int) -> Candle:
        candle = self._buffered.pop(open_time)
        self.candles.append(candle)
        return candle

    def _missing(self, following: int) -> Missing | None:
        """What must be settled before the buffered candle at `following` can be published."""
        newest = self.newest
        if newest is None:
            return None
        if not newest.closed:
            return Missing(newest.open_time, following)
        expected = self.known_gaps.after_holes(self.interval.next(newest.open_time), following)
        return Missing(expected, following) if expected < following else None
