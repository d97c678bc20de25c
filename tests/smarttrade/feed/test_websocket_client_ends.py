"""How a connection to the exchange ends, and how long that takes."""

from __future__ import annotations

import re

import pytest
import trio
from trio.testing import MockClock
from wsproto.events import CloseConnection, Ping

from smarttrade.feed.websocket_client import (
    CONNECT_TIMEOUT,
    MAX_MESSAGE_SIZE,
    PONG_TIMEOUT,
    PROBE_AFTER,
    SEND_TIMEOUT,
    WebSocket,
    run_connection,
)
from tests.fakes.exchange_streams import (
    Behaviour,
    Peer,
    StreamExchange,
    closing,
    refusing,
    resetting,
    sending,
    silent,
)
from tests.smarttrade.feed.websocket_recorder import (
    ENDINGS,
    URL,
    Handler,
    Recorder,
    idle,
    run_until_down,
)

ending = pytest.mark.parametrize(
    ("behaviour", "seconds", "reason"), ENDINGS.values(), ids=ENDINGS.keys()
)


@ending
@pytest.mark.parametrize("handler", [Recorder(), idle], ids=["listening", "idle"])
async def test_connection_goes_down(
    behaviour: Behaviour,
    seconds: float,
    reason: str,
    handler: Handler,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
) -> None:
    """If the handler does not receive, a missing pong shows it, later."""
    exchange = StreamExchange(nursery, behaviour)
    down = await run_until_down(exchange, handler)
    if handler is idle and trio.current_time() != seconds:
        assert trio.current_time() <= PROBE_AFTER + PONG_TIMEOUT
    else:
        assert trio.current_time() == seconds
        assert re.search(reason, str(down))


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, b"17", 17.0),
        (418, b"120", 120.0),
        (451, None, None),
        (429, b"soon", None),
        (503, b"3", 3.0),
    ],
)
async def test_refusal_reports_its_status_and_retry_after(
    status: int,
    header: bytes | None,
    seconds: float | None,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
) -> None:
    headers = [] if header is None else [(b"Retry-After", header)]
    exchange = StreamExchange(nursery, refusing(status, headers, b"why"))
    down = await run_until_down(exchange, idle)
    assert (down.status, down.retry_after) == (status, seconds)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("refused"),
        OSError("all attempts to connect failed"),
        trio.BrokenResourceError("TLS"),
        TimeoutError(),
    ],
    ids=repr,
)
async def test_failed_dial(
    error: Exception, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    exchange = StreamExchange(nursery)
    exchange.dial_fails = error
    down = await run_until_down(exchange, idle)
    assert "exchange.test" in str(down)
    assert down.__cause__ is error


async def test_connecting_takes_too_long(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    exchange = StreamExchange(nursery)
    exchange.dial_takes = 3600
    await run_until_down(exchange, idle)
    assert trio.current_time() == CONNECT_TIMEOUT


async def test_connecting_and_handshake_together_are_limited(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    exchange = StreamExchange(nursery, silent)
    exchange.dial_takes = CONNECT_TIMEOUT - 1
    await run_until_down(exchange, idle)
    assert trio.current_time() == CONNECT_TIMEOUT


async def test_ping_while_we_close(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Its answer cannot be sent any more; nothing else notices."""

    async def pinging(peer: Peer) -> None:
        await peer.accept()
        await peer.send_text("go")
        for _ in range(100):
            await peer.send(Ping(b"x"))

    exchange = StreamExchange(nursery, pinging)

    async def handler(websocket: WebSocket) -> None:
        await websocket.receive()

    with trio.fail_after(1):
        await run_connection(URL, exchange.dial, handler)
    assert exchange.ends[0].is_closed


@pytest.mark.parametrize(
    "raw",
    [
        b"\x83\x00",  # a reserved opcode
        b"\xc1\x01a",  # RSV1 without an extension
        b"\x80\x01a",  # a continuation of nothing
        b"\x81\x01\xff",  # text that is no UTF-8
        b"\x89\x7e\x00\x7e" + b"x" * 126,  # a control frame that is too long
        b"\x88\x01\x03",  # half a close code
        b"\x88\x02\x00\x01",  # a close code that there is not
        b"\xff" * 1000,
    ],
    ids=lambda raw: raw[:3].hex(),
)
async def test_broken_frames(raw: bytes, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async def breaking(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(1)
        await peer.stream.send_all(raw)
        await peer.receive()

    exchange = StreamExchange(nursery, breaking)
    await run_until_down(exchange, Recorder())
    assert trio.current_time() == 1


@pytest.mark.parametrize(
    "behaviour", [closing(after=1), resetting(after=1), sending("x" * (MAX_MESSAGE_SIZE + 1))]
)
async def test_sending_on_a_connection_that_has_ended(
    behaviour: Behaviour, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    exchange = StreamExchange(nursery, behaviour)

    async def late(websocket: WebSocket) -> None:
        await trio.sleep(2)
        await websocket.send("hello")

    await run_until_down(exchange, late)
    assert trio.current_time() == 2


async def test_sending_after_a_broken_frame(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def breaking(peer: Peer) -> None:
        await peer.accept()
        await peer.stream.send_all(b"\x83\x00")
        await peer.receive()

    exchange = StreamExchange(nursery, breaking)

    async def late(websocket: WebSocket) -> None:
        await trio.sleep(2)
        await websocket.send("hello")

    await run_until_down(exchange, late)
    assert trio.current_time() == 2


async def test_other_side_stops_reading(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async def full(peer: Peer) -> None:
        await peer.accept()
        peer.stream.stop_reading()
        await trio.sleep_forever()

    exchange = StreamExchange(nursery, full)

    async def handler(websocket: WebSocket) -> None:
        await trio.sleep(1)
        await websocket.send("hello")

    down = await run_until_down(exchange, handler)
    assert trio.current_time() == 1 + SEND_TIMEOUT
    assert "could not send" in str(down)


async def test_other_side_stops_reading_and_says_goodbye(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The answer to its close frame cannot be sent; the end is noticed all the same."""

    async def full(peer: Peer) -> None:
        await peer.accept()
        peer.stream.stop_reading()
        await peer.send(CloseConnection(1001))
        await trio.sleep_forever()

    exchange = StreamExchange(nursery, full)
    await run_until_down(exchange, Recorder())
    assert trio.current_time() <= PROBE_AFTER + PONG_TIMEOUT


async def test_cancelled_send_ends_the_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Half a frame may be out: nothing can follow it."""

    async def full(peer: Peer) -> None:
        await peer.accept()
        peer.stream.stop_reading()
        await trio.sleep(2)
        peer.stream.resume_reading()
        await trio.sleep_forever()

    exchange = StreamExchange(nursery, full)

    async def handler(websocket: WebSocket) -> None:
        await trio.sleep(1)
        with trio.move_on_after(0.5):
            await websocket.send("one")
        assert exchange.ends[0].is_closed
        await websocket.send("two")

    await run_until_down(exchange, handler)
    assert trio.current_time() == 1.5
