from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.interval import Interval
from smarttrade.simulator.plan import CLOSE_DELAY, Plan, is_boundary, place
from smarttrade.simulator.symbols import DEFAULT_SYMBOLS

SERIES = st.tuples(st.sampled_from(DEFAULT_SYMBOLS), st.sampled_from(list(Interval)))


@given(st.lists(SERIES, min_size=1, max_size=30, unique=True), st.integers(0, 2**42))
def test_every_series_is_due_every_two_seconds_and_at_its_boundaries(
    series: list[tuple[str, Interval]], time: int
) -> None:
    plan = Plan(series)
    end = time + 120_000
    pushes: dict[tuple[str, Interval], list[int]] = {one: [] for one in series}
    closes: dict[tuple[str, Interval], list[int]] = {one: [] for one in series}
    instant = plan.following(time)
    while instant is not None and instant <= end:
        for one in plan.due(instant):
            (closes if is_boundary(instant) else pushes)[one].append(instant)
        following = plan.following(instant)
        assert following is None or following > instant
        instant = following
    for (symbol, interval), times in pushes.items():
        second = interval is Interval.SECOND_1
        assert len(times) == (0 if second else 60)
        assert {at % 2000 for at in times} <= {place(symbol)}
    for (_, interval), times in closes.items():
        assert all(interval.floor(at) == at - CLOSE_DELAY for at in times)
        if interval.length is not None:
            boundaries = interval.count(
                interval.floor(time - CLOSE_DELAY), interval.floor(end - CLOSE_DELAY)
            )
            assert len(times) == boundaries - 1


def test_symbols_are_spread_and_keep_clear_of_boundaries() -> None:
    places = {place(symbol) for symbol in DEFAULT_SYMBOLS}
    assert len(places) > 5
    assert all(100 <= at % 1000 <= 900 for at in places)


def test_nothing_is_due_where_nobody_listens() -> None:
    assert Plan([]).following(0) is None
