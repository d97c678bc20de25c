"""When to read a candle once more that has ended, and whose final state is not known: plain code.

The stream's closing event may settle it at any time before. `now` is the loop's time in seconds,
and `time` the exchange's in milliseconds.
"""

from __future__ import annotations

from math import inf

from ..market.settling import SETTLED_AFTER, SETTLING_TIME
from ..market.window import Window

HISTORY_TIMEOUT = (SETTLED_AFTER - SETTLING_TIME) / 1000
"""Seconds from the question on in which an answer is waited for."""


class Settling:
    """Of the first candle of one series that has ended and is not final."""

    __slots__ = ("_due", "_expires", "_is_asked", "_latest", "_open_time", "_window")

    def __init__(self, window: Window) -> None:
        self._window = window
        self._open_time = -1
        """Of the candle that is to be read; it may be settled by now."""
        self._due = 0.0
        """Exchange time in ms at which it is asked for."""
        self._latest = 0.0
        """When it is asked for in any case: the exchange's clock may not be known."""
        self._expires = 0.0
        self._is_asked = False

    def begin(self, open_time: int, due: float, now: float) -> None:
        """The candle at `open_time` may lack its last trades: ask for it at `due`, both in ms.

        One that is waited for already goes first: its answer shows those after it as well.
        """
        if not self._is_asked and self.is_waiting(now):
            return
        if open_time == self._open_time and self._is_asked:
            due = inf  # the exchange's clock is behind what was taken for it
        self._open_time, self._due, self._is_asked = open_time, due, False
        self._latest = now + SETTLING_TIME / 1000
        self._expires = self._latest + HISTORY_TIMEOUT

    def is_waiting(self, now: float) -> bool:
        """Whether a candle has ended, and its final state is waited for.

        Nothing is asked for then: it is known when an answer is final.
        """
        # Of most series, most of the time, the first is true.
        return now < self._expires and not self._window.is_closed(self._open_time)

    def must_wait(self, now: float, time: int) -> bool:
        """Whether an answer about the newest candle would not be final yet; then wait for that."""
        newest = self._window.newest
        if newest is None or newest.closed:
            return False
        if self._open_time == newest.open_time and self.is_waiting(now):
            return True
        due = self._window.interval.next(newest.open_time) + SETTLING_TIME
        if time < due:
            self.begin(newest.open_time, due, now)
        return time < due

    def is_due(self, now: float, time: int) -> bool:
        """Whether to ask for what is waited for; true once."""
        if self._is_asked or (time < self._due and now < self._latest):
            return False
        self._is_asked, self._expires = True, now + HISTORY_TIMEOUT
        return True
