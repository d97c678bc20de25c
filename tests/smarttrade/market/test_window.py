from datetime import UTC, datetime

import pytest

from smarttrade.market.candle import Candle
from smarttrade.market.gaps import Gap, Missing, Span
from smarttrade.market.interval import Interval
from smarttrade.market.window import UNCHANGED, WINDOW_SIZE, Change, Difference, Window
from smarttrade.market.window_state import WindowState
from tests.fakes.candles import at, candle, minutes, rows, rows_at, same, states


def window(*history: Candle) -> Window:
    """One that has read this history."""
    new = Window(Interval.MINUTE_1)
    new.merge(list(history))
    return new


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


# Before there is history


def test_nothing_is_published_before_history() -> None:
    fresh = Window(Interval.MINUTE_1)
    assert fresh.apply(candle(0)) == UNCHANGED
    assert fresh.apply(candle(1, closed=False)) == UNCHANGED
    assert not fresh.is_ready
    assert (len(fresh), fresh.buffered, fresh.newest, fresh.oldest) == (0, 2, None, None)
    assert fresh.release() == UNCHANGED
    assert not fresh.is_overdue(at(99), 0)


def test_history_publishes_everything_and_what_was_held() -> None:
    fresh = Window(Interval.MINUTE_1)
    fresh.apply(candle(3))
    fresh.apply(candle(4, closed=False))
    change = fresh.merge(rows(0, 3))
    assert states(change.updates) == [(0, True), (1, True), (2, True), (3, True), (4, False)]
    assert (change.corrections, change.missing) == ((), None)
    assert change.updates == tuple(fresh)
    assert fresh.buffered == 0


def test_held_state_older_than_history_is_forgotten() -> None:
    fresh = Window(Interval.MINUTE_1)
    fresh.apply(candle(-1))
    fresh.apply(candle(0, closed=False, close=7.0))
    assert states(fresh.merge(rows(0, 1)).updates) == [(0, True), (1, False)]
    assert fresh.buffered == 0


def test_held_candle_that_history_does_not_reach_is_missing_something() -> None:
    fresh = Window(Interval.MINUTE_1)
    fresh.apply(candle(5))
    change = fresh.merge(rows(0, 2))
    assert states(change.updates) == [(0, True), (1, True), (2, False)]
    assert change.missing == Missing(at(2), at(5))


def test_only_as_many_live_candles_are_held_as_a_window_has() -> None:
    fresh = Window(Interval.MINUTE_1)
    for minute in range(WINDOW_SIZE + 7):
        fresh.apply(candle(minute))
    assert fresh.buffered == WINDOW_SIZE
    change = fresh.merge(rows(0, 6, closed=True))
    assert minutes(change.updates) == list(range(WINDOW_SIZE + 7))
    assert minutes(fresh) == list(range(7, WINDOW_SIZE + 7))


def test_symbol_without_any_history_begins_with_its_first_live_candle() -> None:
    fresh = Window(Interval.MINUTE_1)
    assert fresh.merge([]) == UNCHANGED
    assert fresh.is_ready
    assert states(fresh.apply(candle(0, closed=False)).updates) == [(0, False)]
    assert states(fresh.apply(candle(0)).updates) == [(0, True)]


# Live candles


def test_forming_candle_is_replaced_and_then_closed() -> None:
    live = window(*rows(0, 1))
    for event in (2, 4, 6):
        live_candle = candle(1, closed=False, event=event, volume=50.0 + event)
        assert live.apply(live_candle) == Change((live_candle,))
    assert live.apply(candle(1, volume=60.0)) == Change((candle(1, volume=60.0),))
    assert live.apply(candle(2, closed=False)) == Change((candle(2, closed=False),))
    assert states(live) == [(0, True), (1, True), (2, False)]


def test_repeated_and_older_states_are_no_news() -> None:
    live = window(*rows(0, 1))
    live.apply(candle(1, closed=False, event=8, volume=50.0))
    for stale in (
        candle(1, closed=False, event=8, volume=50.0),
        candle(1, closed=False, event=6, volume=50.0),
        candle(0, closed=False, event=59),
        candle(0, close=7.0),
    ):
        assert live.apply(stale) == UNCHANGED
    assert live.newest == candle(1, closed=False, event=8, volume=50.0)


