from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.binance.limits import MAX_STREAMS
from smarttrade.feed.shards import plan_shards
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series


def some_series(count: int, name: str = "S{}USDT") -> list[Series]:
    intervals = list(Interval)
    return [
        Series(name.format(number // len(intervals)), intervals[number % len(intervals)])
        for number in range(count)
    ]


@given(st.integers(0, 5000))
def test_every_series_is_on_exactly_one_connection(count: int) -> None:
    series = some_series(count)
    groups = plan_shards(series, MAX_STREAMS)
    assert Counter(each for group in groups for each in group) == Counter(series)
    sizes = [len(group) for group in groups]
    assert all(0 < size <= MAX_STREAMS for size in sizes)
    assert len(groups) == -(-count // MAX_STREAMS)
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


def test_documented_limit_of_streams() -> None:
    """Source: web-socket-streams.md, "WebSocket Limits"."""
    assert [len(group) for group in plan_shards(some_series(1024), MAX_STREAMS)] == [1024]
    assert [len(group) for group in plan_shards(some_series(1025), MAX_STREAMS)] == [513, 512]
