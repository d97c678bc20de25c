"""The fast path for `GET /candles` answers as the application does, or leaves it to it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.store.messages import ListSymbols
from smarttrade.web.fast_path import FAST_PATH, MAX_HEAD, FastRequest, parse_fast_request
from tests.fakes.candles import BTC, candle, rows
from tests.smarttrade.web.backend import Backend, backend


class OpenGuard:
    """Allows every request at once."""

    def is_allowed(self, _: object) -> bool:
        return True

    async def take_turn(self) -> None:
        await trio.lowlevel.checkpoint()


def head(target: str = "/candles/BTCUSDT/1m", *headers: str) -> bytes:
    lines = (f"GET {target} HTTP/1.1", "Host: test", *headers)
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


async def heard(server: Backend, *pieces: bytes) -> bytes:
    """All that comes back within a second on one connection, which stays open."""
    stream = await server.listener.connect()
    got = b""
    for piece in pieces:
        await stream.send_all(piece)
        await server.settle()
    with trio.move_on_after(1):
        while data := await stream.receive_some():
            got += data
    await stream.aclose()
    return got


def parts(answer: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Status line, the headers in order of their names, body."""
    begin, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = begin.split(b"\r\n")
    dated = [re.sub(rb"^date: .{29}$", b"date: now", line) for line in headers]
    assert b"date: now" in dated
    return status, sorted(dated), body


ORIGINS = (["*"], ["https://charts.test"])
REQUESTS: dict[str, bytes] = {
    "plain": head(),
    "some": head("/candles/BTCUSDT/1m?limit=3"),
    "before": head("/candles/BTCUSDT/1m?before=1733007900&limit=2"),
    "none left": head("/candles/BTCUSDT/1m?before=0"),
    "two limits": head("/candles/BTCUSDT/1m?limit=3&limit=4"),
    "other parameters": head("/candles/BTCUSDT/1m?x=1&limit=3&y"),
    "other spelling": head("/candles/btcusdt/1m"),
    "gzip": head("/candles/BTCUSDT/1m", "Accept-Encoding: gzip, deflate, br"),
    "no gzip": head("/candles/BTCUSDT/1m", "accept-encoding: gzip;q=0"),
    "unchanged": head("/candles/BTCUSDT/1m", "If-None-Match: *"),
    "changed": head("/candles/BTCUSDT/1m", 'If-None-Match: W/"abc"'),
    "origin": head("/candles/BTCUSDT/1m", "Origin: https://charts.test"),
    "other origin": head("/candles/BTCUSDT/1m", "Origin: https://elsewhere.test"),
    "kept": head("/candles/BTCUSDT/1m", "Connection: keep-alive", "User-Agent: (x; y) z/1.0"),
    "unknown symbol": head("/candles/NOPEUSDT/1m"),
    "unknown interval": head("/candles/BTCUSDT/2m"),
    "bad limit": head("/candles/BTCUSDT/1m?limit=0"),
    "empty limit": head("/candles/BTCUSDT/1m?limit="),
    "not ready": head("/candles/ETHUSDT/1m"),
}