def test_newer_candle_waits_for_the_end_of_the_one_before() -> None:
    live = window(*rows(0, 0))
    change = live.apply(candle(1, closed=False))
    assert change == Change(missing=Missing(at(0), at(1)))
    assert live.buffered == 1
    change = live.apply(candle(0))
    assert states(change.updates) == [(0, True), (1, False)]
    assert change.missing is None
    assert live.buffered == 0


def test_newer_candle_waits_for_those_between() -> None:
    live = window(*rows(0, 0, closed=True))
    assert live.apply(candle(4)).missing == Missing(at(1), at(4))
    assert live.apply(candle(3)).missing == Missing(at(1), at(3))
    change = live.apply(candle(1))
    assert (states(change.updates), change.missing) == ([(1, True)], Missing(at(2), at(3)))
    assert states(live.apply(candle(2)).updates) == [(2, True), (3, True), (4, True)]


def test_latest_of_the_held_states_is_published() -> None:
    live = window(*rows(0, 0, closed=True))
    live.apply(candle(2, closed=False, event=4, volume=4.0))
    live.apply(candle(2, closed=False, event=2, volume=2.0))
    assert live.apply(candle(1)).updates[-1] == candle(2, closed=False, event=4, volume=4.0)
    live.apply(candle(4))
    live.apply(candle(4, closed=False, event=59))
    live.apply(candle(2))
    assert states(live.apply(candle(3)).updates) == [(3, True), (4, True)]


def test_window_keeps_the_newest_thousand() -> None:
    live = window(*rows(0, WINDOW_SIZE - 1, closed=True))
    assert live.is_full
    live.apply(candle(WINDOW_SIZE, closed=False))
    assert len(live) == WINDOW_SIZE
    assert live.oldest is not None
    assert live.oldest.open_time == at(1)


def test_candles_without_trades_follow_each_other() -> None:
    """The stream may send a minute without trades, with zero volume."""
    live = window(*(row._replace(volume=0.0) for row in rows(0, 0, closed=True)))
    for minute in (1, 2, 3):
        for event in (2, 4):
            live_candle = candle(minute, closed=False, event=event, volume=0.0)
            assert live.apply(live_candle) == Change((live_candle,))
        final = candle(minute, volume=0.0)
        assert live.apply(final) == Change((final,))
    assert states(live) == [(0, True), (1, True), (2, True), (3, True)]


def test_minutes_without_trades_come_from_history() -> None:
    """REST has a candle of no volume for each, where the stream sent nothing."""
    live = window(*rows(0, 1))
    live.apply(candle(1))
    change = live.apply(candle(4, closed=False))
    assert change.missing == Missing(at(2), at(4))
    quiet = [row._replace(volume=0.0) for row in rows(2, 4)]
    change = live.merge(quiet, at(2))
    assert states(change.updates) == [(2, True), (3, True), (4, False)]
    assert change.updates[-1] == candle(4, closed=False)


# History


def test_history_settles_what_was_missing() -> None:
    live = window(*rows(0, 0))
    live.apply(candle(3, closed=False, close=101.0))
    change = live.merge(rows(0, 3), at(0))
    assert states(change.updates) == [(0, True), (1, True), (2, True), (3, False)]
    assert (change.corrections, change.missing) == ((), None)
    assert change.updates[-1] == candle(3, closed=False, close=101.0)._replace(
        volume=10.0, read=True, close=100.0, high=100.0
    )


def test_history_that_was_read_already_is_no_news() -> None:
    live = window(*rows(0, 3))
    assert live.merge(rows(0, 3), at(0)) == UNCHANGED
    assert live.merge(rows(1, 2, closed=True), at(1)) == UNCHANGED
    assert live.merge([], at(1)) == UNCHANGED


def test_staler_read_does_not_undo_what_was_told() -> None:
    live = window(*rows(0, 1))
    live_candle = candle(1, closed=False, event=30, volume=20.0)
    live.apply(live_candle)
    assert live.merge([live_candle._replace(volume=19.0, close=1.0, read=True)], at(1)) == UNCHANGED
    assert live.newest == live_candle


def test_later_read_wins_and_an_event_under_way_does_not_undo_it() -> None:
    live = window(*rows(0, 1))
    live.apply(candle(1, closed=False, event=30, volume=20.0))
    read = candle(1, closed=False, event=10, volume=25.0, close=103.0, read=True)
    change = live.merge([read], at(1))
    # Lower bound of its time: the event that it supersedes.
    assert change.updates == (read._replace(event_time=at(1) + 30_000),)
    assert live.apply(candle(1, closed=False, event=32, volume=22.0)) == UNCHANGED
    assert live.apply(candle(1, closed=False, event=34, volume=26.0))


