"""Which rows of an exchange's history are final, and which may lack their last trades.

History lags behind the stream: for some seconds after its close time a row may not have its last
trades yet, although a later row is listed already. Such a row counts as forming until it is read
once more, or until the stream closes it. Later candles are published meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .candle import Candle
from .interval import Interval
from .packed_candles import PackedCandles

SETTLING_TIME = 15_000
"""Milliseconds of exchange time after its close time from which on a row that is read is final. At
Binance, history lags by 2 to 10 s around the turn of the minute."""

SETTLED_AFTER = SETTLING_TIME + 5_000
"""Milliseconds of exchange time after its close time at which the final state of a candle is known,
unless the exchange does not give it: a little for the answer."""


def mark_unsettled(rows: PackedCandles, interval: Interval, time: int) -> PackedCandles:
    """`rows`, with those as forming that had not closed `SETTLING_TIME` before `time` (ms)."""
    end = len(rows)
    while end and interval.close_time(rows[end - 1].open_time) > time - SETTLING_TIME:
        end -= 1
    return rows[:end] + [row._replace(closed=False) for row in rows[end:]]


def forming_from(rows: Sequence[Candle]) -> int:
    """The index of the first of the forming rows at the end."""
    first = len(rows)
    while first > 0 and not rows[first - 1].closed:
        first -= 1
    return first


def up_to_unsettled(rows: Sequence[Candle], is_closed: Callable[[int], bool]) -> Sequence[Candle]:
    """`rows` up to and with the first that is not final: those after it may lack trades as well.

    `is_closed` says whether the final state of the candle at an open time (ms) is known already.
    The last row forms, whatever is known of it.
    """
    for index in range(forming_from(rows[:-1]), len(rows) - 1):
        if not is_closed(rows[index].open_time):
            return rows[: index + 1]
    return rows
