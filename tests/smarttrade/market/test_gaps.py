from __future__ import annotations

from smarttrade.market.gaps import Gap, Span
from smarttrade.market.interval import Interval
from smarttrade.market.stored_window import restore
from smarttrade.market.window import WINDOW_SIZE, Window
from smarttrade.market.window_state import WindowState
from tests.fakes.candles import at, candle, minutes, rows, rows_at
from tests.fakes.windows import window


def test_holes_in_the_first_history_are_remembered() -> None:
    live = window(*rows_at([0, 1, 4, 5, 9]))
    assert live.gaps() == (Gap(at(2), at(3), "exchange"), Gap(at(6), at(8), "exchange"))


def test_hole_is_forgotten_with_the_candles_around_it() -> None:
    live = window(*rows_at([0, 1, *range(5, WINDOW_SIZE + 3)], closed=True))
    assert live.gaps() == (Gap(at(2), at(4), "exchange"),)
    for minute in (WINDOW_SIZE + 3, WINDOW_SIZE + 4):
        live.apply(candle(minute))
    assert minutes(live)[:2] == [5, 6]
    assert not live.gaps()
    assert not live.state.holes


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


def test_neighbouring_gaps_of_one_cause_are_reported_as_one() -> None:
    fresh = Window(Interval.MINUTE_1)
    restore(fresh, WindowState((candle(0), candle(2), candle(3, closed=False), candle(6))))
    assert fresh.gaps() == (Gap(at(1), at(1), "unfilled"), Gap(at(3), at(5), "unfilled"))


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
