from __future__ import annotations

from smarttrade.market.change import UNCHANGED, Change
from smarttrade.market.gaps import Gap, Missing
from smarttrade.market.interval import Interval
from smarttrade.market.stored_window import merge_stored, restore
from smarttrade.market.window import Window
from smarttrade.market.window_state import WindowState
from tests.fakes.candles import at, candle, rows
from tests.fakes.windows import kept, window


def test_restored_window_publishes_everything_and_reports_as_unfilled_what_has_no_reason() -> None:
    fresh = Window(Interval.MINUTE_1)
    assert restore(fresh, kept()) == Change(tuple(kept().candles))
    assert fresh.state == kept()._replace(
        unfilled=(Missing(at(3), at(6)), Missing(at(7), at(9))),
    )
    assert fresh.gaps() == (
        Gap(at(1), at(1), "exchange"),
        Gap(at(3), at(3), "unfilled"),
        Gap(at(4), at(5), "exchange"),
        Gap(at(7), at(8), "unfilled"),
    )


def test_window_that_is_restored_again_and_again_knows_each_gap_once() -> None:
    state = kept()
    for _ in range(3):
        fresh = Window(Interval.MINUTE_1)
        restore(fresh, state)
        state = fresh.state
    assert state.unfilled == (Missing(at(3), at(6)), Missing(at(7), at(9)))


def test_unfilled_ranges_are_restored_in_order() -> None:
    fresh = Window(Interval.MINUTE_1)
    restore(fresh, kept()._replace(unfilled=(Missing(at(7), at(9)),)))
    assert fresh.unfilled == (Missing(at(3), at(6)), Missing(at(7), at(9)))


def test_window_that_has_a_beginning_is_not_restored() -> None:
    live = window(*rows(0, 1))
    before = live.state
    assert restore(live, kept()) == UNCHANGED
    assert live.state == before


def test_range_is_unfilled_while_a_candle_inside_it_still_forms() -> None:
    fresh = Window(Interval.MINUTE_1)
    live_candle = (candle(0), candle(1), candle(2, closed=False), candle(3))
    restore(fresh, WindowState(live_candle, (), (Missing(at(1), at(3)),)))
    fresh.merge([candle(1), candle(2, closed=False)], at(1))
    assert Missing(at(1), at(3)) in fresh.unfilled


def test_forming_candle_that_was_published_over_at_once_is_doubted_when_it_is_restored() -> None:
    fresh = Window(Interval.MINUTE_1)
    restore(fresh, WindowState((candle(0), candle(1, closed=False), candle(2))))
    assert fresh.unfilled == (Missing(at(1), at(2)),)
    assert fresh.gaps() == (Gap(at(1), at(1), "unfilled"),)


def test_closed_candle_that_another_process_knew_later_replaces_the_earlier_one() -> None:
    live = window(*rows(0, 3, closed=True))
    corrected = candle(1, close=7.0)
    stored = WindowState((candle(0), corrected, candle(2), candle(3)))
    assert merge_stored(live, stored).corrections == (corrected,)
    assert live.candles.find(at(1)) == corrected
    assert merge_stored(live, stored) == UNCHANGED
