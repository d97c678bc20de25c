from __future__ import annotations

import pytest

from smarttrade.market.candle import Candle
from smarttrade.market.change import UNCHANGED, Change
from smarttrade.market.differences import Difference, correct, differences
from smarttrade.market.gaps import Missing
from tests.fakes.candles import at, candle, rows, rows_at
from tests.fakes.windows import window


def test_correction_replaces_a_closed_candle() -> None:
    live = window(*rows(0, 3))
    right = candle(1, close=101.0, from_rest=True)
    assert correct(live, right) == Change(corrections=(right,))
    assert list(live)[1] == right
    assert correct(live, right) == UNCHANGED


@pytest.mark.parametrize(
    "row",
    [
        candle(1, from_rest=True),  # the same
        candle(-1, close=101.0, from_rest=True),  # too old
        candle(9, close=101.0, from_rest=True),  # not there yet
        candle(3, close=101.0, from_rest=True),  # still forming
    ],
)
def test_correction_of_anything_else_is_no_news(row: Candle) -> None:
    live = window(*rows(0, 3))
    before = list(live)
    assert correct(live, row) == UNCHANGED
    assert list(live) == before


def test_change_of_corrections_alone_is_a_change() -> None:
    assert Change(corrections=(candle(1),))
    assert not Change(missing=Missing(at(0), at(1)))


def test_differences_are_reported_with_what_was_published() -> None:
    live = window(*rows_at([0, 1, 3, 4]))
    other = candle(1, close=101.0, from_rest=True)
    absent = candle(2, from_rest=True)
    assert differences(live, [other, absent, candle(3, from_rest=True)]) == (
        Difference(candle(1, from_rest=True)._replace(event_time=0), other),
        Difference(None, absent),
    )


@pytest.mark.parametrize(
    "row",
    [
        candle(0, from_rest=True),  # the same
        candle(1, closed=False, close=101.0, from_rest=True),  # may still change
        candle(3, close=101.0, from_rest=True),  # still forming here
        candle(-1, close=101.0, from_rest=True),  # before the oldest
        candle(9, close=101.0, from_rest=True),  # not there yet
    ],
)
def test_row_outside_the_window_or_not_final_is_no_difference(row: Candle) -> None:
    assert differences(window(*rows(0, 3)), [row]) == ()
