"""Candles with defaults: `candle(3)` is the closed one at minute 3 after `BASE`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series

MINUTE = 60_000
BASE = 1_733_007_600_000  # 2024-11-30 23:00 UTC

BTC = Series("BTCUSDT", Interval.MINUTE_1)
BTC_HOUR = Series("BTCUSDT", Interval.HOUR_1)
ETH = Series("ETHUSDT", Interval.MINUTE_1)
ETH_HOUR = Series("ETHUSDT", Interval.HOUR_1)


def at(minute: int) -> int:
    """The open time of that minute."""
    return BASE + minute * MINUTE


def candle(
    minute: int = 0,
    *,
    closed: bool = True,
    close: float = 100.0,
    volume: float | None = None,
    event: int | None = None,
    from_rest: bool = False,
) -> Candle:
    """A live candle. Its event time is 2 s after it opened, or at its end if it is closed.

    `event` is in seconds after it opened. The default volume is 10 when closed, else 1.
    """
    seconds = (60 if closed else 2) if event is None else event
    return Candle(
        at(minute),
        100.0,
        max(100.0, close),
        min(100.0, close),
        close,
        (10.0 if closed else 1.0) if volume is None else volume,
        closed,
        at(minute) + seconds * 1000,
        from_rest,
    )


def rows(first: int, last: int, *, closed: bool = False, as_of: int = 0) -> list[Candle]:
    """What REST answers for these minutes; the last candle is not known to be closed.

    `as_of` is in minutes. They have the values of `candle(minute)`.
    """
    return rows_at(range(first, last + 1), closed=closed, as_of=as_of)


def rows_at(minutes: Iterable[int], *, closed: bool = False, as_of: int = 0) -> list[Candle]:
    """The same for the given minutes, which need not follow each other."""
    answer = [
        candle(minute, from_rest=True)._replace(event_time=at(as_of) if as_of else 0)
        for minute in minutes
    ]
    if answer and not closed:
        answer[-1] = answer[-1]._replace(closed=False)
    return answer


def minutes(candles: Iterable[Candle]) -> list[int]:
    """The minutes at which they open."""
    return [(each.open_time - BASE) // MINUTE for each in candles]


def states(candles: Iterable[Candle]) -> list[tuple[int, bool]]:
    """The minutes at which they open, and whether each is closed."""
    return [((each.open_time - BASE) // MINUTE, each.closed) for each in candles]


def same(one: Sequence[Candle], other: Sequence[Candle]) -> bool:
    """Whether they are equal in all that a client receives."""
    return [(*each[:6], each.closed) for each in one] == [
        (*each[:6], each.closed) for each in other
    ]
