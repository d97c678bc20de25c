"""How long a candle is, and where one ends and the next begins.

Every boundary is UTC. Intervals up to a day divide the time since the epoch; weeks begin on
Monday; the three-day grid includes 2017-08-17 and 2024-01-01; months follow the calendar, so their
lengths differ.

The exchange's rows are the grid, and this is only what most of them follow: its history has rows
off any grid (binance-public-data, issue 14, of 2017-12 and 2018-02). So nothing here may be used to
reject a candle.

Source: binance-spot-api-docs, rest-api.md, "Kline/Candlestick data" (the sixteen intervals,
case-sensitive); the three-day grid: the exchange's public data, from its first row on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

FIRST_MONDAY = 4 * DAY  # 1970-01-05, the first Monday after the epoch
FIRST_THREE_DAYS = DAY  # 1970-01-02: three-day candles open on epoch days with day % 3 == 1


class Interval(Enum):
    """A candle's length, spelled as the exchange spells it: `1m` is a minute, `1M` a month."""

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

    # An enum's members are singletons: identity hashing spares the hot path a Python call.
    __hash__ = object.__hash__

    @property
    def length(self) -> int | None:
        """Milliseconds covered by every candle, or None for months, whose lengths differ."""
        return _LENGTHS[self]

    @property
    def typical_length(self) -> int:
        """Milliseconds; for months the shortest, 28 days. Orders intervals from short to long."""
        return _LENGTHS[self] or 28 * DAY

    def floor(self, time: int) -> int:
        """The open time of the candle that covers `time`, both in ms since the epoch."""
        length = _LENGTHS[self]
        if length is None:
            return _month_start(_month_number(time))
        return time - (time - _FIRST_OPEN.get(self, 0)) % length

    def next(self, open_time: int) -> int:
        """The open time that follows `open_time`, in ms since the epoch."""
        length = _LENGTHS[self]
        if length is None:
            return _month_start(_month_number(open_time) + 1)
        return open_time + length

    def close_time(self, open_time: int) -> int:
        """The last millisecond covered by the candle that opens at `open_time`."""
        return self.next(open_time) - 1

    def back(self, open_time: int, candles: int) -> int:
        """The open time `candles` candles before `open_time`."""
        length = _LENGTHS[self]
        if length is None:
            return _month_start(_month_number(open_time) - candles)
        return open_time - candles * length

    def last_before(self, end: int, first: int) -> int:
        """The last of `first` and the open times that follow it to open before `end` (ms).

        `first` itself when it is not before `end`.
        """
        if end <= first:
            return first
        length = _LENGTHS[self]
        if length is None:
            return max(first, _month_start(_month_number(end - 1)))
        return first + (end - 1 - first) // length * length

    def count(self, first: int, last: int) -> int:
        """How many candles open from `first` to `last`, both inclusive; 0 when none."""
        if last < first:
            return 0
        length = _LENGTHS[self]
        if length is None:
            return _month_number(last) - _month_number(first) + 1
        return (last - first) // length + 1


_LENGTHS: dict[Interval, int | None] = {
    Interval.SECOND_1: SECOND,
    Interval.MINUTE_1: MINUTE,
    Interval.MINUTE_3: 3 * MINUTE,
    Interval.MINUTE_5: 5 * MINUTE,
    Interval.MINUTE_15: 15 * MINUTE,
    Interval.MINUTE_30: 30 * MINUTE,
    Interval.HOUR_1: HOUR,
    Interval.HOUR_2: 2 * HOUR,
    Interval.HOUR_4: 4 * HOUR,
    Interval.HOUR_6: 6 * HOUR,
    Interval.HOUR_8: 8 * HOUR,
    Interval.HOUR_12: 12 * HOUR,
    Interval.DAY_1: DAY,
    Interval.DAY_3: 3 * DAY,
    Interval.WEEK_1: WEEK,
    Interval.MONTH_1: None,
}

_FIRST_OPEN = {Interval.WEEK_1: FIRST_MONDAY, Interval.DAY_3: FIRST_THREE_DAYS}

# What charts write for hours, days and weeks. `1M` is a month and `1m` a minute, always, so
# nothing here may fold their case.
_CHART_SPELLINGS = {
    interval.value.upper(): interval for interval in Interval if interval.value[-1] in "hdw"
}


def parse_interval(text: str) -> Interval:
    """Read an interval: the exchange's exact spelling, else a chart's (`1H`, `4H`, `1D`, `1W`).

    Raises:
        ValueError: it is neither.
    """
    try:
        return Interval(text)
    except ValueError:
        if text in _CHART_SPELLINGS:
            return _CHART_SPELLINGS[text]
        raise ValueError(f"unknown interval: {text!r}") from None


def _month_number(time: int) -> int:
    """Months since January 1970."""
    moment = datetime.fromtimestamp(time // SECOND, UTC)
    return (moment.year - 1970) * 12 + moment.month - 1


def _month_start(number: int) -> int:
    year, month = divmod(number, 12)
    return int(datetime(1970 + year, month + 1, 1, tzinfo=UTC).timestamp()) * SECOND
