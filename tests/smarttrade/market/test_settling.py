"""Rows that are read around the turn of a candle, while history lacks its last trades."""

from __future__ import annotations

from collections.abc import Sequence

from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.packed_candles import PackedCandles
from smarttrade.market.settling import SETTLING_TIME, mark_unsettled, up_to_unsettled
from tests.fakes.candles import BASE, at, minutes, rows, states


def nothing_is_closed(open_time: int) -> bool:
    return False


def marked(last: int, time: int) -> PackedCandles:
    """Minutes 0 to `last`, read at `time` (ms)."""
    return mark_unsettled(PackedCandles.of(rows(0, last)), Interval.MINUTE_1, time)


def seconds(count: int) -> list[Candle]:
    return [rows(0, 0, closed=True)[0]._replace(open_time=BASE + 1000 * n) for n in range(count)]


def closed(candles: Sequence[Candle]) -> list[bool]:
    return [each.closed for each in candles]


def test_row_is_final_when_it_closed_long_enough_before_it_was_read() -> None:
    final_from = at(3) - 1 + SETTLING_TIME  # minute 2 closes 1 ms before minute 3 opens
    assert closed(marked(3, final_from - 1)) == [True, True, False, False]
    assert closed(marked(3, final_from)) == [True, True, True, False]


def test_row_that_forms_is_never_final() -> None:
    assert closed(marked(3, at(4) - 1)) == [True, True, True, False]


def test_rows_of_the_past_are_final_but_for_the_last() -> None:
    assert marked(3, at(100)) == rows(0, 3)


def test_of_a_short_interval_many_rows_are_not_final() -> None:
    found = mark_unsettled(PackedCandles.of(seconds(31)), Interval.SECOND_1, BASE + 30_500)
    assert closed(found) == [True] * 15 + [False] * 16
    assert len(up_to_unsettled(found, nothing_is_closed)) == 16


def test_rows_none_of_which_is_final() -> None:
    found = mark_unsettled(PackedCandles.of(seconds(4)), Interval.SECOND_1, BASE + 3_500)
    assert closed(found) == [False] * 4
    assert up_to_unsettled(found, nothing_is_closed) == found[:1]


def test_no_rows() -> None:
    assert mark_unsettled(PackedCandles(), Interval.MINUTE_1, BASE) == []
    assert up_to_unsettled([], nothing_is_closed) == []


def test_rows_that_are_final_are_all_taken() -> None:
    assert up_to_unsettled(rows(0, 3), nothing_is_closed) == rows(0, 3)
    assert up_to_unsettled(rows(3, 3), nothing_is_closed) == rows(3, 3)


def test_rows_after_the_first_that_is_not_final_are_left_out() -> None:
    assert states(up_to_unsettled(marked(3, at(3)), nothing_is_closed)) == [
        (0, True),
        (1, True),
        (2, False),
    ]


def test_rows_after_one_that_is_known_to_be_closed_are_taken() -> None:
    found = marked(3, at(3))
    assert minutes(up_to_unsettled(found, {at(2)}.__contains__)) == [0, 1, 2, 3]
    assert minutes(up_to_unsettled(found, {at(3)}.__contains__)) == [0, 1, 2]
