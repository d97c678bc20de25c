from __future__ import annotations

from smarttrade.market.change import UNCHANGED, Change
from smarttrade.market.gaps import Gap, Missing
from smarttrade.market.interval import Interval
from smarttrade.market.window import WINDOW_SIZE, Window
from smarttrade.market.window_state import WindowState
from tests.fakes.candles import at, candle, minutes, rows, rows_at, states
from tests.fakes.windows import ms, window

# History


def test_history_settles_what_was_missing() -> None:
    live = window(*rows(0, 0))
    live.apply(candle(3, closed=False, close=101.0))
    change = live.merge(rows(0, 3), at(0))
    assert states(change.updates) == [(0, True), (1, True), (2, True), (3, False)]
    assert (change.corrections, change.missing) == ((), None)
    assert change.updates[-1] == candle(3, closed=False, close=101.0)._replace(
        volume=10.0, from_rest=True, close=100.0, high=100.0
    )


def test_history_that_was_read_already_is_no_news() -> None:
    live = window(*rows(0, 3))
    assert live.merge(rows(0, 3), at(0)) == UNCHANGED
    assert live.merge(rows(1, 2, closed=True), at(1)) == UNCHANGED
    assert live.merge([], at(1)) == UNCHANGED


def test_staler_read_does_not_undo_what_was_published() -> None:
    live = window(*rows(0, 1))
    live_candle = candle(1, closed=False, event=30, volume=20.0)
    live.apply(live_candle)
    assert (
        live.merge([live_candle._replace(volume=19.0, close=1.0, from_rest=True)], at(1))
        == UNCHANGED
    )
    assert live.newest == live_candle


def test_later_read_wins_and_an_event_under_way_does_not_undo_it() -> None:
    live = window(*rows(0, 1))
    live.apply(candle(1, closed=False, event=30, volume=20.0))
    read = candle(1, closed=False, event=10, volume=25.0, close=103.0, from_rest=True)
    change = live.merge([read], at(1))
    # Lower bound of its time: the event that it supersedes.
    assert change.updates == (read._replace(event_time=at(1) + 30_000),)
    assert live.apply(candle(1, closed=False, event=32, volume=22.0)) == UNCHANGED
    assert live.apply(candle(1, closed=False, event=34, volume=26.0))


def test_later_read_in_the_first_history_is_not_undone_by_a_repeated_event() -> None:
    fresh = Window(Interval.MINUTE_1)
    live_candle = candle(1, closed=False, event=30, volume=20.0)
    fresh.apply(live_candle)
    read = candle(1, closed=False, event=34, volume=25.0, from_rest=True)
    fresh.merge([*rows(0, 0, closed=True), read])
    assert fresh.apply(live_candle) == UNCHANGED
    assert fresh.newest == read


def test_buffered_state_was_received_before_the_first_history_came() -> None:
    """So it is not later for its event time alone: none was known when history was asked for."""
    fresh = Window(Interval.MINUTE_1)
    live_candle = candle(1, closed=False, event=30, volume=20.0)
    fresh.apply(live_candle)
    read = candle(1, closed=False, volume=25.0, from_rest=True)._replace(event_time=0)
    fresh.merge([*rows(0, 0, closed=True), read])
    assert fresh.newest == read._replace(event_time=live_candle.event_time)
    assert fresh.apply(live_candle) == UNCHANGED


def test_staler_read_in_the_first_history_does_not_undo_what_was_published() -> None:
    fresh = Window(Interval.MINUTE_1)
    live_candle = candle(1, closed=False, event=30, volume=20.0)
    fresh.apply(live_candle)
    read = candle(1, closed=False, event=34, volume=19.0, from_rest=True)
    fresh.merge([*rows(0, 0, closed=True), read])
    assert fresh.newest == live_candle


