from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.simulator.calendar import DAY, MINUTE, Interval

OPENINGS = {
    # Two consecutive openings each. The first klines of three days, and others over the ends of
    # February in leap years and in others, as the exchange's rows have them.
    "3d": [
        ("2017-08-17", "2017-08-20"),
        ("2019-12-29", "2020-01-01"),
        ("2020-02-27", "2020-03-01"),
        ("2023-12-29", "2024-01-01"),
        ("2024-02-27", "2024-03-01"),
        ("2025-02-27", "2025-03-02"),
    ],
    "1w": [
        ("2017-08-14", "2017-08-21"),
        ("2020-02-24", "2020-03-02"),
        ("2020-12-28", "2021-01-04"),
        ("2024-02-26", "2024-03-04"),
        ("2024-12-30", "2025-01-06"),
    ],
    "1M": [
        ("2017-08-01", "2017-09-01"),
        ("2020-02-01", "2020-03-01"),
        ("2023-02-01", "2023-03-01"),
        ("2023-12-01", "2024-01-01"),
        ("2024-01-01", "2024-02-01"),
        ("2024-02-01", "2024-03-01"),
        ("2100-02-01", "2100-03-01"),
    ],
    "1d": [("2024-02-29", "2024-03-01"), ("2023-02-28", "2023-03-01")],
    "12h": [("2024-02-29T12:00", "2024-03-01T00:00")],
    "8h": [("2024-02-29T16:00", "2024-03-01T00:00")],
    "6h": [("2024-12-31T18:00", "2025-01-01T00:00")],
    "4h": [("2024-12-31T20:00", "2025-01-01T00:00")],
    "3m": [("2024-12-31T23:57", "2025-01-01T00:00")],
    "1s": [("2024-12-31T23:59:59", "2025-01-01T00:00:00")],
}


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("interval", "opening", "following"),
    [(name, *pair) for name, pairs in OPENINGS.items() for pair in pairs],
)
def test_klines_open_where_those_of_the_exchange_do(
    interval: str, opening: str, following: str
) -> None:
    spelled, begin, end = Interval(interval), ms(opening), ms(following)
    assert spelled.following(begin) == end
    assert spelled.preceding(end) == begin
    assert {spelled.opening(at) for at in (begin, (begin + end) // 2, end - 1)} == {begin}
    assert spelled.opening(end) == end


def test_three_days_open_on_days_whose_number_leaves_one() -> None:
    days = {Interval.DAY_3.opening(day * DAY) // DAY % 3 for day in range(17_000, 21_000)}
    assert days == {1}


def test_a_minute_is_not_a_month() -> None:
    assert Interval("1m").following(0) == MINUTE
    assert Interval("1M").following(0) == 31 * DAY


@given(st.sampled_from(list(Interval)), st.integers(0, 4_102_444_800_000))
def test_klines_follow_each_other_without_gap_or_overlap(interval: Interval, time: int) -> None:
    opening = interval.opening(time)
    following = interval.following(opening)
    assert opening <= time < following
    assert interval.opening(opening) == opening
    assert interval.opening(following) == following
    assert interval.preceding(following) == opening
