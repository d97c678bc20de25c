from __future__ import annotations

import json
from itertools import pairwise
from urllib.parse import unquote, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.binance.streams import MAX_REQUEST_SIZE, MAX_URL_NAMES, stream_name, stream_request
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series


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
    chunks = [json.loads(message)["params"] for message in request.messages]
    later = [name for names in chunks for name in names]
    assert in_url + later == [stream_name(each) for each in series]
    assert all(chunks)
    assert all(len(message.encode()) <= MAX_REQUEST_SIZE for message in request.messages)


def test_few_streams_fit_into_the_url() -> None:
    """Source: web-socket-streams.md, "General WSS information"."""
    series = [Series("BTCUSDT", Interval.MINUTE_1), Series("ETHUSDT", Interval.MONTH_1)]
    request = stream_request(series)
    assert request.path == "/stream?streams=btcusdt@kline_1m/ethusdt@kline_1M"
    assert request.messages == ()


def test_symbols_need_not_be_ascii() -> None:
    request = stream_request([Series("币安人生USDT", Interval.MINUTE_1)])
    assert request.path == ("/stream?streams=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@kline_1m")


def test_url_holds_as_many_streams_as_is_safe_and_requests_hold_all_others() -> None:
    series = [Series(f"S{number:03}USDT", Interval.MINUTE_1) for number in range(700)]
    names = [f"s{number:03}usdt@kline_1m" for number in range(700)]
    request = stream_request(series)
    in_url = request.path.removeprefix("/stream?streams=").split("/")
    chunks = [json.loads(message)["params"] for message in request.messages]
    later = [name for names in chunks for name in names]
    assert in_url + later == names
    for message, following in pairwise([*map(str.encode, request.messages)]):
        name = json.loads(following)["params"][0]
        assert len(message) <= MAX_REQUEST_SIZE < len(message) + len(name) + len('"",') + 3
    length = sum(len(name) + 1 for name in in_url)
    assert length <= MAX_URL_NAMES < length + len(later[0]) + 1
