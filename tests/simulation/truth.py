"""What the exchange has: the measure of what the service serves."""

from __future__ import annotations

from functools import partial
from typing import Any

import trio

from smarttrade.market.interval import SECOND, Interval
from smarttrade.market.series import Series
from smarttrade.market.settling import SETTLED_AFTER
from smarttrade.simulator import Exchange

from .violation import Violation

Values = tuple[float, float, float, float, float]
"""Open, high, low, close, volume."""


def values_of_row(row: tuple[Any, ...]) -> Values:
    return (float(row[1]), float(row[2]), float(row[3]), float(row[4]), float(row[5]))


class Truth:
    """Times are the open times of candles, in seconds."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._known: dict[tuple[Series, int], Values | None] = {}
        self._altered: dict[tuple[Series, int], float] = {}
        self._had: dict[tuple[Series, int], list[Values | None]] = {}
        """What each candle was altered to, one alteration after the other."""
        self.last_started = 0.0
        """When a process of the service last started: it cannot know what was served before."""

    def check_closed(self, series: Series, time: int, values: Values, who: str) -> None:
        """A candle that is served as final is over, and as the exchange has it, or had it."""
        interval = series.interval
        if interval.close_time(time * 1000) >= self._exchange.now():
            raise Violation(
                "final-is-final", f"{who}: {series} {time} is served as closed too early"
            )
        key = series, time
        if key not in self._known:
            self._known[key] = self._values(series, time, amended=False)
        now = self._values(series, time, amended=True)
        if values in (self._known[key], now, *self._had.get(key, ())):
            return
        if self.is_rolled_back(series, time) and self._was_reported(series, time, values):
            return
        text = f"{who}: {series} {time} is served as {values}, the exchange has {self._known[key]}"
        raise Violation("final-is-final", text)

    def has_just_ended(self, series: Series, time: int) -> bool:
        """Whether its final state may still be unknown to a service that asks in time."""
        ended = series.interval.close_time(time * 1000)
        return ended > self._exchange.now() - SETTLED_AFTER

    def _was_reported(self, series: Series, time: int, values: Values) -> bool:
        """Whether a candle had these values while it formed: what is final of one that history does
        not list is the last that was received of it."""
        open_time = time * 1000
        kline = partial(self._exchange.kline, series.symbol, series.interval.value, open_time)
        rows = (kline(at) for at in range(open_time, series.interval.next(open_time), SECOND))
        return any(row is not None and values_of_row(row) == values for row in rows)

    def _values(self, series: Series, time: int, *, amended: bool) -> Values | None:
        history = self._exchange.history
        key = series.symbol, series.interval.value, time * 1000
        if amended and key not in history.amendments:
            return self._known[series, time]
        kept = None if amended else history.amendments.pop(key, None)
        row = self._exchange.kline(series.symbol, series.interval.value, time * 1000)
        if kept is not None:
            history.amendments[key] = kept
        return None if row is None else values_of_row(row)

    def note_alterations(self) -> None:
        """Note when history changed; to be called whenever it has."""
        for symbol, interval, open_time in self._exchange.history.amendments:
            key = Series(symbol, Interval(interval)), open_time // 1000
            self._altered.setdefault(key, trio.current_time())
            self._had.setdefault(key, []).append(self._values(*key, amended=True))

    def may_be_as_before(self, series: Series, time: int, values: Values) -> bool:
        """Whether a client may show what the exchange had before it altered this candle.

        A process that begins after the alteration reads history as it is then. So it has nothing to
        correct, and a client that comes back with `since` gets nothing.
        """
        altered = self._altered.get((series, time))
        return (
            altered is not None
            and self.last_started > altered
            and values == self._values(series, time, amended=False)
        )

    def rows(self, series: Series, first: int, last: int) -> dict[int, Values]:
        """All that the exchange has in a range, both ends included, as it is now."""
        found: dict[int, Values] = {}
        start = first * 1000
        while start <= last * 1000:
            rows = self._exchange.klines(
                series.symbol, series.interval.value, start, last * 1000, limit=1000
            )
            found |= {row[0] // 1000: values_of_row(row) for row in rows}
            if len(rows) < 1000:
                break
            start = series.interval.next(rows[-1][0])
        return found

    def newest_closed(self, series: Series, before: float = 3.0) -> int:
        """The last candle that was over so many seconds ago."""
        now = self._exchange.now() - int(before * 1000)
        rows = self._exchange.klines(series.symbol, series.interval.value, None, now, limit=3)
        ended = [row[0] for row in rows if row[6] < now]
        return ended[-1] // 1000 if ended else 0

    def is_rolled_back(self, series: Series, time: int) -> bool:
        """Whether streams have reported a candle that REST never lists."""
        interval = series.interval.value
        return self._exchange.rolled_back(series.symbol, interval, time * 1000) is not None

    def exists(self, series: Series, time: int) -> bool:
        return self._exchange.kline(series.symbol, series.interval.value, time * 1000) is not None


def is_open_time(interval: Interval, time: int) -> bool:
    return interval.floor(time * 1000) == time * 1000
