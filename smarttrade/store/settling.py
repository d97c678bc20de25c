"""When to read a candle once more that has ended, and whose final state is not known: plain code.

The stream's closing event may settle it at any time before. `now` is the loop's time in seconds,
and `time` the exchange's in milliseconds.
"""

from __future__ import annotations

from math import inf

from ..market.settling import SETTLING_TIME
from ..market.window import Window

ANSWER_TIMEOUT = 5.0
"""Seconds from the question on for which the candles after it wait."""


class Settling:
    """Of the newest candle of one series."""

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
        """The candle at `open_time` may lack its last trades: ask for it at `due`, both in ms."""
        if open_time == self._open_time:
            if not self._is_asked:
                return
            due = inf  # the exchange's clock is behind what was taken for it
        self._open_time, self._due, self._is_asked = open_time, due, False
        self._latest = now + SETTLING_TIME / 1000
        self._expires = self._latest + ANSWER_TIMEOUT

    def is_waiting(self, now: float) -> bool:
        """Whether the newest candle has ended, and its final state is waited for.

        Nothing is missing then: the candles after it wait for no longer than that.
        """
        if now >= self._expires:  # of most series, most of the time
            return False
        newest = self._window.newest
        return newest is not None and newest.open_time == self._open_time and not newest.closed

    def must_wait(self, now: float, time: int) -> bool:
        """Whether an answer about the newest candle would not be final yet; then wait for that."""
        if self.is_waiting(now):
            return True
        newest = self._window.newest
        if newest is None or newest.closed:
            return False
        due = self._window.interval.next(newest.open_time) + SETTLING_TIME
        if time < due:
            self.begin(newest.open_time, due, now)
        return time < due

    def is_due(self, now: float, time: int) -> bool:
        """Whether to ask for what is waited for; true once."""
        if self._is_asked or (time < self._due and now < self._latest):
            return False
        self._is_asked, self._expires = True, now + ANSWER_TIMEOUT
        return True
