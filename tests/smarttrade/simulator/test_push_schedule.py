from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.simulator.calendar import Interval
from smarttrade.simulator.push_schedule import CLOSE_DELAY, PushSchedule, is_boundary, push_offset
from smarttrade.simulator.symbols import DEFAULT_SYMBOLS

SERIES = st.tuples(st.sampled_from(DEFAULT_SYMBOLS), st.sampled_from(list(Interval)))


@given(st.lists(SERIES, min_size=1, max_size=30, unique=True), st.integers(0, 2**42))
def test_every_series_is_due_every_two_seconds_and_at_its_boundaries(
    series: list[tuple[str, Interval]], time: int
) -> None:
    schedule = PushSchedule(series)
    end = time + 120_000
    pushes: dict[tuple[str, Interval], list[int]] = {one: [] for one in series}
    closes: dict[tuple[str, Interval], list[int]] = {one: [] for one in series}
    instant = schedule.following(time)
    while instant is not None and instant <= end:
        for one in schedule.due(instant):
            (closes if is_boundary(instant) else pushes)[one].append(instant)
        following = schedule.following(instant)
        assert following is None or following > instant
        instant = following
    for (symbol, interval), times in pushes.items():
        second = interval is Interval.SECOND_1
        assert len(times) == (0 if second else 60)
        assert {at % 2000 for at in times} <= {push_offset(symbol)}
    for (_, interval), times in closes.items():
        assert all(interval.opening(at) == at - CLOSE_DELAY for at in times)
        opened = interval.opening(time - CLOSE_DELAY)
        boundaries = 0
        while (opened := interval.following(opened)) <= end - CLOSE_DELAY:
            boundaries += 1
        assert len(times) == boundaries


def test_symbols_are_spread_and_keep_clear_of_boundaries() -> None:
    offsets = {push_offset(symbol) for symbol in DEFAULT_SYMBOLS}
    assert len(offsets) > 5
    assert all(100 <= at % 1000 <= 900 for at in offsets)


def test_nothing_is_due_without_streams() -> None:
    assert PushSchedule([]).following(0) is None
