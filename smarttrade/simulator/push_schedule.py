"""When which streams of a connection are due.

Pushes come every two seconds, as the exchange documents; all intervals of a symbol go together,
and symbols are spread over the two seconds. At a boundary, a little after it, klines close.

Source: binance-spot-api-docs, web-socket-streams.md, "Kline/Candlestick Streams for UTC" ("1000ms
for 1s, 2000ms for the other intervals").
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from zlib import crc32

from .calendar import MINUTE, SECOND, Interval

PUSH_INTERVAL = 2 * SECOND
CLOSE_DELAY = 20  # ms after a boundary until the closing events are sent
FIRST_OFFSET, OFFSETS, OFFSET_STEP = 100, 9, 100  # ms; pushes keep clear of the boundaries

StreamKey = tuple[str, Interval]


def push_offset(symbol: str) -> int:
    """Where in the two seconds a symbol's pushes are, in ms."""
    number = crc32(symbol.encode())
    return FIRST_OFFSET + number % OFFSETS * OFFSET_STEP + number // OFFSETS % 2 * SECOND


def is_boundary(instant: int) -> bool:
    return instant % SECOND == CLOSE_DELAY


class PushSchedule:
    """For some streams, the instants (ms of exchange time) at which something may be sent."""

    def __init__(self, keys: Iterable[StreamKey]) -> None:
        self._closing: list[StreamKey] = sorted(keys, key=lambda key: push_offset(key[0]))
        self._pushed: dict[int, list[StreamKey]] = {}
        self._boundary_interval = MINUTE
        for symbol, interval in self._closing:
            if interval is Interval.SECOND_1:
                self._boundary_interval = SECOND
            else:
                self._pushed.setdefault(push_offset(symbol), []).append((symbol, interval))
        self._offsets = sorted(self._pushed)

    def following(self, time: int) -> int | None:
        """The first instant after `time`; None when nothing is ever due."""
        if not self._closing:
            return None
        past = (time - CLOSE_DELAY) // self._boundary_interval
        boundary = (past + 1) * self._boundary_interval + CLOSE_DELAY
        if not self._offsets:
            return boundary
        turn, offset = divmod(time, PUSH_INTERVAL)
        index = bisect_right(self._offsets, offset)
        if index == len(self._offsets):
            turn, index = turn + 1, 0
        return min(boundary, turn * PUSH_INTERVAL + self._offsets[index])

    def due(self, instant: int) -> Iterator[StreamKey]:
        """The streams that may have something to send at one of these instants."""
        if not is_boundary(instant):
            yield from self._pushed.get(instant % PUSH_INTERVAL, ())
            return
        opened = instant - CLOSE_DELAY
        for symbol, interval in self._closing:
            if interval.opening(opened) == opened:
                yield symbol, interval
