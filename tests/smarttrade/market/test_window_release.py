from __future__ import annotations

from smarttrade.market.change import UNCHANGED
from smarttrade.market.gaps import Gap, Missing
from smarttrade.market.window import WINDOW_SIZE
from tests.fakes.candles import at, candle, minutes, rows, rows_at, same, states
from tests.fakes.windows import window


def test_release_publishes_what_is_buffered_and_reports_what_is_unfilled() -> None:
    live = window(*rows(0, 1))
    for minute in (4, 5, 8):
        live.apply(candle(minute))
    change = live.release()
    assert states(change.updates) == [(4, True), (5, True), (8, True)]
    assert change.missing is None
    assert live.unfilled == (Missing(at(1), at(4)), Missing(at(6), at(8)))
    assert live.gaps() == (Gap(at(1), at(3), "unfilled"), Gap(at(6), at(7), "unfilled"))
    assert live.release() == UNCHANGED


def test_history_fills_in_after_a_release_as_corrections() -> None:
    live = window(*rows(0, 1))
    for minute in (4, 5, 8):
        live.apply(candle(minute))
    live.release()
    change = live.merge(rows(1, 4), at(1))
    assert states(change.corrections) == [(1, True), (2, True), (3, True)]
    assert change.updates == ()
    assert live.unfilled == (Missing(at(6), at(8)),)
    assert live.gaps() == (Gap(at(6), at(7), "unfilled"),)
    assert states(live.merge(rows(6, 8), at(6)).corrections) == [(6, True), (7, True)]
    assert not live.unfilled
    assert not live.gaps()
    assert same(list(live), [candle(minute) for minute in range(9)])


def test_history_that_has_nothing_to_fill_in_turns_unfilled_into_a_hole() -> None:
    live = window(*rows(0, 1, closed=True))
    live.apply(candle(4))
    live.release()
    assert live.merge(rows_at([4]), at(2)) == UNCHANGED
    assert not live.unfilled
    assert live.gaps() == (Gap(at(2), at(3), "exchange"),)


def test_late_live_candles_fill_in_after_a_release() -> None:
    live = window(*rows(0, 1))
    live.apply(candle(3, closed=False))
    live.release()
    assert states(live.apply(candle(2)).corrections) == [(2, True)]
    assert live.unfilled == (Missing(at(1), at(3)),)
    assert states(live.apply(candle(1)).corrections) == [(1, True)]
    assert not live.unfilled
    assert live.apply(candle(1, close=5.0)) == UNCHANGED


def test_forming_state_from_the_past_is_no_news() -> None:
    live = window(*rows(0, 0, closed=True))
    live.apply(candle(3, closed=False))
    live.release()
    assert live.apply(candle(2, closed=False)) == UNCHANGED
    assert live.merge(rows_at([2]), at(2)) == UNCHANGED
    assert minutes(live) == [0, 3]


def test_forming_candle_that_was_published_over_is_unfilled_until_it_is_final() -> None:
    live = window(*rows(0, 1))
    live.apply(candle(2))
    live.release()
    assert live.unfilled == (Missing(at(1), at(2)),)
    assert live.gaps() == (Gap(at(1), at(1), "unfilled"),)
    assert states(live.merge(rows(1, 2), at(1)).corrections) == [(1, True)]
    assert not live.unfilled


def test_forming_candle_that_was_published_over_and_is_not_listed_is_final() -> None:
    live = window(*rows(0, 1))
    live.apply(candle(4))
    live.release()
    change = live.merge(rows_at([4]), at(1))
    assert states(change.corrections) == [(1, True)]
    assert states(live) == [(0, True), (1, True), (4, True)]
    assert not live.unfilled
    assert live.gaps() == (Gap(at(2), at(3), "exchange"),)


def test_unfilled_range_shrinks_with_the_window() -> None:
    live = window(*rows(0, WINDOW_SIZE - 1, closed=True))
    newest = WINDOW_SIZE + 3
    live.apply(candle(newest))
    live.release()
    assert live.unfilled == (Missing(at(WINDOW_SIZE), at(newest)),)
    for minute in range(newest + 1, newest + WINDOW_SIZE - 1):
        live.apply(candle(minute))
    assert minutes(live)[:2] == [WINDOW_SIZE - 1, newest]
    assert live.unfilled == (Missing(at(WINDOW_SIZE), at(newest)),)
    live.apply(candle(newest + WINDOW_SIZE - 1))
    assert not live.unfilled
    assert not live.gaps()


def test_fill_in_pushes_the_oldest_out_of_a_full_window() -> None:
    live = window(*rows(0, WINDOW_SIZE - 1, closed=True))
    live.apply(candle(WINDOW_SIZE + 1))
    live.release()
    assert minutes(live)[0] == 1
    live.apply(candle(WINDOW_SIZE))
    assert minutes(live) == list(range(2, WINDOW_SIZE + 2))


def test_forming_state_of_a_candle_that_was_published_over_is_no_correction() -> None:
    """Found by the simulation: a page that ends early, so that its last row may still form."""
    late = window(*rows(0, 2))
    late.apply(candle(4))
    late.release()
    assert late.merge([candle(2, closed=False, volume=50, from_rest=True)], at(2)) == UNCHANGED
    corrected = late.merge([candle(2), candle(3, closed=False)], at(2)).corrections
    assert states(corrected) == [(2, True)]


def test_candle_that_was_published_over_while_it_formed_is_reported_as_unfilled() -> None:
    """Found by the simulation: a page had a state in its middle that was not the final one."""
    live = window(*rows(0, 1))
    live.apply(candle(2, closed=False))
    live.apply(candle(3, closed=False))
    live.release()
    assert live.gaps() == (Gap(at(1), at(2), "unfilled"),)
    live.merge(rows(1, 3), at(1))
    assert not live.gaps()


def test_late_final_state_keeps_the_time_of_its_own_event() -> None:
    live = window(*rows(0, 1))
    late = candle(1, event=1, volume=50.0)
    live.merge([candle(1, closed=False, event=30, volume=20.0, from_rest=True)], at(1))
    live.apply(candle(3))
    live.release()
    assert live.apply(late).corrections == (late,)


def test_history_that_lags_does_not_publish_a_forming_state_of_the_past() -> None:
    """Its newest row is of a minute that was published over, and may not be final."""
    live = window(*rows(0, 3))
    live.apply(candle(5, closed=False))
    live.release()
    assert states(live)[-2:] == [(3, False), (5, False)]
    lagging = candle(3, closed=False, volume=50.0, from_rest=True)
    assert not live.merge([lagging], at(3))
    change = live.merge([candle(3, volume=60.0, from_rest=True), *rows(4, 5)], at(3))
    assert states(change.corrections) == [(3, True), (4, True)]