def test_later_read_in_the_first_history_is_not_undone_by_a_repeated_event() -> None:
    fresh = Window(Interval.MINUTE_1)
    live_candle = candle(1, closed=False, event=30, volume=20.0)
    fresh.apply(live_candle)
    read = candle(1, closed=False, event=34, volume=25.0, read=True)
    fresh.merge([*rows(0, 0, closed=True), read])
    assert fresh.apply(live_candle) == UNCHANGED
    assert fresh.newest == read


def test_held_state_was_told_before_the_first_history_came() -> None:
    """So it is not later for its event time alone: nobody knew any when history was asked for."""
    fresh = Window(Interval.MINUTE_1)
    live_candle = candle(1, closed=False, event=30, volume=20.0)
    fresh.apply(live_candle)
    read = candle(1, closed=False, volume=25.0, read=True)._replace(event_time=0)
    fresh.merge([*rows(0, 0, closed=True), read])
    assert fresh.newest == read._replace(event_time=live_candle.event_time)
    assert fresh.apply(live_candle) == UNCHANGED


def test_staler_read_in_the_first_history_does_not_undo_what_was_told() -> None:
    fresh = Window(Interval.MINUTE_1)
    live_candle = candle(1, closed=False, event=30, volume=20.0)
    fresh.apply(live_candle)
    read = candle(1, closed=False, event=34, volume=19.0, read=True)
    fresh.merge([*rows(0, 0, closed=True), read])
    assert fresh.newest == live_candle


def test_later_read_of_a_held_candle_is_not_undone_by_a_repeated_event() -> None:
    live = window(*rows(0, 0, closed=True))
    live_candle = candle(2, closed=False, event=30, volume=20.0)
    live.apply(live_candle)
    read = candle(2, closed=False, event=10, volume=25.0, read=True)
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
    """Nobody knows what lies between."""
    live = window(*rows(5, 7))
    assert live.apply(candle(2)) == UNCHANGED
    assert live.apply(candle(4)) == UNCHANGED
    assert minutes(live) == [5, 6, 7]


def test_outage_longer_than_a_window_is_read_page_by_page() -> None:
    """Each page begins at the last row of the one before, of which nobody knew the end."""
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
    stopped = candle(0, closed=False, read=True)._replace(open_time=before)
    live.merge([stopped._replace(open_time=ms("2023-03-24 12:38"), closed=True), stopped])
    resumed = candle(0, closed=False)._replace(open_time=after, event_time=after + 2000)
    assert live.apply(resumed).missing == Missing(before, after)

    final = stopped._replace(closed=True, volume=12.5)
    change = live.merge([final, resumed._replace(read=True)], before)
    assert change.updates == (final, resumed)
    assert change.missing is None
    hole = Gap(ms("2023-03-24 12:40"), ms("2023-03-24 13:59"), "exchange")
    assert live.gaps() == (hole,)
    assert not live.unfilled

    closed = resumed._replace(closed=True, event_time=after + 60_000)
    assert live.apply(closed) == Change((closed,))
    assert live.merge([final, closed._replace(read=True)], before) == UNCHANGED
    assert live.gaps() == (hole,)


def test_hole_right_behind_the_newest_is_remembered_before_anything_follows() -> None:
    live = window(*rows(0, 2, closed=True))
    change = live.merge(rows_at([7]), at(3))
    assert states(change.updates) == [(7, False)]
    assert live.gaps() == (Gap(at(3), at(6), "exchange"),)


def test_holes_in_the_first_history_are_remembered() -> None:
    live = window(*rows_at([0, 1, 4, 5, 9]))
    assert live.gaps() == (Gap(at(2), at(3), "exchange"), Gap(at(6), at(8), "exchange"))


def test_holes_that_adjoin_are_skipped_together() -> None:
    live = window(*rows(0, 2, closed=True))
    live.apply(candle(9))
    live.merge([], at(3))
    live.merge(rows_at([12]), at(9))  # 9 to 11 are a hole, as far as history knew
    live.merge(rows_at([9]), at(3))  # and so are 3 to 8
    assert minutes(live) == [0, 1, 2, 9, 12]


