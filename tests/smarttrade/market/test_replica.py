from __future__ import annotations

from smarttrade.market.change import UNCHANGED, Change
from smarttrade.market.gaps import Gap, Missing, Span
from smarttrade.market.interval import Interval
from smarttrade.market.replica import adopt, follow
from smarttrade.market.window import WINDOW_SIZE, Window
from smarttrade.market.window_state import WindowState
from tests.fakes.candles import at, candle, minutes, rows, rows_at
from tests.fakes.windows import kept, window


def test_what_another_window_had_before_all_of_ours_is_not_published() -> None:
    """Found by the simulation, seed 33: a Redis restored from an old dump."""
    ours = window(*rows(0, WINDOW_SIZE - 1))
    before = window(*rows(-2, WINDOW_SIZE - 3, closed=True)).state
    assert adopt(ours, before) == UNCHANGED
    assert ours.oldest is not None
    assert ours.oldest.open_time == at(0)


def test_first_state_that_is_adopted_is_no_news() -> None:
    copy = Window(Interval.MINUTE_1)
    assert adopt(copy, kept()) == UNCHANGED
    assert copy.is_ready
    assert copy.state == kept()


def test_adopted_is_what_differs() -> None:
    copy = window(*rows(0, 1))
    last = candle(2, closed=False)
    filled = (candle(0, close=7.0), candle(1, close=8.0), last)
    change = adopt(copy, WindowState(filled))
    assert change == Change((candle(1, close=8.0), last), (candle(0, close=7.0),))
    assert adopt(copy, WindowState(filled)) == UNCHANGED


def test_other_values_of_the_newest_candle_are_a_correction_once_it_is_closed() -> None:
    copy = window(*rows(0, 1, closed=True))
    corrected = candle(1, close=8.0)
    change = adopt(copy, WindowState((*rows(0, 0, closed=True), corrected)))
    assert change == Change((), (corrected,))


def test_first_candles_of_an_empty_copy_are_updates() -> None:
    copy = window()
    assert adopt(copy, WindowState((candle(0), candle(1)))) == Change((candle(0), candle(1)))


def test_adopted_candle_that_was_absent_is_a_correction() -> None:
    copy = window(*rows_at([0, 2], closed=True))
    absent = candle(1)
    assert adopt(copy, WindowState((candle(0), absent, candle(2)))).corrections == (absent,)
    assert minutes(copy) == [0, 1, 2]


def test_adopting_never_goes_back() -> None:
    newer = candle(1, closed=False, event=30, volume=50.0)
    copy = window(*rows(0, 0, closed=True), newer)
    stale = WindowState((candle(0, from_rest=True), candle(1, closed=False, event=2)))
    assert adopt(copy, stale) == UNCHANGED
    assert copy.newest == newer
    copy.apply(candle(1))
    assert adopt(copy, WindowState((candle(0),))) == UNCHANGED
    assert adopt(copy, WindowState(())) == UNCHANGED
    assert minutes(copy) == [0, 1]


def test_adopted_state_of_which_only_its_origin_differs_is_taken_and_not_published() -> None:
    copy = window(*rows(0, 1))
    assert adopt(copy, WindowState((candle(0), rows(1, 1)[0]))) == UNCHANGED
    assert copy.oldest == candle(0)


def test_oldest_of_a_full_copy_is_corrected() -> None:
    copy = window(*rows(0, WINDOW_SIZE - 1, closed=True))
    right = [candle(0, close=7.0), *list(copy)[1:]]
    assert adopt(copy, WindowState(tuple(right))).corrections == (right[0],)


def test_followed_states_are_updates_of_the_newest_candle_and_after_it() -> None:
    copy = window()
    first, second = candle(0, closed=False), candle(0, closed=False, event=4, volume=2.0)
    for live_candle in (first, second, candle(0), candle(1, closed=False)):
        assert follow(copy, live_candle, corrected=False) == Change((live_candle,))
    assert list(copy) == [candle(0), candle(1, closed=False)]


def test_followed_state_that_is_known_or_older_is_no_news() -> None:
    copy = window(*rows_at([0, 2], closed=True))
    follow(copy, newest := candle(3, closed=False, event=9, volume=5.0), corrected=False)
    for stale in (newest, candle(3, closed=False, event=2), candle(1), candle(0, close=7.0)):
        assert follow(copy, stale, corrected=False) == UNCHANGED
    assert follow(copy, newest, corrected=True) == UNCHANGED
    assert minutes(copy) == [0, 2, 3]


def test_followed_correction_replaces_and_fills_in() -> None:
    copy = window(*rows_at([0, 2], closed=True))
    for live_candle in (candle(0, close=7.0), candle(1), candle(-1)):
        assert follow(copy, live_candle, corrected=True) == Change(corrections=(live_candle,))
    assert list(copy)[:3] == [candle(-1), candle(0, close=7.0), candle(1)]


def test_full_copy_keeps_its_size_whatever_it_follows() -> None:
    absent = 5
    copy = window(*rows_at([m for m in range(WINDOW_SIZE + 1) if m != absent], closed=True))
    assert follow(copy, candle(-1), corrected=True) == UNCHANGED
    assert follow(copy, candle(absent), corrected=True)
    assert minutes(copy) == list(range(1, WINDOW_SIZE + 1))
    assert follow(copy, candle(WINDOW_SIZE + 1), corrected=False)
    assert minutes(copy) == list(range(2, WINDOW_SIZE + 2))


def test_copy_distinguishes_the_holes_it_follows_from_what_is_unfilled() -> None:
    copy = window(*rows_at([0, 2, 4], closed=True))
    copy.known_gaps.set([Span(at(1), at(1))], [Missing(at(3), at(4))])
    assert copy.gaps() == (Gap(at(1), at(1), "exchange"), Gap(at(3), at(3), "unfilled"))
    assert copy.unfilled == (Missing(at(3), at(4)),)
    assert copy.state.holes == (Span(at(1), at(1)),)


def test_candle_that_has_closed_does_not_form_again_by_being_adopted() -> None:
    copy = window(*rows(0, 1, closed=True))
    before = list(copy)
    stale = candle(1, closed=False, event=59, close=7.0, volume=99.0)
    assert adopt(copy, WindowState((before[0], stale))) == UNCHANGED
    assert list(copy) == before