def test_later_read_of_a_buffered_candle_is_not_undone_by_a_repeated_event() -> None:
    live = window(*rows(0, 0, closed=True))
    live_candle = candle(2, closed=False, event=30, volume=20.0)
    live.apply(live_candle)
    read = candle(2, closed=False, event=10, volume=25.0, from_rest=True)
    live.merge([read], at(2))
    live.apply(live_candle)
    assert live.apply(candle(1)).updates[-1] == read._replace(event_time=live_candle.event_time)


def test_read_does_not_reopen_a_closed_candle() -> None:
    live = window(*rows(0, 1))
    live.apply(candle(1))
    assert live.merge(rows(0, 1), at(0)) == UNCHANGED
    assert states(live) == [(0, True), (1, True)]


def test_young_symbol_has_few_candles_and_no_gap() -> None:
    live = window(*rows(0, 2))
    assert not live.is_full
    assert (minutes(live), live.gaps(), live.unfilled) == ([0, 1, 2], (), ())


def test_history_from_before_the_oldest_is_a_correction_of_a_young_window() -> None:
    live = window(*rows(2, 4))
    change = live.merge(rows(0, 2), at(0))
    assert states(change.corrections) == [(0, True), (1, True)]
    assert change.updates == ()
    assert minutes(live) == [0, 1, 2, 3, 4]


def test_full_window_does_not_grow_into_the_past() -> None:
    live = window(*rows(2, WINDOW_SIZE + 1))
    assert live.merge(rows(0, 2), at(0)) == UNCHANGED
    assert live.apply(candle(1)) == UNCHANGED
    assert minutes(live)[0] == 2


def test_live_candle_from_before_the_oldest_is_no_news() -> None:
    """What lies between is unknown."""
    live = window(*rows(5, 7))
    assert live.apply(candle(2)) == UNCHANGED
    assert live.apply(candle(4)) == UNCHANGED
    assert minutes(live) == [5, 6, 7]


def test_outage_longer_than_a_window_is_read_page_by_page() -> None:
    """Each page begins at the last row of the one before, whose end was not known."""
    live = window(*rows(0, 9))
    ahead = [candle(minute) for minute in range(2500, 2505)]
    missing = [live.apply(each).missing for each in ahead]
    assert missing == [Missing(at(9), at(2500))] * 5
    live_candle = []
    for first in (9, 1008, 2007):
        change = live.merge(rows(first, min(first + 999, 2500)), at(first))
        live_candle += states(change.updates)
        assert change.corrections == ()
        assert change.missing == (None if first == 2007 else Missing(at(first + 999), at(2500)))
    assert [minute for minute, closed in live_candle if closed] == list(range(9, 2505))
    assert [minute for minute, closed in live_candle if not closed] == [1008, 2007]
    assert minutes(live) == list(range(1505, 2505))
    assert not live.gaps()


def test_full_page_is_not_lost_to_live_candles_that_wait() -> None:
    live = window(*rows(0, 0, closed=True))
    for minute in range(1200, 1200 + WINDOW_SIZE):
        live.apply(candle(minute))
    change = live.merge(rows(1, 1000), at(1))
    assert minutes(change.updates) == list(range(1, 1001))
    assert change.missing == Missing(at(1000), at(1200))


def test_rows_that_nothing_joins_are_bounded() -> None:
    live = window(*rows(0, 0, closed=True))
    for first in range(10, 5000, 1000):
        live.merge(rows(first, first + 999), at(first))
    assert live.buffered <= WINDOW_SIZE


# What the exchange does not have


