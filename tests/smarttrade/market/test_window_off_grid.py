"""Rows that open off the computed grid, as the exchange's history has some."""

from __future__ import annotations

from smarttrade.market.candle import Candle
from smarttrade.market.change import Change
from smarttrade.market.gaps import Gap, Missing
from smarttrade.market.interval import Interval
from smarttrade.market.replica import adopt, follow
from smarttrade.market.stored_window import restore
from smarttrade.market.window import Window
from smarttrade.market.window_state import WindowState
from tests.fakes.candles import at, candle, rows


def off_grid(minute: int, *, closed: bool = True) -> Candle:
    """Opens half a minute late."""
    one = candle(minute, closed=closed)
    return one._replace(open_time=one.open_time + 30_000)


def window(*begin: Candle) -> Window:
    made = Window(Interval.MINUTE_1)
    made.merge(begin)
    return made


def test_row_that_opens_late_follows_after_the_range_before_it_is_read() -> None:
    ours = window(candle(0))
    late = off_grid(2)
    assert ours.apply(late).missing == Missing(at(1), late.open_time)
    change = ours.merge([late], at(1))
    assert change == Change((late,))
    assert ours.gaps() == (Gap(at(1), at(2), "exchange"),)
    assert not ours.unfilled


def test_row_that_opens_late_is_followed_by_one_on_the_grid() -> None:
    ours = window(candle(0))
    assert ours.apply(off_grid(0)) == Change((off_grid(0),))
    assert ours.apply(candle(1)) == Change((candle(1),))
    assert ours.gaps() == ()


def test_history_with_rows_off_the_grid_is_whole() -> None:
    history = [candle(0), off_grid(0), candle(3), off_grid(5), *rows(7, 8)]
    ours = window(*history)
    assert list(ours) == history
    assert {gap.cause for gap in ours.gaps()} == {"exchange"}
    assert ours.apply(candle(8)) == Change((candle(8),))


def test_rows_off_the_grid_are_restored_and_adopted() -> None:
    kept = window(candle(0), off_grid(0), off_grid(2), candle(3)).state
    restored, copy = Window(Interval.MINUTE_1), Window(Interval.MINUTE_1)
    restore(restored, kept)
    adopt(copy, kept)
    assert restored.state == copy.state == kept
    assert follow(copy, off_grid(3), corrected=False) == Change((off_grid(3),))


def test_absence_before_a_restored_row_off_the_grid_is_settled_by_reading_it() -> None:
    ours = Window(Interval.MINUTE_1)
    restore(ours, WindowState((candle(0), off_grid(2), candle(3))))
    assert ours.unfilled == (Missing(at(1), off_grid(2).open_time),)
    ours.merge([off_grid(2)], at(1))
    assert not ours.unfilled
