"""Windows to begin a test with."""

from __future__ import annotations

from datetime import UTC, datetime

from smarttrade.market.candle import Candle
from smarttrade.market.gaps import Span
from smarttrade.market.interval import Interval
from smarttrade.market.window import Window
from smarttrade.market.window_state import WindowState
from tests.fakes.candles import at, candle


def window(*history: Candle) -> Window:
    """One that has read this history."""
    new = Window(Interval.MINUTE_1)
    new.merge(list(history))
    return new


def ms(text: str) -> int:
    """A time in UTC, in ms since the epoch."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def kept() -> WindowState:
    """With a hole, a candle that was published over while it formed, and a gap without reason."""
    return WindowState(
        (candle(0), candle(2), candle(3, closed=False), candle(6), candle(9, closed=False)),
        (Span(at(1), at(1)), Span(at(4), at(5))),
        (),
    )
