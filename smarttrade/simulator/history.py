"""Which klines exist at a moment, and their values then.

A kline exists from its first millisecond on, and covers what was traded up to and including the
second of the moment. Where trading was closed (before a symbol was listed, after it was removed,
during a halt) there are no klines at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .bar import Bar, merge
from .calendar import SECOND, Interval
from .price_series import PriceSeries

END_OF_TIME = 1 << 53  # a time that never comes; JSON readers keep such a number exactly


class Kline(NamedTuple):
    open_time: int
    """The first millisecond covered, by the calendar even where trading began later."""

    close_time: int
    """The last millisecond covered; earlier than the calendar's where trading stopped in it."""

    bar: Bar


@dataclass(frozen=True, slots=True)
class Closure:
    """No trading from `start` to `end` (exclusive, ms); everywhere, or of one symbol.

    A second that was begun before `start` still traded.
    """

    start: int
    end: int
    symbol: str | None = None

    @classmethod
    def forever(cls, start: int, symbol: str) -> Closure:
        return cls(start, END_OF_TIME, symbol)

    @property
    def seconds(self) -> tuple[int, int]:
        """From where to where (exclusive) nothing trades, in ms, whole seconds."""
        return -(-self.start // SECOND) * SECOND, -(-self.end // SECOND) * SECOND


@dataclass(frozen=True, slots=True)
class Rollback:
    """Trades from `start` to `end` (exclusive, ms) that streams reported and REST never lists."""

    start: int
    end: int
    symbol: str

    def hides(self, symbol: str, kline: Kline) -> bool:
        """Whether the whole of a kline was rolled back."""
        inside = self.start <= kline.open_time and kline.close_time < self.end
        return symbol == self.symbol and inside


class History:
    """Klines of every symbol. Symbols, closures and rollbacks may come at any moment."""

    def __init__(self) -> None:
        self.prices: dict[str, PriceSeries] = {}
        self.amendments: dict[tuple[str, str, int], Bar] = {}
        """History that the exchange changed: by symbol, interval and open time."""

        self.rollbacks: list[Rollback] = []

        self._everywhere: list[Closure] = []
        self._closures: dict[str, list[Closure]] = {}

    def add(self, symbol: str, prices: PriceSeries) -> None:
        self.prices[symbol] = prices
        self._closures[symbol] = list(self._everywhere)

    def close(self, closure: Closure) -> None:
        """Trading stops, or has stopped, for a time."""
        if closure.symbol is None:
            self._everywhere.append(closure)
            for closures in self._closures.values():
                closures.append(closure)
        else:
            self._closures[closure.symbol].append(closure)

    def kline(self, symbol: str, interval: Interval, open_time: int, at: int) -> Kline | None:
        """The kline as it stands at `at`, or None where there is none (yet)."""
        if at < open_time:
            return None
        end = interval.following(open_time)
        until = min(end, at - at % SECOND + SECOND)
        closures = [
            closure
            for closure in self._closures[symbol]
            if closure.start < until and open_time < closure.end
        ]
        close_time = end - 1
        if closures:
            stretches = _open_stretches(open_time, until, closures)
            if not stretches:
                return None
            for closure in closures:
                if closure.start <= close_time < closure.end:
                    close_time = max(closure.start, open_time)
        else:
            stretches = [(open_time, until)]
        amended = self.amendments.get((symbol, interval, open_time)) if at > close_time else None
        bar = amended or self._bar(symbol, stretches, forming=until < end)
        return Kline(open_time, close_time, bar)

    def _bar(self, symbol: str, stretches: list[tuple[int, int]], *, forming: bool) -> Bar:
        prices = self.prices[symbol]
        if len(stretches) == 1:
            start, end = stretches[0]
            return prices.forming(start, end) if forming else prices.bar(start, end)
        return merge([prices.bar(start, end) for start, end in stretches])

    def traded(self, symbol: str, start: int, end: int) -> int:
        """The number of trades from `start` to `end` (exclusive), both whole seconds."""
        stretches = _open_stretches(start, end, self._closures[symbol])
        return self._bar(symbol, stretches, forming=False).trades if stretches else 0

    def is_rolled_back(self, symbol: str, kline: Kline) -> bool:
        return bool(self.rollbacks) and any(one.hides(symbol, kline) for one in self.rollbacks)

    def oldest(
        self, symbol: str, interval: Interval, start: int, end: int, at: int
    ) -> Iterator[Kline]:
        """The klines listed that open from `start` to `end`, both inclusive, oldest first."""
        open_time = interval.opening(start)
        if open_time < start:
            open_time = interval.following(open_time)
        while open_time <= min(end, at):
            kline = self.kline(symbol, interval, open_time, at)
            if kline is not None:
                if not self.is_rolled_back(symbol, kline):
                    yield kline
                open_time = interval.following(open_time)
            else:
                open_time = self._resumption(symbol, interval, open_time)

    def newest(self, symbol: str, interval: Interval, end: int, at: int) -> Iterator[Kline]:
        """The klines listed that open up to `end`, inclusive, newest first."""
        open_time = interval.opening(min(end, at))
        while open_time >= 0:
            kline = self.kline(symbol, interval, open_time, at)
            if kline is not None:
                if not self.is_rolled_back(symbol, kline):
                    yield kline
                open_time = interval.preceding(open_time)
            else:
                open_time = interval.opening(self._interruption(symbol, open_time) - 1)

    def _resumption(self, symbol: str, interval: Interval, open_time: int) -> int:
        """The open time after `open_time`, where nothing trades, at which something may again."""
        ends = [end for _, end in self._closed(symbol, open_time)]
        return max(interval.opening(max(ends, default=0)), interval.following(open_time))

    def _interruption(self, symbol: str, open_time: int) -> int:
        """The time before which there may be trading again, looking back from `open_time`."""
        starts = [start for start, _ in self._closed(symbol, open_time)]
        return min(starts, default=open_time)

    def _closed(self, symbol: str, time: int) -> list[tuple[int, int]]:
        """The closures in which `time` lies."""
        closures = [closure.seconds for closure in self._closures[symbol]]
        return [(start, end) for start, end in closures if start <= time < end]


def _open_stretches(start: int, end: int, closures: list[Closure]) -> list[tuple[int, int]]:
    """What `closures` leave of the time from `start` to `end` (exclusive)."""
    stretches = [(start, end)]
    for closure in closures:
        closed, opened = closure.seconds
        if opened <= start or closed >= end:
            continue
        stretches = [
            part
            for begin, stop in stretches
            for part in ((begin, min(stop, closed)), (max(begin, opened), stop))
            if part[0] < part[1]
        ]
    return stretches
