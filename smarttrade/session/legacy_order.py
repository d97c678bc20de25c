"""What clients of the legacy single-symbol endpoint are sent: they append whatever comes.

So nothing goes back: a candle that follows one that is not final yet waits for its close. If that
does not come, it is left out, as corrections of the past are. Plain code.
"""

from __future__ import annotations

from ..market.candle import Candle
from ..market.interval import Interval
from ..market.settling import SETTLED_AFTER


class LegacyOrder:
    """Of one series."""

    __slots__ = ("_interval", "_waiting", "last")

    def __init__(self, interval: Interval) -> None:
        self._interval = interval
        self.last: Candle | None = None
        """The newest that was sent."""
        self._waiting: dict[int, Candle] = {}
        """By open time, ascending; what follows a candle that is not final."""

    def begin(self, candle: Candle) -> None:
        """The first client begins with this one."""
        if self.last is None:
            self.last = candle

    def take(self, candle: Candle, *, corrected: bool) -> list[Candle]:
        """What to send now that this was published, in order."""
        last = self.last
        if last is None or candle.open_time <= last.open_time:
            return self._take_sent(candle, last, corrected=corrected)
        if corrected and candle.open_time not in self._waiting:
            return []
        self._waiting[candle.open_time] = candle
        return self._advance(candle.event_time)

    def _take_sent(self, candle: Candle, last: Candle | None, *, corrected: bool) -> list[Candle]:
        is_past = last is not None and (candle.open_time < last.open_time or last.closed)
        if is_past or (last is None and corrected):
            return []
        self.last = candle
        return [candle, *self._advance(candle.event_time)]

    def _advance(self, time: int) -> list[Candle]:
        """What waits, as far as it follows a final candle, or one that is given up."""
        sent: list[Candle] = []
        for open_time in sorted(self._waiting):
            if self.last is not None and not (self.last.closed or self._is_given_up(time)):
                break
            self.last = self._waiting.pop(open_time)
            sent.append(self.last)
        return sent

    def _is_given_up(self, time: int) -> bool:
        assert self.last is not None
        return time > self._interval.close_time(self.last.open_time) + SETTLED_AFTER
