"""Whether a series is complete and up to date, and when to ask for what it lacks.

`now` is the loop's time in seconds, and `time` the exchange's in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..market.candle import Candle
from ..market.settling import SETTLING_TIME
from ..market.window import Window
from .settling import Settling

OVERDUE_AFTER = SETTLING_TIME
"""Milliseconds of exchange time after a candle's end at which its closing, if it has not come, is
asked for: an earlier answer would not be final."""

NOT_READY_AFTER = OVERDUE_AFTER + 5_000
"""The same until the series is not ready: a little for the answer."""

FIRST_OVERDUE_PAUSE = 5_000
"""Milliseconds of exchange time between the first two such questions."""
MAX_OVERDUE_PAUSE = 60_000
"""And at most. The pause doubles while the exchange has nothing new, as in a halt of trading."""

CONFIRM_TIMEOUT = 5.0
"""Seconds that stored candles wait for the stream, before what came since is asked for anyway."""

REFUSED_PAUSE = 5.0
"""Seconds until history that the exchange refused, or had none of, is asked for again."""
MAX_REFUSED_PAUSE = 300.0
"""And at most, since the pause doubles: a symbol may be listed in a moment, or never again."""

LAGGING_AFTER = 20.0
"""Seconds for which a series may be behind another of its symbol. Every trade changes them all, in
the same push; and a series found to be stalled is read over REST more often than that."""

CONFIRMED_FOR = 90_000
"""Milliseconds of exchange time for which a REST read that brought nothing later is believed: one
and a half of the longest pause between two of them."""

NO_HISTORY = "history not read from the exchange yet"

BUFFER_TIMEOUT = 5.0
"""Seconds for which live candles wait for the history before them. Usually it is there within
one request; when the exchange does not give it, stale charts would be worse than a gap that is
reported and filled later."""

CLOSING_EVENT_TIMEOUT = 1.0
"""The same while history is not final: then they wait for the stream's closing event alone, which
usually comes before any later candle."""


class Freshness:
    """Of one series: what arrived when, and what it waits for."""

    __slots__ = (
        "_ask_at",
        "_ask_pause",
        "_buffered_since",
        "_confirmed_at",
        "_is_without_history",
        "_overdue_at",
        "_overdue_pause",
        "_window",
        "is_incomplete",
        "lagging_since",
        "received_at",
        "settling",
        "unconfirmed_since",
    )

    def __init__(self, window: Window) -> None:
        self._window = window
        self.received_at: float | None = None
        """When the exchange last reported it."""
        self.unconfirmed_since: float | None = None
        """Since when it has candles that were stored some time ago, and nothing has followed."""
        self.is_incomplete = False
        """Whether it was restored with fewer candles than a window holds: history may have more."""
        self.lagging_since: float | None = None
        """Since when it lacks a trade that another series of its symbol has."""
        self.settling = Settling(window)
        self._ask_at: float | None = None
        """When to ask again for what the exchange did not give."""
        self._ask_pause = REFUSED_PAUSE
        self._is_without_history = False
        """Whether the exchange answered that there is none, which may be wrong or change."""
        self._confirmed_at = 0
        """Exchange time in ms at which the exchange had no later candle than the newest here."""
        self._buffered_since: float | None = None
        self._overdue_at = 0
        self._overdue_pause = FIRST_OVERDUE_PAUSE

    # -- what the exchange answered --------------------------------------------------------

    def note_answer(self, rows: Sequence[Candle], first: int | None, now: float, time: int) -> None:
        """Rows that reach the newest candle count as news, as the stream's do."""
        newest = self._window.newest
        if rows and not self._window.unfilled:
            self._ask_at, self._ask_pause = None, REFUSED_PAUSE
        reached = rows[-1].open_time if rows else first
        if newest is None or (reached is not None and reached >= newest.open_time):
            self.received_at = now
            self._confirmed_at = time
        if first is None:
            self.is_incomplete = False
            self._is_without_history = not rows
            if not rows:
                self.ask_later(now)

    @property
    def asks_later(self) -> bool:
        """Whether the exchange gave nothing, and is asked again when its pause is over."""
        return self._ask_at is not None

    def ask_later(self, now: float) -> None:
        """The exchange gave nothing: ask again after a pause, which doubles each time."""
        self._ask_at = now + self._ask_pause
        self._ask_pause = min(2 * self._ask_pause, MAX_REFUSED_PAUSE)

    # -- what to ask it --------------------------------------------------------------------

    def is_current(self, now: float, time: int) -> bool:
        """Whether it has all that the exchange has, and waits for nothing, as nearly always.

        Then no candle is held back, nothing is due, and it is ready, which need not be asked.
        """
        window, newest = self._window, self._window.candles.newest
        if (
            newest is None
            or time >= window.interval.next(newest.open_time) + OVERDUE_AFTER
            or not window.is_ready
            or window.buffered
            or not window.known_gaps.is_empty
            or self.unconfirmed_since is not None
            or self.lagging_since is not None
            or self._ask_at is not None
            or self.settling.is_waiting(now)
        ):
            return False
        self._buffered_since = None
        self._overdue_at, self._overdue_pause = 0, FIRST_OVERDUE_PAUSE
        return True

    def unsettled(self) -> int | None:
        """From which open time (ms) on to ask up to now; None for all there is."""
        window = self._window
        newest = window.newest
        if not window.is_ready or newest is None or self._is_without_history or self.is_incomplete:
            return None
        if window.unfilled:
            return window.unfilled[0].first
        return window.interval.next(newest.open_time) if newest.closed else newest.open_time

    def is_due(self, now: float, time: int) -> bool:
        """Whether it is time to ask for what may have been missed; true once for each reason."""
        if self.settling.is_waiting(now):
            return self.settling.is_due(now, time)
        if self._is_overdue(time):
            return True
        if self.unconfirmed_since is not None and now > self.unconfirmed_since + CONFIRM_TIMEOUT:
            self.unconfirmed_since = now
            return True
        if self._ask_at is None and self._window.unfilled:
            self.ask_later(now)
        if self._ask_at is not None and now > self._ask_at:
            self._ask_at = None
            return True
        return False

    def _is_overdue(self, time: int) -> bool:
        """Whether to ask for the candle after the newest, which should be there by now."""
        if not self._window.is_ready or not self._window.is_overdue(time, OVERDUE_AFTER):
            self._overdue_at, self._overdue_pause = 0, FIRST_OVERDUE_PAUSE
            return False
        if time < self._overdue_at:
            return False
        self._overdue_at = time + self._overdue_pause
        self._overdue_pause = min(2 * self._overdue_pause, MAX_OVERDUE_PAUSE)
        return True

    def has_buffered_too_long(self, now: float) -> bool:
        """Whether candles that wait for history are to be published without it."""
        if not self._window.buffered or not self._window.is_ready:
            self._buffered_since = None
        elif self._buffered_since is None:
            self._buffered_since = now
        else:
            limit = CLOSING_EVENT_TIMEOUT if self.settling.is_waiting(now) else BUFFER_TIMEOUT
            return now > self._buffered_since + limit
        return False

    # -- what to say of it -----------------------------------------------------------------

    def not_ready_reason(self, now: float, time: int) -> str | None:
        """Why the series is not complete and up to date, in words; None when it is."""
        window = self._window
        if not window.is_ready:
            return NO_HISTORY
        if self.unconfirmed_since is not None:
            return "stored candles; what came since is being read from the exchange"
        if self._has_gaps(time) or (window.buffered and not self.settling.is_waiting(now)):
            return "candles missing that are being read from the exchange"
        if window.is_overdue(time, NOT_READY_AFTER) and not self._is_confirmed(time):
            return "newest candle ended and nothing later is known"
        if self.lagging_since is not None and now > self.lagging_since + LAGGING_AFTER:
            return "its stream says nothing, although there were trades"
        return None

    def _has_gaps(self, time: int) -> bool:
        """Whether more is unfilled than the final state of candles that have just ended."""
        unfilled = self._window.unfilled
        if not unfilled:
            return False
        unsettled = self._window.unsettled(time)
        return unsettled is None or any(missing.first < unsettled for missing in unfilled)

    def _is_confirmed(self, time: int) -> bool:
        """Whether the exchange had nothing later, when asked after the newest candle's end."""
        newest = self._window.newest
        return (
            newest is not None
            and self._confirmed_at > self._window.interval.close_time(newest.open_time)
            and time <= self._confirmed_at + CONFIRMED_FOR
        )