def test_hole_is_forgotten_with_the_candles_around_it() -> None:
    live = window(*rows_at([0, 1, *range(5, WINDOW_SIZE + 3)], closed=True))
    assert live.gaps() == (Gap(at(2), at(4), "exchange"),)
    for minute in (WINDOW_SIZE + 3, WINDOW_SIZE + 4):
        live.apply(candle(minute))
    assert minutes(live)[:2] == [5, 6]
    assert not live.gaps()
    assert not live.state.holes


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


def test_range_that_does_not_cover_the_newest_says_nothing_about_it() -> None:
    live = window(*rows(0, 1))
    live.merge(rows_at([4]), at(2))
    assert states(live) == [(0, True), (1, False)]


# Published over what is missing


def test_release_publishes_what_is_held_and_says_what_is_unfilled() -> None:
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


# Corrections


def test_correction_replaces_a_closed_candle() -> None:
    live = window(*rows(0, 3))
    right = candle(1, close=101.0, read=True)
    assert live.correct(right) == Change(corrections=(right,))
    assert list(live)[1] == right
    assert live.correct(right) == UNCHANGED


@pytest.mark.parametrize(
    "row",
    [
        candle(1, read=True),  # the same
        candle(-1, close=101.0, read=True),  # too old
        candle(9, close=101.0, read=True),  # not there yet
        candle(3, close=101.0, read=True),  # still forming
    ],
)
def test_correction_of_anything_else_is_no_news(row: Candle) -> None:
    live = window(*rows(0, 3))
    before = list(live)
    assert live.correct(row) == UNCHANGED
    assert list(live) == before


# Reading


def test_newest_candles_before_a_time() -> None:
    live = window(*rows(0, 9))
    assert minutes(live.newest_candles(3)) == [7, 8, 9]
    assert minutes(live.newest_candles(3, at(7))) == [4, 5, 6]
    assert minutes(live.newest_candles(3, at(7) + 1)) == [5, 6, 7]
    assert minutes(live.newest_candles(3, at(2))) == [0, 1]
    assert minutes(live.newest_candles(99, at(99))) == list(range(10))
    assert live.newest_candles(3, at(0)) == ()
    assert live.newest_candles(0) == ()


def test_candles_since_a_time() -> None:
    live = window(*rows(0, 4))
    assert minutes(live.since(at(3))) == [3, 4]
    assert minutes(live.since(at(3) - 1)) == [3, 4]
    assert minutes(live.since(at(3) + 1)) == [4]
    assert minutes(live.since(0)) == [0, 1, 2, 3, 4]
    assert live.since(at(5)) == ()


def test_overdue_once_the_newest_ended_more_than_the_grace_ago() -> None:
    live = window(*rows(0, 3))
    end = at(4) - 1
    assert not live.is_overdue(end + 5000, 5000)
    assert live.is_overdue(end + 5001, 5000)


def test_months_follow_each_other() -> None:
    def month(text: str, *, closed: bool = True) -> Candle:
        return candle(closed=closed)._replace(open_time=ms(text), event_time=ms(text) + 1)

    live = Window(Interval.MONTH_1)
    live.merge([month("2023-12-01"), month("2024-01-01", closed=False)._replace(read=True)])
    assert live.apply(month("2024-01-01")).updates == (month("2024-01-01"),)
    assert live.apply(month("2024-02-01")).updates == (month("2024-02-01"),)
    change = live.apply(month("2024-04-01", closed=False))
    assert change.missing == Missing(ms("2024-03-01"), ms("2024-04-01"))
    assert live.apply(month("2024-03-01")).updates == (
        month("2024-03-01"),
        month("2024-04-01", closed=False),
    )
    live.apply(month("2024-04-01"))
    live.apply(month("2024-07-01", closed=False))
    live.release()
    assert live.gaps() == (Gap(ms("2024-05-01"), ms("2024-06-01"), "unfilled"),)
    assert live.is_overdue(ms("2024-08-01"), 0)
    assert not live.is_overdue(ms("2024-08-01") - 1, 0)


def test_what_another_window_had_before_all_of_ours_is_not_published() -> None:
    """Found by the simulation, seed 33: a Redis restored from an old dump."""
    ours = window(*rows(0, WINDOW_SIZE - 1))
    before = window(*rows(-2, WINDOW_SIZE - 3, closed=True)).state
    assert ours.adopt(before) == UNCHANGED
    assert ours.oldest is not None
    assert ours.oldest.open_time == at(0)