def test_exchange_without_candles_is_not_asked_again() -> None:
    """On 2023-03-24 spot trading stopped: after the minute of 12:39 comes that of 14:00."""
    before, after = ms("2023-03-24 12:39"), ms("2023-03-24 14:00")
    live = Window(Interval.MINUTE_1)
    stopped = candle(0, closed=False, from_rest=True)._replace(open_time=before)
    live.merge([stopped._replace(open_time=ms("2023-03-24 12:38"), closed=True), stopped])
    resumed = candle(0, closed=False)._replace(open_time=after, event_time=after + 2000)
    assert live.apply(resumed).missing == Missing(before, after)

    final = stopped._replace(closed=True, volume=12.5)
    change = live.merge([final, resumed._replace(from_rest=True)], before)
    assert change.updates == (final, resumed)
    assert change.missing is None
    hole = Gap(ms("2023-03-24 12:40"), ms("2023-03-24 13:59"), "exchange")
    assert live.gaps() == (hole,)
    assert not live.unfilled

    closed = resumed._replace(closed=True, event_time=after + 60_000)
    assert live.apply(closed) == Change((closed,))
    assert live.merge([final, closed._replace(from_rest=True)], before) == UNCHANGED
    assert live.gaps() == (hole,)


def test_hole_right_behind_the_newest_is_remembered_before_anything_follows() -> None:
    live = window(*rows(0, 2, closed=True))
    change = live.merge(rows_at([7]), at(3))
    assert states(change.updates) == [(7, False)]
    assert live.gaps() == (Gap(at(3), at(6), "exchange"),)


def test_holes_that_adjoin_are_skipped_together() -> None:
    live = window(*rows(0, 2, closed=True))
    live.apply(candle(9))
    live.merge([], at(3))
    live.merge(rows_at([12]), at(9))  # 9 to 11 are a hole, as far as history knew
    live.merge(rows_at([9]), at(3))  # and so are 3 to 8
    assert minutes(live) == [0, 1, 2, 9, 12]


def test_forming_candle_that_history_does_not_list_is_final_as_it_stands() -> None:
    live = window(*rows(0, 1))
    live_candle = candle(1, closed=False, event=30, volume=20.0)
    live.apply(live_candle)
    live.apply(candle(4, closed=False))
    change = live.merge(rows_at([4]), at(1))
    assert states(change.updates) == [(1, True), (4, False)]
    assert change.updates[0] == live_candle._replace(closed=True)
    assert change.missing is None
    assert live.gaps() == (Gap(at(2), at(3), "exchange"),)


def test_newest_rows_that_begin_after_a_gap_are_a_new_beginning() -> None:
    live = window(*rows(0, 3))
    live.apply(candle(1000))
    live.apply(candle(2005, closed=False))
    change = live.merge(rows(1003, 2002))
    assert minutes(change.updates) == list(range(1003, 2003))
    assert change.missing == Missing(at(2002), at(2005))
    assert minutes(live) == list(range(1003, 2003))
    assert not live.gaps()


def test_newest_rows_that_follow_the_newest_candle_are_no_new_beginning() -> None:
    live = window(*rows(0, 3, closed=True))
    assert states(live.merge(rows(4, 5)).updates) == [(4, True), (5, False)]
    assert minutes(live) == [0, 1, 2, 3, 4, 5]


def test_newest_rows_behind_a_known_hole_are_no_new_beginning() -> None:
    live = window(*rows(0, 2))
    live.merge(rows_at([7]), at(3))
    assert live.merge(rows(7, 8)) == Change(missing=Missing(at(2), at(7)))
    assert minutes(live) == [0, 1, 2]
    assert states(live.apply(candle(2)).updates) == [(2, True), (7, True), (8, False)]


def test_range_that_does_not_cover_the_newest_leaves_it_as_it_is() -> None:
    live = window(*rows(0, 1))
    live.merge(rows_at([4]), at(2))
    assert states(live) == [(0, True), (1, False)]


# Beginnings


def test_newest_rows_begin_a_window_that_had_no_history() -> None:
    live = window()
    assert states(live.merge(rows(0, 1)).updates) == [(0, True), (1, False)]


def test_new_beginning_forgets_the_gaps_of_the_old_one() -> None:
    live = window(*rows_at([0, 3, 4], closed=True))
    live.apply(candle(7))
    live.release()
    live.merge(rows(2000, 2002))
    assert live.state == WindowState(tuple(rows(2000, 2002)))
