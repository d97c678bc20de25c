"""What RFC 9110, 9112 and 6455 say of odd requests, on the raw socket: the table of docs/security.md."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import trio

from smarttrade.web.server.sockets import open_listeners
from tests.smarttrade.web.backend import backend
from tests.smarttrade.web.raw_client import frame, upgrade_request

HEALTH = b"GET /health HTTP/1.1\r\nHost: test\r\n"


@dataclass(frozen=True)
class Rule:
    data: bytes
    status: int
    code: str | None = None
    """Of the problem; None for an answer of the application that is no problem."""
    closes: bool = False
    """Whether the server closes the connection after it."""


def refused(data: bytes, status: int, code: str) -> Rule:
    return Rule(data, status, code, closes=True)


def health(host: bytes) -> bytes:
    return b"GET /health HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


RULES = {
    "length and chunks": refused(
        HEALTH + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad_request",
    ),
    "two lengths": refused(
        HEALTH + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "bad_request"
    ),
    "unknown transfer encoding": refused(
        HEALTH + b"Transfer-Encoding: gzip\r\n\r\n", 501, "not_implemented"
    ),
    "no host": refused(b"GET /health HTTP/1.1\r\n\r\n", 400, "bad_request"),
    "two hosts": refused(HEALTH + b"Host: b\r\n\r\n", 400, "bad_request"),
    "empty host": Rule(health(b""), 200),
    "host of an empty label": refused(health(b"a..b"), 400, "bad_host"),
    "host of a dot": refused(health(b"."), 400, "bad_host"),
    "host of a long label": refused(health(b"x" * 64), 400, "bad_host"),
    "host with user": refused(health(b"me@test"), 400, "bad_host"),
    "host of markup": refused(health(b'"><script>'), 400, "bad_host"),
    "host with a port that is too large": refused(health(b"test:65536"), 400, "bad_host"),
    "host with a port": Rule(health(b"test:8000"), 200),
    "host with an empty port": Rule(health(b"test:"), 200),
    "host of IPv6": Rule(health(b"[::1]:8000"), 200),
    "host of a broken IPv6": refused(health(b"[::1"), 400, "bad_host"),
    "host with a final dot": Rule(health(b"test.example."), 200),
    "absolute target": Rule(b"GET http://test/health HTTP/1.1\r\nHost: other\r\n\r\n", 200),
    "absolute target without path": Rule(b"GET http://test HTTP/1.1\r\nHost: test\r\n\r\n", 200),
    "absolute target of a broken host": refused(
        b"GET http://[ HTTP/1.1\r\nHost: test\r\n\r\n", 400, "bad_target"
    ),
    "target without path": refused(b"GET ?x=1 HTTP/1.1\r\nHost: test\r\n\r\n", 400, "bad_target"),
    "authority as target": refused(
        b"CONNECT test:443 HTTP/1.1\r\nHost: test\r\n\r\n", 400, "bad_target"
    ),
    "two slashes": refused(b"GET //health HTTP/1.1\r\nHost: test\r\n\r\n", 404, "not_found"),
    "two slashes inside": Rule(
        b"GET /udf//config HTTP/1.1\r\nHost: test\r\n\r\n", 404, "not_found"
    ),
    "another host in the path": refused(
        b"GET //evil.example/x HTTP/1.1\r\nHost: test\r\n\r\n", 404, "not_found"
    ),
    "line end before the request": Rule(b"\r\n" + HEALTH + b"\r\n", 200),
    "two line ends before the request": refused(b"\r\n\r\n" + HEALTH + b"\r\n", 400, "bad_request"),
    "bytes after the last request": Rule(
        HEALTH + b"Connection: close\r\n\r\ngarbage", 200, closes=True
    ),
    "another request after the last": Rule(
        HEALTH + b"Connection: close\r\n\r\n" + HEALTH + b"\r\n", 200, closes=True
    ),
    "HTTP/2": refused(b"PRI * HTTP/2.0\r\n\r\n", 505, "http_version_not_supported"),
    "no HTTP": refused(b"HELO mail\r\n\r\n", 400, "bad_request"),
    "line without colon": refused(HEALTH + b"what\r\n\r\n", 400, "bad_request"),
    "long header": refused(HEALTH + b"X: " + b"x" * 20_000 + b"\r\n\r\n", 431, "head_too_large"),
    "long body": refused(HEALTH + b"Content-Length: 9999999\r\n\r\n", 413, "body_too_large"),
    "chunks without size": refused(
        b"POST /health HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        400,
        "bad_request",
    ),
    "unknown method": Rule(
        b"BREW /health HTTP/1.1\r\nHost: test\r\n\r\n", 405, "method_not_allowed"
    ),
    "method in lower case": refused(
        HEALTH.replace(b"GET", b"head") + b"\r\n", 405, "method_not_allowed"
    ),
    "HTTP/0.9": refused(
        HEALTH.replace(b"1.1", b"0.9") + b"\r\n", 505, "http_version_not_supported"
    ),
    "WebSocket with a body": refused(
        upgrade_request("/ws/candles", "Content-Length: 5") + b"hello", 400, "bad_handshake"
    ),
    "WebSocket with chunks": refused(
        upgrade_request("/ws/candles", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        *(400, "bad_handshake"),
    ),
    "WebSocket without upgrade": Rule(
        b"GET /ws/candles HTTP/1.1\r\nHost: test\r\n\r\n", 426, "upgrade_required"
    ),
    "legacy WebSocket without upgrade": Rule(
        b"GET /ws/candles/BTCUSDT HTTP/1.1\r\nHost: test\r\n\r\n", 426, "upgrade_required"
    ),
    "upgrade where no WebSocket is": Rule(
        upgrade_request("/health"), 400, "no_websocket", closes=True
    ),
    "WebSocket of another version": refused(
        upgrade_request("/ws/candles").replace(b"Version: 13", b"Version: 8"),
        426,
        "websocket_version",
    ),
    "WebSocket without version": refused(
        upgrade_request("/ws/candles").replace(b"Sec-WebSocket-Version", b"X"),
        426,
        "websocket_version",
    ),
    "WebSocket without key": refused(
        upgrade_request("/ws/candles").replace(b"Sec-WebSocket-Key", b"X"), 400, "bad_handshake"
    ),
    "WebSocket with a short key": refused(
        upgrade_request("/ws/candles").replace(b"dGhl", b""), 400, "bad_handshake"
    ),
    "WebSocket of an unknown path": Rule(
        upgrade_request("/nowhere"), 404, "not_found", closes=True
    ),
}


Connect = Callable[[], Awaitable[trio.SocketStream]]


@asynccontextmanager
async def listening() -> AsyncIterator[Connect]:
    """The service on a real socket."""
    listeners = await open_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    async with backend(sockets=listeners):
        yield partial(trio.open_tcp_stream, "127.0.0.1", port)


async def exchange(connect: Connect, data: bytes) -> tuple[bytes, bytes, bool]:
    """Head and body of what comes back, and whether the server closes after it."""
    async with await connect() as stream:
        await stream.send_all(data)
        received, closes = bytes(await stream.receive_some(65536)), False
        with trio.move_on_after(0.1):
            while more := await stream.receive_some(65536):
                received += more
            closes = True
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body, closes


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
async def test_odd_request(rule: Rule) -> None:
    async with listening() as connect:
        head, body, closes = await exchange(connect, rule.data)
    assert int(head.split()[1]) == rule.status, head
    assert closes is rule.closes
    if rule.code is None:
        assert b"problem" not in head
    else:
        assert b"application/problem+json" in head
        document = json.loads(body)
        assert (document["status"], document["code"]) == (rule.status, rule.code)
        assert document["detail"]


async def test_one_response_is_given_to_each_request_before_the_last() -> None:
    async with listening() as connect:
        head, body, _ = await exchange(
            connect, HEALTH + b"Connection: close\r\n\r\n" + HEALTH + b"\r\n"
        )
    assert (head + body).count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("path", ["/ws/candles", "/ws/candles/BTCUSDT"], ids=["several", "legacy"])
async def test_upgrade_that_is_missing_is_named(path: str) -> None:
    async with backend() as server:
        answer = await server.get(path)
    assert answer.headers["Upgrade"] == "websocket"
    assert "upgrade" in answer.headers["Connection"].lower()
    assert "Upgrade: websocket" in answer.json()["detail"]


async def test_supported_version_is_named() -> None:
    async with listening() as connect:
        head, _, _ = await exchange(
            connect, upgrade_request("/ws/candles").replace(b"Version: 13", b"Version: 8")
        )
    assert b"sec-websocket-version: 13" in head.lower()


@pytest.mark.parametrize(
    "target", [b"/health", b"/streaming/status", b"/candles/BTCUSDT/1m", b"/docs"]
)
async def test_client_that_sends_no_more_gets_its_answer(target: bytes) -> None:
    async with listening() as connect:
        stream = await connect()
        await stream.send_all(b"GET " + target + b" HTTP/1.1\r\nHost: test\r\n\r\n")
        await stream.send_eof()
        received = b""
        while more := await stream.receive_some(65536):
            received += more
    assert received.startswith(b"HTTP/1.1 ")
    assert int(received.split()[1]) in (200, 503)
    assert received.endswith((b"}", b"\n"))


async def test_client_that_sends_no_more_gets_all_its_answers() -> None:
    async with listening() as connect:
        stream = await connect()
        await stream.send_all((HEALTH + b"\r\n") * 3)
        await stream.send_eof()
        received = b""
        while more := await stream.receive_some(65536):
            received += more
    assert received.count(b"HTTP/1.1 200") == 3


async def test_line_end_after_a_body_is_ignored() -> None:
    post = b"POST /health HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nab\r\n"
    async with listening() as connect:
        head, body, _ = await exchange(connect, post + HEALTH + b"\r\n")
    assert (head + body).count(b"HTTP/1.1") == 2
    assert b'{"status":"ok"}' in body


async def test_pings_of_a_client_that_never_asks_are_answered() -> None:
    async with listening() as connect:
        stream = await connect()
        await stream.send_all(upgrade_request("/ws/candles") + frame(9, b"hi"))
        received = b""
        while frame(10, b"hi", masked=False) not in received:
            received += await stream.receive_some(65536)