def test_forming_state_of_a_candle_that_was_published_over_is_no_correction() -> None:
    """Found by the simulation: a page that ends early, so that its last row may still form."""
    late = window(*rows(0, 2))
    late.apply(candle(4))
    late.release()
    assert late.merge([candle(2, closed=False, volume=50, read=True)], at(2)) == UNCHANGED
    corrected = late.merge([candle(2), candle(3, closed=False)], at(2)).corrections
    assert states(corrected) == [(2, True)]


def test_candle_that_was_published_over_while_it_formed_is_told_as_unfilled() -> None:
    """Found by the simulation: a page had a state in its middle that was not the final one."""
    live = window(*rows(0, 1))
    live.apply(candle(2, closed=False))
    live.apply(candle(3, closed=False))
    live.release()
    assert live.gaps() == (Gap(at(1), at(2), "unfilled"),)
    live.merge(rows(1, 3), at(1))
    assert not live.gaps()


# What the exchange corrects


def test_change_of_corrections_alone_is_a_change() -> None:
    assert Change(corrections=(candle(1),))
    assert not Change(missing=Missing(at(0), at(1)))


def test_differences_are_told_with_what_was_published() -> None:
    live = window(*rows_at([0, 1, 3, 4]))
    other = candle(1, close=101.0, read=True)
    absent = candle(2, read=True)
    assert live.differences([other, absent, candle(3, read=True)]) == (
        Difference(candle(1, read=True)._replace(event_time=0), other),
        Difference(None, absent),
    )


@pytest.mark.parametrize(
    "row",
    [
        candle(0, read=True),  # the same
        candle(1, closed=False, close=101.0, read=True),  # may still change
        candle(3, close=101.0, read=True),  # still forming here
        candle(-1, close=101.0, read=True),  # before the oldest
        candle(9, close=101.0, read=True),  # not there yet
    ],
)
def test_row_outside_the_window_or_not_final_is_no_difference(row: Candle) -> None:
    assert window(*rows(0, 3)).differences([row]) == ()


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


def test_what_waits_first_is_told() -> None:
    live = window(*rows(0, 0))
    assert live.oldest_buffered is None
    for minute in (3, 2, 4):
        live.apply(candle(minute))
    assert live.oldest_buffered == at(2)


def test_what_is_missing_is_told_once_and_not_with_every_state_before_it() -> None:
    live = window(*rows(0, 0))
    live.apply(candle(3))
    live_candle = candle(0, closed=False, event=30, volume=50.0)
    assert live.apply(live_candle) == Change((live_candle,))


def test_late_final_state_keeps_the_time_of_its_own_event() -> None:
    live = window(*rows(0, 1))
    late = candle(1, event=1, volume=50.0)
    live.merge([candle(1, closed=False, event=30, volume=20.0, read=True)], at(1))
    live.apply(candle(3))
    live.release()
    assert live.apply(late).corrections == (late,)


def test_revision_of_the_gaps_grows_whenever_they_change() -> None:
    live = window(*rows(0, 1, closed=True))
    revisions = [live.known_gaps.revision]
    live.apply(candle(4))
    assert live.known_gaps.revision == revisions[-1]
    for change in (
        live.release,
        lambda: live.merge(rows_at([4]), at(2)),
        lambda: live.merge(rows(2000, 2002)),
        lambda: live.known_gaps.set([Span(at(2), at(3))], []),
    ):
        change()
        revisions.append(live.known_gaps.revision)
    assert revisions == sorted(set(revisions))


# Copies


def kept() -> WindowState:
    """With a hole, a candle that was published over while it formed, and a gap without reason."""
    return WindowState(
        (candle(0), candle(2), candle(3, closed=False), candle(6), candle(9, closed=False)),
        (Span(at(1), at(1)), Span(at(4), at(5))),
        (),
    )


def test_restored_window_publishes_everything_and_doubts_what_has_no_reason() -> None:
    fresh = Window(Interval.MINUTE_1)
    assert fresh.restore(kept()) == Change(kept().candles)
    assert fresh.state == kept()._replace(
        unfilled=(Missing(at(3), at(6)), Missing(at(7), at(9))),
    )
    assert fresh.gaps() == (
        Gap(at(1), at(1), "exchange"),
        Gap(at(3), at(3), "unfilled"),
        Gap(at(4), at(5), "exchange"),
        Gap(at(7), at(8), "unfilled"),
    )


