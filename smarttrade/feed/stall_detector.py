"""Which series a stream does not deliver although they are traded: plain code.

A symbol without trades sends nothing, possibly for hours; that is no reason to replace a
connection. But every trade updates the candles of all intervals of its symbol. So a series is
suspected when another of its symbol has been updated and it has not, when it was the last to be
updated on a connection that has delivered nothing for a while, and when it has been silent for a
minute. A suspect is read over REST, and it is stalled only if the stream does not deliver what that
read shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..market.candle import Candle
from ..market.series import Series

SYMBOL_TIMEOUT = 10.0
"""Seconds without an update while another series of the symbol has one: five times the interval of
2 s in which the exchange sends updates."""
CONNECTION_TIMEOUT = 15.0  # seconds without an update of any series
UNCONFIRMED_TIMEOUT = 60.0
"""The same while REST does not answer either. Then the connection is replaced without proof, as
another one costs little."""
SERIES_TIMEOUT = 60.0  # seconds without an update, whatever other series do

FIRST_PAUSE = 30.0  # seconds between the first two reads of a series that stays silent
MAX_PAUSE = 600.0  # and at most, since the pause doubles
STALLED_PAUSE = 8.0
"""Seconds until the next read of a series that is stalled: REST then delivers its candles instead
of the stream, with little more delay."""
MAX_SUSPECTS = 5  # series read at a time: 2 of the exchange's 6000 weight each

DELIVERY_GRACE = 4.0
"""Seconds in which the stream must deliver what a REST read has shown: two of its intervals."""


class _Activity:
    """When a series was last updated, and when it was last read over REST."""

    __slots__ = ("candle", "pause", "read", "suspected_at", "updated_at")

    def __init__(self, now: float) -> None:
        self.updated_at = now
        self.candle: Candle | None = None
        """The last one from the stream."""
        self.suspected_at = float("-inf")
        self.pause = FIRST_PAUSE
        self.read: Candle | None = None
        """The last one from REST."""


class StallDetector:
    """Watches the series of one shard. Times are in seconds of the loop's clock."""

    def __init__(self, series: Sequence[Series], now: float) -> None:
        self._activities = {each: _Activity(now) for each in series}
        self._symbols_updated_at = {each.symbol: now for each in series}
        self._updated_at = now

    def note_update(self, series: Series, candle: Candle, now: float) -> None:
        """The stream has delivered a candle."""
        activity = self._activities[series]
        activity.updated_at = self._symbols_updated_at[series.symbol] = self._updated_at = now
        activity.candle = candle

    def restart(self, now: float) -> None:
        """Another connection has taken over: measure all silence from now on."""
        self._updated_at = now
        for activity in self._activities.values():
            activity.updated_at = now
        for symbol in self._symbols_updated_at:
            self._symbols_updated_at[symbol] = now

    def is_silent(self, now: float) -> bool:
        """Whether no series has been updated for `UNCONFIRMED_TIMEOUT` seconds."""
        return now > self._updated_at + UNCONFIRMED_TIMEOUT

    def suspects(self, now: float) -> list[Series]:
        """At most `MAX_SUSPECTS` series to read over REST now, the longest silent first.

        Each is then left out for `FIRST_PAUSE` seconds, and for twice as long each time that it is
        returned again without an update in between.
        """
        found = [each for each in self._silent(now) if self._is_due(each, now)]
        found.sort(key=lambda each: self._activities[each].updated_at)
        for each in found[:MAX_SUSPECTS]:
            activity = self._activities[each]
            was_updated = activity.updated_at > activity.suspected_at
            activity.pause = FIRST_PAUSE if was_updated else min(2 * activity.pause, MAX_PAUSE)
            activity.suspected_at = now
        return found[:MAX_SUSPECTS]

    def _is_due(self, series: Series, now: float) -> bool:
        activity = self._activities[series]
        was_updated = activity.updated_at > activity.suspected_at
        return was_updated or now >= activity.suspected_at + activity.pause

    def _silent(self, now: float) -> Iterable[Series]:
        last = None
        if now > self._updated_at + CONNECTION_TIMEOUT:
            last = max(self._activities, key=lambda each: self._activities[each].updated_at)
        for each, activity in self._activities.items():
            if (
                each is last
                or self._lags_its_symbol(each, activity)
                or now > activity.updated_at + SERIES_TIMEOUT
            ):
                yield each

    def _lags_its_symbol(self, series: Series, activity: _Activity) -> bool:
        return self._symbols_updated_at[series.symbol] > activity.updated_at + SYMBOL_TIMEOUT

    def is_stalled(self, series: Series, read: Candle, read_at: float) -> bool:
        """Whether the stream does not deliver `read`, read over REST `DELIVERY_GRACE` s ago.

        It does if it has delivered this state or a later one. For a series that it has never
        delivered, a second read with more trades than the first is the proof.
        """
        activity = self._activities[series]
        is_stalled = self._is_undelivered(series, activity, read, read_at)
        activity.read = read
        if is_stalled:
            activity.pause = STALLED_PAUSE
        return is_stalled

    def _is_undelivered(
        self, series: Series, activity: _Activity, read: Candle, read_at: float
    ) -> bool:
        if activity.candle is not None:
            return activity.updated_at < read_at and _has_traded(activity.candle, read)
        return self._lags_its_symbol(series, activity) or (
            activity.read is not None and _has_traded(activity.read, read)
        )


def _has_traded(before: Candle, after: Candle) -> bool:
    """Whether there was a trade between two states of a series."""
    if before.open_time == after.open_time:
        return before.volume < after.volume
    return before.open_time < after.open_time and after.volume > 0
