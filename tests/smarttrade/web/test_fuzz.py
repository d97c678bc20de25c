"""Whatever bytes come, in whatever pieces, others are served and nothing fails."""

from __future__ import annotations

import os

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.smarttrade.web.backend import backend
from tests.smarttrade.web.raw_client import frame, upgrade_request

EXAMPLES = int(os.environ.get("EDGE_EXAMPLES", "60"))

LINES = st.sampled_from(
    [
        b"GET /candles/BTCUSDT/1m HTTP/1.1\r\n",
        b"GET /inspect-ws HTTP/1.1\r\n",
        b"GET /ws/candles HTTP/1.1\r\n",
        b"POST /symbols HTTP/1.1\r\n",
        b"HEAD / HTTP/1.0\r\n",
        b"head /health HTTP/1.1\r\n",
        b"HEAD /udf/history?symbol=BTCUSDT&resolution=1&to=9999999999 HTTP/1.1\r\n",
        b"GET http://a/candles/BTCUSDT/1m?limit=2&format=csv HTTP/1.1\r\n",
        b"GET /static/chart.js HTTP/0.9\r\n",
        b"CONNECT /streaming/status HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"Connection: close\r\n",
        b"Content-Length: 0\r\n",
        b"If-None-Match: *\r\n",
        b"Accept-Encoding: gzip\r\n",
        b"Range: bytes=0-1\r\n",
        b"Host: a\r\n",
        b"Host: <b>\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: upgrade\r\n",
        b"Upgrade: websocket\r\n",
        b"Upgrade: h2c\r\n",
        b"Expect: 100-continue\r\n",
        b"Origin: null\r\n",
        b"Sec-WebSocket-Version: 13\r\n",
        b"\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
        upgrade_request("/ws/candles"),
    ]
)
FRAMES = st.builds(
    frame,
    st.integers(0, 15),
    st.binary(max_size=200),
    masked=st.booleans(),
    fin=st.booleans(),
    reserved=st.integers(0, 7),
)
PIECES = st.lists(LINES | FRAMES | st.binary(max_size=50), min_size=1, max_size=12)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=5))
def test_any_bytes_are_contained(clients: list[list[bytes]]) -> None:
    async def run() -> None:
        async with backend() as server:
            for pieces in clients:
                stream = await server.listener.connect()
                for piece in pieces:
                    try:
                        await stream.send_all(piece)
                    except trio.BrokenResourceError:
                        break
                    await server.settle()
                await stream.aclose()
            assert (await server.get("/health")).json() == {"status": "ok"}
            assert server.counters.failed == 0

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