def test_neighbouring_gaps_of_one_cause_are_told_as_one() -> None:
    fresh = Window(Interval.MINUTE_1)
    fresh.restore(WindowState((candle(0), candle(2), candle(3, closed=False), candle(6))))
    assert fresh.gaps() == (Gap(at(1), at(1), "unfilled"), Gap(at(3), at(5), "unfilled"))


def test_window_that_is_restored_again_and_again_knows_each_gap_once() -> None:
    state = kept()
    for _ in range(3):
        fresh = Window(Interval.MINUTE_1)
        fresh.restore(state)
        state = fresh.state
    assert state.unfilled == (Missing(at(3), at(6)), Missing(at(7), at(9)))


def test_unfilled_ranges_are_restored_in_order() -> None:
    fresh = Window(Interval.MINUTE_1)
    fresh.restore(kept()._replace(unfilled=(Missing(at(7), at(9)),)))
    assert fresh.unfilled == (Missing(at(3), at(6)), Missing(at(7), at(9)))


def test_window_that_has_a_beginning_is_not_restored() -> None:
    live = window(*rows(0, 1))
    before = live.state
    assert live.restore(kept()) == UNCHANGED
    assert live.state == before


def test_range_is_unfilled_while_a_candle_inside_it_still_forms() -> None:
    fresh = Window(Interval.MINUTE_1)
    live_candle = (candle(0), candle(1), candle(2, closed=False), candle(3))
    fresh.restore(WindowState(live_candle, (), (Missing(at(1), at(3)),)))
    fresh.merge([candle(1), candle(2, closed=False)], at(1))
    assert Missing(at(1), at(3)) in fresh.unfilled


def test_first_state_that_is_adopted_is_no_news() -> None:
    copy = Window(Interval.MINUTE_1)
    assert copy.adopt(kept()) == UNCHANGED
    assert copy.is_ready
    assert copy.state == kept()


def test_adopted_is_what_differs() -> None:
    copy = window(*rows(0, 1))
    last = candle(2, closed=False)
    filled = (candle(0, close=7.0), candle(1, close=8.0), last)
    change = copy.adopt(WindowState(filled))
    assert change == Change((candle(1, close=8.0), last), (candle(0, close=7.0),))
    assert copy.adopt(WindowState(filled)) == UNCHANGED


def test_first_candles_of_an_empty_copy_are_updates() -> None:
    copy = window()
    assert copy.adopt(WindowState((candle(0), candle(1)))) == Change((candle(0), candle(1)))


def test_adopted_candle_that_was_absent_is_a_correction() -> None:
    copy = window(*rows_at([0, 2], closed=True))
    absent = candle(1)
    assert copy.adopt(WindowState((candle(0), absent, candle(2)))).corrections == (absent,)
    assert minutes(copy) == [0, 1, 2]


def test_adopting_never_goes_back() -> None:
    newer = candle(1, closed=False, event=30, volume=50.0)
    copy = window(*rows(0, 0, closed=True), newer)
    stale = WindowState((candle(0, read=True), candle(1, closed=False, event=2)))
    assert copy.adopt(stale) == UNCHANGED
    assert copy.newest == newer
    copy.apply(candle(1))
    assert copy.adopt(WindowState((candle(0),))) == UNCHANGED
    assert copy.adopt(WindowState(())) == UNCHANGED
    assert minutes(copy) == [0, 1]


def test_adopted_state_of_which_only_its_origin_differs_is_taken_without_a_word() -> None:
    copy = window(*rows(0, 1))
    assert copy.adopt(WindowState((candle(0), rows(1, 1)[0]))) == UNCHANGED
    assert copy.oldest == candle(0)


def test_oldest_of_a_full_copy_is_corrected() -> None:
    copy = window(*rows(0, WINDOW_SIZE - 1, closed=True))
    right = [candle(0, close=7.0), *list(copy)[1:]]
    assert copy.adopt(WindowState(tuple(right))).corrections == (right[0],)


def test_followed_states_are_updates_of_the_newest_candle_and_after_it() -> None:
    copy = window()
    first, second = candle(0, closed=False), candle(0, closed=False, event=4, volume=2.0)
    for live_candle in (first, second, candle(0), candle(1, closed=False)):
        assert copy.follow(live_candle, corrected=False) == Change((live_candle,))
    assert list(copy) == [candle(0), candle(1, closed=False)]


