from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smarttrade.market.interval import Interval, parse_interval

# Source: binance-spot-api-docs, rest-api.md, "Kline/Candlestick data".
SECONDS = {
    "1s": 1,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "4h": 14400,
    "6h": 21600,
    "8h": 28800,
    "12h": 43200,
    "1d": 86400,
    "3d": 259200,
    "1w": 604800,
    "1M": None,
}
SPELLINGS = list(SECONDS)

intervals = st.sampled_from(Interval)
times = st.integers(min_value=0, max_value=4_102_444_800_000)  # 1970 to 2100, ms


def ms(year: int, month: int = 1, day: int = 1, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1000


def test_the_exchange_has_sixteen_intervals() -> None:
    assert [interval.value for interval in Interval] == SPELLINGS
    assert len(set(Interval)) == 16


@pytest.mark.parametrize(("spelling", "seconds"), SECONDS.items())
def test_length_is_what_the_name_says(spelling: str, seconds: int | None) -> None:
    interval = Interval(spelling)
    assert interval.length == (None if seconds is None else seconds * 1000)
    assert interval.typical_length == (28 * 86400 if seconds is None else seconds) * 1000


def test_typical_lengths_order_the_intervals() -> None:
    lengths = [interval.typical_length for interval in Interval]
    assert lengths == sorted(set(lengths))


# Boundaries


@pytest.mark.parametrize(
    ("spelling", "time", "opens"),
    [
        ("1s", ms(2024, 2, 29, 12) + 999, ms(2024, 2, 29, 12)),
        ("1m", ms(2024, 2, 29, 12, 34) + 59_999, ms(2024, 2, 29, 12, 34)),
        ("3m", ms(2024, 2, 29, 12, 34), ms(2024, 2, 29, 12, 33)),
        ("15m", ms(2024, 2, 29, 12, 44), ms(2024, 2, 29, 12, 30)),
        ("4h", ms(2024, 2, 29, 23, 59), ms(2024, 2, 29, 20)),
        ("6h", ms(2024, 2, 29, 23, 59), ms(2024, 2, 29, 18)),
        ("8h", ms(2024, 2, 29, 15, 59), ms(2024, 2, 29, 8)),
        ("12h", ms(2024, 2, 29, 12), ms(2024, 2, 29, 12)),
        ("1d", ms(2024, 2, 29, 23, 59), ms(2024, 2, 29)),
        ("3d", ms(1970, 1, 7, 23, 59), ms(1970, 1, 5)),
        ("1w", ms(2024, 12, 1, 23, 59), ms(2024, 11, 25)),  # a Sunday
        ("1w", ms(2024, 12, 2), ms(2024, 12, 2)),  # a Monday
        ("1w", ms(2021, 1, 1), ms(2020, 12, 28)),
        ("1M", ms(2024, 2, 29, 23, 59), ms(2024, 2)),
        ("1M", ms(2024, 3), ms(2024, 3)),
        ("1M", ms(2023, 2, 28, 23, 59), ms(2023, 2)),
        ("1M", ms(2024, 12, 31, 23, 59), ms(2024, 12)),
    ],
)
def test_candle_that_covers_a_time(spelling: str, time: int, opens: int) -> None:
    assert Interval(spelling).floor(time) == opens


@pytest.mark.parametrize(
    ("opens", "following"),
    [
        (ms(2024, 2), ms(2024, 3)),
        (ms(2023, 2), ms(2023, 3)),
        (ms(2000, 2), ms(2000, 3)),
        (ms(2024, 12), ms(2025, 1)),
        (ms(2025, 1), ms(2025, 2)),
        (ms(2025, 4), ms(2025, 5)),
    ],
)
def test_months_follow_the_calendar(opens: int, following: int) -> None:
    month = Interval.MONTH_1
    assert month.next(opens) == following
    assert month.back(following, 1) == opens
    assert month.close_time(opens) == following - 1


def test_months_are_counted_over_years() -> None:
    month = Interval.MONTH_1
    assert month.count(ms(2023, 11), ms(2024, 3)) == 5
    assert month.back(ms(2024, 3), 14) == ms(2023, 1)
    assert month.back(ms(2024, 1), 1000) == ms(1940, 9)


@given(times)
def test_weeks_begin_on_monday(time: int) -> None:
    opens = datetime.fromtimestamp(Interval.WEEK_1.floor(time) / 1000, UTC)
    assert opens.weekday() == 0
    assert opens.time() == datetime.min.time()


@given(times)
def test_months_begin_on_the_first(time: int) -> None:
    opens = datetime.fromtimestamp(Interval.MONTH_1.floor(time) / 1000, UTC)
    now = datetime.fromtimestamp(time // 1000, UTC)
    assert (opens.year, opens.month, opens.day) == (now.year, now.month, 1)
    assert opens - timedelta(days=opens.day - 1) == opens


# Consistency


@given(intervals, times)
def test_every_time_lies_in_one_candle(interval: Interval, time: int) -> None:
    opens = interval.floor(time)
    assert opens <= time <= interval.close_time(opens)
    assert interval.close_time(opens) + 1 == interval.next(opens)
    assert interval.floor(opens) == opens
    assert interval.floor(interval.close_time(opens)) == opens
    assert interval.floor(interval.next(opens)) == interval.next(opens)


@given(intervals, times, st.integers(0, 1500))
def test_back_undoes_next_and_count_agrees(interval: Interval, time: int, steps: int) -> None:
    opens = interval.floor(time)
    assert interval.back(interval.next(opens), 1) == opens
    assert interval.back(opens, 0) == opens
    earlier = interval.back(opens, steps)
    assume(earlier >= 0)
    assert interval.floor(earlier) == earlier
    assert interval.count(earlier, opens) == steps + 1
    assert interval.count(interval.next(opens), opens) == 0
    if steps:
        assert interval.count(interval.next(earlier), opens) == steps
        assert interval.count(opens, earlier) == 0


@given(intervals, times, st.integers(0, 60))
def test_steps_forward_are_steps_back(interval: Interval, time: int, steps: int) -> None:
    opens = later = interval.floor(time)
    for _ in range(steps):
        later = interval.next(later)
    assert interval.back(later, steps) == opens
    assert interval.count(opens, later) == steps + 1


# Spelling


@pytest.mark.parametrize("interval", Interval)
def test_exact_spelling_is_read(interval: Interval) -> None:
    assert parse_interval(interval.value) is interval


@pytest.mark.parametrize(
    ("chart", "exchange"),
    [(s.upper(), s) for s in SPELLINGS if s[-1] in "hdw"],
)
def test_charts_write_hours_days_and_weeks_in_capitals(chart: str, exchange: str) -> None:
    assert parse_interval(chart) is Interval(exchange)


def test_month_is_never_a_minute() -> None:
    assert parse_interval("1M") is Interval.MONTH_1
    assert parse_interval("1m") is Interval.MINUTE_1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "m",
        "7m",
        "1S",
        "3M",
        "5M",
        "15M",
        "30M",
        "60",
        "1min",
        " 1m",
        "1m ",
        "1H ",
        "1m\u0661",
    ],
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="unknown interval") as caught:
        parse_interval(text)
    assert repr(text) in str(caught.value)


