"""Random requests for candles: the fast path answers as Quart and Hypercorn do, or not at all.

`FAST_PATH_EXAMPLES=100000 pytest tests/smarttrade/web/test_differential.py` runs for hours.
"""

from __future__ import annotations

import os

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.candles import BTC, candle, rows
from tests.smarttrade.web.backend import backend
from tests.smarttrade.web.test_fast_path import heard, parts

EXAMPLES = int(os.environ.get("FAST_PATH_EXAMPLES", "60"))

VALUES = st.sampled_from(
    ["", "*", "gzip", "gzip;q=0", "identity", "text/csv", "*/*", "application/json;q=0.1",
     "keep-alive", "close", "Keep-Alive", "https://charts.test", "null", "a, b", "x" * 300, "\t y "]
) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)  # fmt: skip
NAMES = st.sampled_from(
    ["Accept", "Accept-Encoding", "If-None-Match", "Origin", "Connection", "User-Agent", "Host",
     "Expect", "Range", "Cookie", "Authorization", "X-Forwarded-For", "TE", "Forwarded",
     "If-Modified-Since", "Content-Type", "accept-encoding", "Via"]
)  # fmt: skip
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
HOSTS = st.sampled_from(["test", "test:8000", "a..b", "[::1]", "", ".", "user@test", "x" * 64])
PATHS = st.sampled_from(
    ["BTCUSDT/1m", "btcusdt/1M", "BTCUSDT/1H", "NOPE/1m", "ETHUSDT/1m", "BTCUSDT/7m", "../1m",
     "BTCUSDT/1m/", "BTC.USDT/1m", "BTC%55SDT/1m", "-/-"]
)  # fmt: skip
FIELDS = st.tuples(
    st.sampled_from(["limit", "before", "format", "x", "access_token"]),
    st.sampled_from(["", "1", "3", "1000", "1001", "0", "007", "-1", "1733007900", "csv", "json"]),
)
QUERIES = st.none() | st.lists(FIELDS, max_size=3)


def request(
    path: str,
    query: list[tuple[str, str]] | None,
    host: str,
    headers: list[tuple[str, str]],
) -> bytes:
    target = f"/candles/{path}"
    if query is not None:
        target += "?" + "&".join(f"{name}={value}" for name, value in query)
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


REQUESTS = st.builds(request, PATHS, QUERIES, HOSTS, HEADERS)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=8))
def test_both_ways_answer_the_same(requests: list[bytes]) -> None:
    """A request that comes in two pieces is not for the fast path."""

    async def run() -> None:
        async with backend(cors_origins=["https://charts.test"]) as server:
            await server.history(BTC, rows(0, 30))
            await server.live(BTC, candle(30, closed=False, close=101.5))
            for each in requests:
                whole = await heard(server, each)
                pieces = await heard(server, each[:1], each[1:])
                assert (whole == b"") == (pieces == b"")
                if whole:
                    assert response(whole) == response(pieces)

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


def response(answer: bytes) -> object:
    """Without the date; a refusal at the edge has none."""
    return parts(answer) if b"\r\ndate: " in answer else answer
