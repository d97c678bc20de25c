"""Which series have gone silent although they should not have: plain code.

A symbol without trades is silent, and may be for hours; that is no reason to tear anything down.
But every trade changes the candles of all of a symbol's intervals, so when one series is updated
and its sibling is not, the sibling's stream is suspected; and so is the one that talked last when a
whole connection says nothing, and any that has been silent for long. Suspicion is followed by a
REST read, and only a state that the stream does not bring either is a proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..market.candle import Candle
from ..market.series import Series

SIBLING_AFTER = 10.0
"""Seconds by which a sibling may be ahead: five times the exchange's cadence of 2 s."""
CONNECTION_AFTER = 15.0  # seconds of silence of a whole connection
ALL_SILENT_AFTER = 60.0
"""Seconds of silence of a whole connection after which it is replaced, should REST not answer
either: another connection costs little, and a silent one nobody can vouch for is worth nothing."""
ALONE_AFTER = 60.0  # seconds of silence of a series, whatever its siblings do
FIRST_PAUSE = 30.0  # seconds between the first two looks at a series that stays silent
MAX_PAUSE = 600.0  # and at most, since the pause doubles
MUTE_RECHECK_PAUSE = 8.0
"""Seconds until the next look at a series that was found mute: what the stream keeps back, REST
brings, and nearly as fast."""
SUSPECTS = 5  # series looked at in one go: 2 of the exchange's 6000 weight each

SETTLE = 4.0
"""Seconds that the stream has to bring what a REST read showed: twice the cadence."""


class _Heard:
    """What a stream brought last, and when it was checked over REST."""

    __slots__ = ("at", "candle", "looked_at", "pause", "read")

    def __init__(self, at: float) -> None:
        self.at = at
        self.candle: Candle | None = None
        self.looked_at = float("-inf")
        self.pause = FIRST_PAUSE
        self.read: Candle | None = None


class Silence:
    """Watches the series of one connection. Times are in seconds of the loop's clock."""

    def __init__(self, series: Sequence[Series], now: float) -> None:
        self._heard = {each: _Heard(now) for each in series}
        self._symbols = {each.symbol: now for each in series}
        self._latest = now

    def note_update(self, series: Series, candle: Candle, now: float) -> None:
        """The stream brought a candle."""
        heard = self._heard[series]
        heard.at = self._symbols[series.symbol] = self._latest = now
        heard.candle = candle

    def begin_anew(self, now: float) -> None:
        """Another connection has taken over: give every series its time."""
        self._latest = now
        for heard in self._heard.values():
            heard.at = now
        for symbol in self._symbols:
            self._symbols[symbol] = now

    def is_all_silent(self, now: float) -> bool:
        """Whether the whole connection has said nothing for long."""
        return now > self._latest + ALL_SILENT_AFTER

    def suspects(self, now: float) -> list[Series]:
        """Those to look at over REST now, the ones silent for longest first.

        A series that was returned is not returned again for a while, longer each time, unless it
        is updated.
        """
        found = [each for each in self._silent(now) if self._is_worth_a_look(each, now)]
        found.sort(key=lambda each: self._heard[each].at)
        for each in found[:SUSPECTS]:
            heard = self._heard[each]
            has_talked = heard.at > heard.looked_at
            heard.pause = FIRST_PAUSE if has_talked else min(2 * heard.pause, MAX_PAUSE)
            heard.looked_at = now
        return found[:SUSPECTS]

    def _is_worth_a_look(self, series: Series, now: float) -> bool:
        heard = self._heard[series]
        return heard.at > heard.looked_at or now >= heard.looked_at + heard.pause

    def _silent(self, now: float) -> Iterable[Series]:
        last = None
        if now > self._latest + CONNECTION_AFTER:
            last = max(self._heard, key=lambda each: self._heard[each].at)
        for each, heard in self._heard.items():
            is_behind = self._symbols[each.symbol] > heard.at + SIBLING_AFTER
            if is_behind or each is last or now > heard.at + ALONE_AFTER:
                yield each

    def is_mute(self, series: Series, read: Candle, read_at: float) -> bool:
        """Whether the stream keeps back what was `read` over REST at `read_at`, `SETTLE` s ago.

        It does not if it brought a state at least as late, or a later one since. Of a series that
        it never brought, a second read proves it: one that shows trades after the first.
        """
        heard = self._heard[series]
        is_mute = self._keeps_back(series, heard, read, read_at)
        if is_mute:
            heard.pause = MUTE_RECHECK_PAUSE
        return is_mute

    def _keeps_back(self, series: Series, heard: _Heard, read: Candle, read_at: float) -> bool:
        before, heard.read = heard.read, read
        newest = heard.candle
        if newest is None:
            is_behind = self._symbols[series.symbol] > heard.at + SIBLING_AFTER
            return is_behind or (before is not None and _has_traded(before, read))
        return heard.at < read_at and _has_traded(newest, read)


def _has_traded(before: Candle, after: Candle) -> bool:
    """Whether there was a trade between two states of a series."""
    if before.open_time == after.open_time:
        return before.volume < after.volume
    return before.open_time < after.open_time and after.volume > 0
