from __future__ import annotations

from smarttrade.market.candle import Candle
from smarttrade.market.change import UNCHANGED, Change
from smarttrade.market.gaps import Gap, Missing
from smarttrade.market.interval import Interval
from smarttrade.market.window import WINDOW_SIZE, Window
from tests.fakes.candles import at, candle, minutes, rows, states
from tests.fakes.windows import ms, window

# Before there is history


def test_nothing_is_published_before_history() -> None:
    fresh = Window(Interval.MINUTE_1)
    assert fresh.apply(candle(0)) == UNCHANGED
    assert fresh.apply(candle(1, closed=False)) == UNCHANGED
    assert not fresh.is_ready
    assert (len(fresh), fresh.buffered, fresh.newest, fresh.oldest) == (0, 2, None, None)
    assert fresh.release() == UNCHANGED
    assert not fresh.is_overdue(at(99), 0)


def test_history_publishes_everything_and_what_was_buffered() -> None:
    fresh = Window(Interval.MINUTE_1)
    fresh.apply(candle(3))
    fresh.apply(candle(4, closed=False))
    change = fresh.merge(rows(0, 3))
    assert states(change.updates) == [(0, True), (1, True), (2, True), (3, True), (4, False)]
    assert (change.corrections, change.missing) == ((), None)
    assert change.updates == tuple(fresh)
    assert fresh.buffered == 0


def test_buffered_state_older_than_history_is_forgotten() -> None:
    fresh = Window(Interval.MINUTE_1)
    fresh.apply(candle(-1))
    fresh.apply(candle(0, closed=False, close=7.0))
    assert states(fresh.merge(rows(0, 1)).updates) == [(0, True), (1, False)]
    assert fresh.buffered == 0


def test_buffered_candle_that_history_does_not_reach_is_missing_something() -> None:
    fresh = Window(Interval.MINUTE_1)
    fresh.apply(candle(5))
    change = fresh.merge(rows(0, 2))
    assert states(change.updates) == [(0, True), (1, True), (2, False)]
    assert change.missing == Missing(at(2), at(5))


def test_only_as_many_live_candles_are_buffered_as_a_window_has() -> None:
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


def test_latest_of_the_buffered_states_is_published() -> None:
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


def test_months_follow_each_other() -> None:
    def month(text: str, *, closed: bool = True) -> Candle:
        return candle(closed=closed)._replace(open_time=ms(text), event_time=ms(text) + 1)

    live = Window(Interval.MONTH_1)
    live.merge([month("2023-12-01"), month("2024-01-01", closed=False)._replace(from_rest=True)])
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


# Beginnings


def test_oldest_buffered_candle_is_reported() -> None:
    live = window(*rows(0, 0))
    assert live.oldest_buffered is None
    for minute in (3, 2, 4):
        live.apply(candle(minute))
    assert live.oldest_buffered == at(2)


def test_what_is_missing_is_reported_once_and_not_with_every_state_before_it() -> None:
    live = window(*rows(0, 0))
    live.apply(candle(3))
    live_candle = candle(0, closed=False, event=30, volume=50.0)
    assert live.apply(live_candle) == Change((live_candle,))


def test_event_that_repeats_what_was_read_already_is_not_published_again() -> None:
    read = candle(2, closed=False, event=10, from_rest=True)
    live = window(*rows(0, 1), read)
    live_candle = read._replace(event_time=read.event_time + 20_000, from_rest=False)
    assert live.apply(live_candle) == UNCHANGED
    assert live.newest == live_candle, "its event time counts from now on"
    assert live.apply(live_candle._replace(closed=True)).updates == (
        live_candle._replace(closed=True),
    )
