"""What lies in the past of a window is told again only when it is final."""

from __future__ import annotations

from smarttrade.market.interval import Interval
from smarttrade.market.window import Window
from tests.fakes.candles import at, candle, rows, states


def test_history_that_lags_does_not_tell_a_forming_state_of_the_past() -> None:
    """Its newest row is of a minute that was published over, and may not be final."""
    window = Window(Interval.MINUTE_1)
    window.merge(rows(0, 3))
    window.apply(candle(5, closed=False))
    window.release()
    assert states(window)[-2:] == [(3, False), (5, False)]
    lagging = candle(3, closed=False, volume=50.0, read=True)
    assert not window.merge([lagging], at(3))
    told = window.merge([candle(3, volume=60.0, read=True), *rows(4, 5)], at(3))
    assert states(told.corrections) == [(3, True), (4, True)]