@given(st.text(max_size=5))
def test_only_known_spellings_are_read(text: str) -> None:
    try:
        interval = parse_interval(text)
    except ValueError:
        assert text not in SPELLINGS
    else:
        assert text.lower() == interval.value.lower()
        assert text == interval.value or interval.value[-1] in "hdw"


# Boundaries of the exchange's own rows. Sources: its public data (data.binance.vision), where the
# first three-day row of BTCUSDT is 2017-08-17; ISO 8601 weeks; the calendar, over leap years.
ROWS = {
    "3d": [
        (ms(2017, 8, 17), ms(2017, 8, 20)),
        (ms(2019, 12, 29), ms(2020, 1, 1)),
        (ms(2020, 2, 27), ms(2020, 3, 1)),
        (ms(2023, 12, 29), ms(2024, 1, 1)),
        (ms(2024, 1, 1), ms(2024, 1, 4)),
        (ms(2024, 2, 27), ms(2024, 3, 1)),
    ],
    "1w": [
        (ms(2017, 8, 14), ms(2017, 8, 21)),
        (ms(2019, 12, 30), ms(2020, 1, 6)),
        (ms(2020, 2, 24), ms(2020, 3, 2)),
        (ms(2023, 12, 25), ms(2024, 1, 1)),
        (ms(2024, 2, 26), ms(2024, 3, 4)),
    ],
    "1M": [
        (ms(2017, 8, 1), ms(2017, 9, 1)),
        (ms(2019, 12, 1), ms(2020, 1, 1)),
        (ms(2020, 2, 1), ms(2020, 3, 1)),
        (ms(2023, 2, 1), ms(2023, 3, 1)),
        (ms(2024, 2, 1), ms(2024, 3, 1)),
        (ms(2100, 2, 1), ms(2100, 3, 1)),
    ],
}


@pytest.mark.parametrize(
    ("spelling", "opens", "following"),
    [(spelling, *row) for spelling, table in ROWS.items() for row in table],
)
def test_boundaries_are_the_exchanges(spelling: str, opens: int, following: int) -> None:
    interval = Interval(spelling)
    assert interval.floor(opens) == interval.floor(following - 1) == opens
    assert interval.next(opens) == interval.floor(following) == following
    assert interval.back(following, 1) == opens


@given(intervals, times, st.integers(min_value=0, max_value=50), st.integers(1, 10**6))
def test_last_before_is_the_last_step_before_any_end(
    interval: Interval, time: int, steps: int, rest: int
) -> None:
    first = interval.floor(time)
    last = first
    for _ in range(steps):
        last = interval.next(last)
    end = min(last + rest, interval.next(last))
    assert interval.last_before(end, first) == last
    assert interval.last_before(first, first) == first