def test_followed_state_that_is_known_or_older_is_no_news() -> None:
    copy = window(*rows_at([0, 2], closed=True))
    copy.follow(newest := candle(3, closed=False, event=9, volume=5.0), corrected=False)
    for stale in (newest, candle(3, closed=False, event=2), candle(1), candle(0, close=7.0)):
        assert copy.follow(stale, corrected=False) == UNCHANGED
    assert copy.follow(newest, corrected=True) == UNCHANGED
    assert minutes(copy) == [0, 2, 3]


def test_followed_correction_replaces_and_fills_in() -> None:
    copy = window(*rows_at([0, 2], closed=True))
    for live_candle in (candle(0, close=7.0), candle(1), candle(-1)):
        assert copy.follow(live_candle, corrected=True) == Change(corrections=(live_candle,))
    assert list(copy)[:3] == [candle(-1), candle(0, close=7.0), candle(1)]


def test_full_copy_keeps_its_size_whatever_it_follows() -> None:
    absent = 5
    copy = window(*rows_at([m for m in range(WINDOW_SIZE + 1) if m != absent], closed=True))
    assert copy.follow(candle(-1), corrected=True) == UNCHANGED
    assert copy.follow(candle(absent), corrected=True)
    assert minutes(copy) == list(range(1, WINDOW_SIZE + 1))
    assert copy.follow(candle(WINDOW_SIZE + 1), corrected=False)
    assert minutes(copy) == list(range(2, WINDOW_SIZE + 2))


def test_event_that_tells_what_was_read_already_is_not_published_again() -> None:
    read = candle(2, closed=False, event=10, read=True)
    live = window(*rows(0, 1), read)
    live_candle = read._replace(event_time=read.event_time + 20_000, read=False)
    assert live.apply(live_candle) == UNCHANGED
    assert live.newest == live_candle, "its event time counts from now on"
    assert live.apply(live_candle._replace(closed=True)).updates == (
        live_candle._replace(closed=True),
    )


def test_forming_candle_that_was_published_over_at_once_is_doubted_when_it_is_restored() -> None:
    fresh = Window(Interval.MINUTE_1)
    fresh.restore(WindowState((candle(0), candle(1, closed=False), candle(2))))
    assert fresh.unfilled == (Missing(at(1), at(2)),)
    assert fresh.gaps() == (Gap(at(1), at(1), "unfilled"),)


def test_copy_tells_the_holes_it_follows_from_what_is_unfilled() -> None:
    copy = window(*rows_at([0, 2, 4], closed=True))
    copy.known_gaps.set([Span(at(1), at(1))], [Missing(at(3), at(4))])
    assert copy.gaps() == (Gap(at(1), at(1), "exchange"), Gap(at(3), at(3), "unfilled"))
    assert copy.unfilled == (Missing(at(3), at(4)),)
    assert copy.state.holes == (Span(at(1), at(1)),)


def test_holes_end_where_the_rows_after_them_begin() -> None:
    live = window(*rows(0, 0, closed=True))
    revision = live.known_gaps.revision
    live.merge(rows_at([2, 4, 6]), at(1))
    assert live.state.holes == tuple(Span(at(absent), at(absent)) for absent in (1, 3, 5))
    assert live.known_gaps.revision > revision


def test_rows_that_begin_where_they_were_asked_for_have_no_hole_before_them() -> None:
    live = window(*rows(0, 1, closed=True))
    live.merge(rows(2, 4), at(2))
    assert live.state.holes == ()


def test_hole_alone_changes_what_is_known_of_the_gaps() -> None:
    live = window(*rows(0, 1, closed=True))
    revision = live.known_gaps.revision
    live.merge(rows_at([2, 4]), at(2))
    assert live.known_gaps.revision == revision + 1
    live.merge(rows_at([2, 4]), at(2))
    assert live.known_gaps.revision == revision + 1


def test_candle_that_has_closed_does_not_form_again_by_being_adopted() -> None:
    copy = window(*rows(0, 1, closed=True))
    before = list(copy)
    stale = candle(1, closed=False, event=59, close=7.0, volume=99.0)
    assert copy.adopt(WindowState((before[0], stale))) == UNCHANGED
    assert list(copy) == before
