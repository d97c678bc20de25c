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


@given(st.integers(0, 300), st.integers(1, 16))
def test_intervals_of_a_symbol_share_a_connection(symbols: int, intervals: int) -> None:
    series = [
        Series(f"S{number}USDT", interval)
        for interval in list(Interval)[:intervals]
        for number in range(symbols)
    ]
    shards = plan_shards(series, 64)
    assert Counter(each for shard in shards for each in shard) == Counter(series)
    assert sum(len({each.symbol for each in shard}) for shard in shards) == symbols
    sizes = [len(shard) for shard in shards]
    assert all(0 < size <= 64 for size in sizes)
    assert len(shards) == -(-symbols // (64 // intervals))
    assert max(sizes, default=0) - min(sizes, default=0) <= intervals


def test_documented_limit_of_streams() -> None:
    """Source: web-socket-streams.md, "WebSocket Limits"."""
    assert [len(shard) for shard in plan_shards(some_series(1024), MAX_STREAMS)] == [1024]
    assert [len(shard) for shard in plan_shards(some_series(1040), MAX_STREAMS)] == [528, 512]
