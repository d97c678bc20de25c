from __future__ import annotations

from collections import Counter
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.binance.protocol import (
    MAX_STREAMS,
    MAX_URL_NAMES,
    NAMES_PER_REQUEST,
    REQUEST_EVERY,
    STALE_AFTER,
    FeedHealth,
    plan_connections,
    stream_request,
)
from smarttrade.binance.wire import stream_name
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.feed import Feed


def some_series(count: int, name: str = "S{}USDT") -> list[Series]:
    intervals = list(Interval)
    return [
        Series(name.format(number // len(intervals)), intervals[number % len(intervals)])
        for number in range(count)
    ]


# Who connects to what


@given(st.integers(0, 5000))
def test_every_series_is_on_exactly_one_connection(count: int) -> None:
    series = some_series(count)
    groups = plan_connections(series)
    assert Counter(each for group in groups for each in group) == Counter(series)
    sizes = [len(group) for group in groups]
    assert all(0 < size <= MAX_STREAMS for size in sizes)
    assert len(groups) == -(-count // MAX_STREAMS)
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


def test_documented_limit_of_streams() -> None:
    """Source: web-socket-streams.md, "WebSocket Limits"."""
    assert [len(group) for group in plan_connections(some_series(1024))] == [1024]
    assert [len(group) for group in plan_connections(some_series(1025))] == [513, 512]


@given(
    st.lists(
        st.builds(
            Series,
            st.text("ABCXYZ0123456789币安人生", min_size=1, max_size=50),
            st.sampled_from(Interval),
        ),
        max_size=1024,
        unique=True,
    )
)
def test_every_stream_is_asked_for_once(series: list[Series]) -> None:
    request = stream_request(series)
    assert request.path.isascii()
    assert len(request.path) <= MAX_URL_NAMES + len("/stream?streams=")
    query = urlsplit("ws://exchange.test" + request.path).query
    in_url = [name for name in unquote(query.removeprefix("streams=")).split("/") if name]
    later = [name for names in request.later for name in names]
    assert in_url + later == [stream_name(each) for each in series]
    assert all(0 < len(names) <= NAMES_PER_REQUEST for names in request.later)


def test_few_streams_fit_into_the_url() -> None:
    """Source: web-socket-streams.md, "General WSS information"."""
    series = [Series("BTCUSDT", Interval.MINUTE_1), Series("ETHUSDT", Interval.MONTH_1)]
    request = stream_request(series)
    assert request.path == "/stream?streams=btcusdt@kline_1m/ethusdt@kline_1M"
    assert request.later == ()


def test_symbols_need_not_be_ascii() -> None:
    request = stream_request([Series("币安人生USDT", Interval.MINUTE_1)])
    assert request.path == ("/stream?streams=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@kline_1m")


def test_requests_leave_room_for_a_pong() -> None:
    """Five incoming messages a second are allowed, pongs included."""
    assert 1 / REQUEST_EVERY + 1 <= 5


# How the feed is


@pytest.mark.parametrize(
    ("connected", "silent_for", "feed"),
    [
        (set(), 0.0, Feed.DOWN),
        (set(), 3600.0, Feed.DOWN),
        ({0}, 0.0, Feed.STALE),
        ({0, 1}, 0.0, Feed.LIVE),
        ({0, 1}, STALE_AFTER, Feed.LIVE),
        ({0, 1}, STALE_AFTER + 0.1, Feed.STALE),
    ],
)
def test_feed(connected: set[int], silent_for: float, feed: Feed) -> None:
    health = FeedHealth(connections=2, connected=connected, heard_at=1000.0)
    assert health.feed(1000.0 + silent_for) is feed


def test_feed_is_stale_until_the_first_candle() -> None:
    health = FeedHealth(connections=1)
    assert health.feed(0) is Feed.DOWN
    health.connected.add(0)
    assert health.feed(0) is Feed.STALE
    health.heard_at = 0
    assert health.feed(0) is Feed.LIVE


def test_url_holds_as_many_streams_as_is_safe_and_requests_hold_all_others() -> None:
    series = [Series(f"S{number:03}USDT", Interval.MINUTE_1) for number in range(700)]
    names = [f"s{number:03}usdt@kline_1m" for number in range(700)]
    request = stream_request(series)
    in_url = request.path.removeprefix("/stream?streams=").split("/")
    later = [name for part in request.later for name in part]
    assert in_url + later == names
    assert [len(part) for part in request.later[:-1]] == [NAMES_PER_REQUEST] * 2
    length = sum(len(name) + 1 for name in in_url)
    assert length <= MAX_URL_NAMES < length + len(later[0]) + 1