@pytest.mark.parametrize("origins", ORIGINS, ids=["any", "one"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
async def test_answers_are_those_of_the_application(
    request_: bytes, origins: Sequence[str], autojump_clock: trio.testing.MockClock
) -> None:
    """A request that comes in two pieces is none for the fast path."""
    async with backend(cors_origins=origins) as server:
        await server.history(BTC, rows(0, 30))
        await server.live(BTC, candle(30, closed=False, close=101.5, event=7, volume=11.5))
        assert await server.app.extensions[FAST_PATH](request_, OpenGuard()) is not None
        quick = await heard(server, request_)
        slow = await heard(server, request_[:1], request_[1:])
    assert parts(quick) == parts(slow)


NOT_PLAIN: dict[str, bytes] = {
    "HEAD": b"HEAD" + head()[3:],
    "HTTP/1.0": head().replace(b"1.1\r", b"1.0\r"),
    "no host": head().replace(b"Host: test\r\n", b"X: y\r\n"),
    "two hosts": head("/candles/BTCUSDT/1m", "Host: other"),
    "close": head("/candles/BTCUSDT/1m", "Connection: close"),
    "body": head("/candles/BTCUSDT/1m", "Content-Length: 2") + b"{}",
    "a header twice": head("/candles/BTCUSDT/1m", "Origin: a", "Origin: b"),
    "folded header": head("/candles/BTCUSDT/1m", "X: a", " b"),
    "upgrade": head("/candles/BTCUSDT/1m", "Connection: upgrade", "Upgrade: websocket"),
    "expecting": head("/candles/BTCUSDT/1m", "Expect: 100-continue"),
    "escaped": head("/candles/BTC%55SDT/1m"),
    "escaped query": head("/candles/BTCUSDT/1m?limit=%33"),
    "another path": head("/candles/BTCUSDT/1m/"),
    "pipelined": head() + head("/health"),
    "no end": head()[:-2],
    "bare line feeds": head().replace(b"\r\n", b"\n"),
    "not ASCII": head("/candles/BTCUSDT/1m", "X: ä"),
}


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_other_requests_are_left_to_the_application(data: bytes) -> None:
    assert parse_fast_request(data) is None


def test_what_a_browser_sends_is_plain() -> None:
    data = head(
        "/candles/BTCUSDT/1m?limit=500",
        "Connection: keep-alive",
        'sec-ch-ua: "Chromium";v="142", "Not_A Brand";v="99"',
        "sec-ch-ua-mobile: ?0",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
        "Accept: */*",
        "Sec-Fetch-Site: same-origin",
        "Referer: http://localhost:8000/",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-GB,en;q=0.9",
    )
    assert len(data) < MAX_HEAD / 2
    question = parse_fast_request(data)
    assert question == FastRequest(
        "BTCUSDT", "1m", {"limit": "500"}, "", "gzip, deflate, br, zstd", None
    )


@given(st.binary(max_size=200), st.integers(0, 60))
def test_anything_can_be_read(noise: bytes, at: int) -> None:
    parse_fast_request(head()[:at] + noise + head()[at:])


async def test_long_heads_are_left_to_the_application() -> None:
    async with backend() as server:
        fast_path = server.app.extensions[FAST_PATH]
        assert (
            await fast_path(head("/candles/NOPE/1m", "X: " + "y" * MAX_HEAD), OpenGuard()) is None
        )


async def test_rest_of_a_request_is_not_taken_for_another_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """However it looks: a value that a proxy passes on must not be a request of its own."""
    begun = b"GET /health HTTP/1.1\r\nHost: test\r\n\r\nGET /symbols HTTP/1.1\r\nHost: test\r\nX: "
    async with backend() as server:
        got = await heard(server, begun, head())
    assert got.count(b"HTTP/1.1 ") == 2
    assert b'"candles"' not in got


async def test_connection_goes_on_with_either_kind_of_request(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 3))
        got = await heard(server, head(), head("/health"), head(), head("/symbols"), head())
    assert got.count(b"HTTP/1.1 200 ") == 5
    assert got.count(b'"candles":') == 3


async def test_answer_is_new_after_every_change() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 30))
        seen = set()
        for volume in range(1, 5):
            await server.live(
                BTC, candle(30, closed=volume == 4, event=volume, volume=float(volume))
            )
            plain = await server.get("/candles/BTCUSDT/1m", headers={"Accept-Encoding": ""})
            zipped = await server.app.extensions[FAST_PATH](
                head("/candles/BTCUSDT/1m", "Accept-Encoding: gzip"), OpenGuard()
            )
            assert gzip.decompress(zipped.partition(b"\r\n\r\n")[2]) == plain.content
            assert plain.json()["candles"][-1]["volume"] == volume
            seen.add(plain.headers["ETag"])
        assert len(seen) == 4


async def test_series_that_is_gone_is_unknown_again() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 3))
        assert (await server.get("/candles/BTCUSDT/1m")).status_code == 200
        await server.tell(ListSymbols(["ETHUSDT"]))
        assert (await server.get("/candles/BTCUSDT/1m")).status_code == 404


async def test_stopping_server_closes_after_its_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 3))
        stream = await server.listener.connect()
        await stream.send_all(head())
        await server.settle()
        server.draining.set()
        got = b""
        with trio.fail_after(5):
            while data := await stream.receive_some():
                got += data
        assert got.count(b"HTTP/1.1 200 ") == 1
