"""The exchange's calendar: which lengths its klines have, and when each kline opens.

Written from the facts alone, so that it can disagree with a client's calendar. All boundaries are
UTC. Up to a day, klines open on multiples of their length since midnight; three days open on every
third day, 2017-08-17 among them; weeks open on Mondays and months on firsts.

Source: binance-spot-api-docs, rest-api.md, "Kline/Candlestick data" (the sixteen intervals,
case-sensitive). Where `3d` opens is stated by no document; it is what the exchange's rows show.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

EPOCH = date(1970, 1, 1)
FIRST_DAY = date(2017, 8, 17)  # of the exchange's history; a kline of three days opens on it


class Interval(StrEnum):
    """How long a kline is, as the exchange spells it; `1m` is a minute and `1M` a month."""

    SECOND_1 = "1s"
    MINUTE_1 = "1m"
    MINUTE_3 = "3m"
    MINUTE_5 = "5m"
    MINUTE_15 = "15m"
    MINUTE_30 = "30m"
    HOUR_1 = "1h"
    HOUR_2 = "2h"
    HOUR_4 = "4h"
    HOUR_6 = "6h"
    HOUR_8 = "8h"
    HOUR_12 = "12h"
    DAY_1 = "1d"
    DAY_3 = "3d"
    WEEK_1 = "1w"
    MONTH_1 = "1M"

    def opening(self, time: int) -> int:
        """When the kline that covers `time` opens; both are ms since the epoch."""
        unit = _UNITS.get(self)
        if unit is not None:
            return time // unit * unit
        return _midnight(self._first_day(_day(time)))

    def following(self, opening: int) -> int:
        """When the kline after the one that opens at `opening` opens."""
        unit = _UNITS.get(self)
        if unit is not None:
            return opening + unit
        return _midnight(self._day_after(_day(opening)))

    def preceding(self, opening: int) -> int:
        """When the kline before the one that opens at `opening` opens."""
        return self.opening(opening - 1)

    def _first_day(self, day: date) -> date:
        if self is Interval.DAY_3:
            return day - timedelta(days=(day - FIRST_DAY).days % 3)
        if self is Interval.WEEK_1:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1)

    def _day_after(self, first: date) -> date:
        if self is Interval.DAY_3:
            return first + timedelta(days=3)
        if self is Interval.WEEK_1:
            return first + timedelta(days=7)
        return (first + timedelta(days=31)).replace(day=1)


_LETTERS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}

# Those that divide a day; the others are counted in days.
_UNITS: dict[Interval, int] = {
    interval: int(interval[:-1]) * _LETTERS[interval[-1]]
    for interval in Interval
    if interval not in (Interval.DAY_3, Interval.WEEK_1, Interval.MONTH_1)
}


def _day(time: int) -> date:
    return datetime.fromtimestamp(time // SECOND, UTC).date()


def _midnight(day: date) -> int:
    return (day - EPOCH).days * DAY
