"""Handlers of a connection, which record what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from wsproto.events import AcceptConnection

from smarttrade.feed.errors import StreamDown
from smarttrade.feed.websocket_client import (
    CONNECT_TIMEOUT,
    MAX_MESSAGE_SIZE,
    PONG_TIMEOUT,
    PROBE_AFTER,
    WebSocket,
    run_connection,
)
from tests.fakes.exchange_streams import (
    Behaviour,
    Peer,
    StreamExchange,
    answering,
    closing,
    closing_before_handshake,
    refusing,
    resetting,
    sending,
    silent,
    vanishing,
)

URL = "ws://exchange.test/stream?streams=btcusdt@kline_1m"

Handler = Callable[[WebSocket], Awaitable[None]]


class Recorder:
    """A handler that records what it receives."""

    def __init__(self) -> None:
        self.received: list[str | bytes] = []

    async def __call__(self, websocket: WebSocket) -> None:
        while True:
            self.received.append(await websocket.receive())


async def idle(websocket: WebSocket) -> None:
    await trio.sleep_forever()


async def nothing(websocket: WebSocket) -> None:
    pass


async def run_until_down(exchange: StreamExchange, handler: Handler, url: str = URL) -> StreamDown:
    """Run a connection until it is down; no task and no open stream remain."""
    nurseries = list(trio.lowlevel.current_task().child_nurseries)
    with trio.fail_after(3600), pytest.raises(StreamDown) as down:
        await run_connection(url, exchange.dial, handler)
    assert trio.lowlevel.current_task().child_nurseries == nurseries
    assert exchange.open == []
    return down.value


# Ending, and how long it takes


async def resetting_at_once(peer: Peer) -> None:
    await peer.receive_request()
    peer.stream.reset()


def accepting(headers: list[tuple[bytes, bytes]]) -> Behaviour:
    """Accepts, with headers that were not requested."""

    async def accept(peer: Peer) -> None:
        await peer.receive_request()
        await peer.send(AcceptConnection(extra_headers=headers))
        await peer.receive()

    return accept


ENDINGS: dict[str, tuple[Behaviour, float, str]] = {
    "close frame without FIN": (closing(after=3), 3.0, "1001"),
    "close frame at once": (closing(), 0.0, "1001"),
    "RST": (resetting(after=3), 3.0, "1006"),
    "message too big": (sending("x" * (MAX_MESSAGE_SIZE + 1)), 0.0, "1009"),
    "half-open from the start": (vanishing(0), PROBE_AFTER + PONG_TIMEOUT, "no pong"),
    "half-open later": (vanishing(25), 2 * PROBE_AFTER + PONG_TIMEOUT, "no pong"),
    "silent server": (silent, CONNECT_TIMEOUT, "no handshake"),
    "closed before the handshake": (closing_before_handshake, 0.0, "protocol"),
    "half a handshake": (answering(b"HTTP/1.1 101 Swit"), CONNECT_TIMEOUT, "no handshake"),
    "garbage for a handshake": (answering(b"\x00\xffgarbage\r\n\r\n"), 0.0, "protocol"),
    "wrong accept": (
        answering(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: bm9uc2Vuc2U=\r\n\r\n"
        ),
        0.0,
        "protocol",
    ),
    "503 without length": (answering(b"HTTP/1.1 503 Busy\r\n\r\n"), 0.0, "status 503"),
    "refused": (refusing(503), 0.0, "status 503"),
    "refused with a page": (refusing(451, body=b"<html>not here</html>"), 0.0, "status 451"),
    "refused with half a page": (
        answering(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\nhalf"),
        0.0,
        "status 429",
    ),
    "RST instead of an answer": (resetting_at_once, 0.0, "protocol"),
    "an extension that was not requested": (
        accepting([(b"Sec-WebSocket-Extensions", b"permessage-deflate")]),
        0.0,
        "protocol",
    ),
    "redirected": (refusing(302, [(b"location", b"https://elsewhere.test")]), 0.0, "status 302"),
}
