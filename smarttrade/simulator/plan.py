"""When which streams of a connection are due, without doing anything about it.

Pushes come every two seconds, as the exchange documents; all intervals of a symbol go together,
and symbols are spread over the two seconds. At a boundary, a little after it, candles close.

Source: binance-spot-api-docs, web-socket-streams.md, "Kline/Candlestick Streams for UTC" ("1000ms
for 1s, 2000ms for the other intervals").
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from zlib import crc32

from smarttrade.market.interval import MINUTE, SECOND, Interval

PUSH_EVERY = 2 * SECOND
CLOSE_DELAY = 20  # ms after a boundary until what closed there is sent
FIRST_PLACE, PLACES, PLACE = 100, 9, 100  # ms; pushes keep clear of the boundaries

Series = tuple[str, Interval]


def place(symbol: str) -> int:
    """Where in the two seconds a symbol's pushes are, in ms."""
    number = crc32(symbol.encode())
    return FIRST_PLACE + number % PLACES * PLACE + number // PLACES % 2 * SECOND


def is_boundary(instant: int) -> bool:
    return instant % SECOND == CLOSE_DELAY


class Plan:
    """For some series, the instants (ms of exchange time) at which something may be sent."""

    def __init__(self, series: Iterable[Series]) -> None:
        self._closing: list[Series] = sorted(series, key=lambda one: place(one[0]))
        self._pushed: dict[int, list[Series]] = {}
        self._boundary_every = MINUTE
        for symbol, interval in self._closing:
            if interval is Interval.SECOND_1:
                self._boundary_every = SECOND
            else:
                self._pushed.setdefault(place(symbol), []).append((symbol, interval))
        self._places = sorted(self._pushed)

    def following(self, time: int) -> int | None:
        """The first instant after `time`; None when nothing is ever due."""
        if not self._closing:
            return None
        past = (time - CLOSE_DELAY) // self._boundary_every
        boundary = (past + 1) * self._boundary_every + CLOSE_DELAY
        if not self._places:
            return boundary
        turn, offset = divmod(time, PUSH_EVERY)
        index = bisect_right(self._places, offset)
        if index == len(self._places):
            turn, index = turn + 1, 0
        return min(boundary, turn * PUSH_EVERY + self._places[index])

    def due(self, instant: int) -> Iterator[Series]:
        """The series that may have something to say at one of these instants."""
        if not is_boundary(instant):
            yield from self._pushed.get(instant % PUSH_EVERY, ())
            return
        opened = instant - CLOSE_DELAY
        for symbol, interval in self._closing:
            if interval.floor(opened) == opened:
                yield symbol, interval
