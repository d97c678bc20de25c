"""Every way in which a stream connection can end, each in a stated time."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.events import AcceptConnection, CloseConnection, Ping

from smarttrade.feed.errors import StreamDown
from smarttrade.feed.websocket_client import (
    CONNECT_TIMEOUT,
    MAX_MESSAGE_SIZE,
    PONG_TIMEOUT,
    PROBE_AFTER,
    QUEUE_SIZE,
    SEND_TIMEOUT,
    WebSocket,
    run_connection,
)
from tests.actors.fakes import leaked_cancelled
from tests.fakes.exchange_streams import (
    Behaviour,
    Peer,
    StreamExchange,
    answering,
    closing,
    closing_before_handshake,
    listening,
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


# While it is open


async def test_messages_arrive_in_order(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    exchange = StreamExchange(nursery, closing("one", "two", "three"))
    recorder = Recorder()
    await run_until_down(exchange, recorder)
    assert recorder.received == ["one", "two", "three"]


async def test_what_is_asked_for(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    exchange = StreamExchange(nursery, listening)
    await run_connection("ws://exchange.test:9443/stream?streams=a/b", exchange.dial, nothing)
    request = exchange.peers[0].request
    assert request is not None
    assert (request.host, request.target) == ("exchange.test:9443", "/stream?streams=a/b")
    assert request.extensions == []  # compression costs more than it saves


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("ws://exchange.test/stream", "exchange.test"),
        ("ws://exchange.test:80/stream", "exchange.test"),
        ("wss://exchange.test:443/stream", "exchange.test"),
        ("wss://exchange.test:80/stream", "exchange.test:80"),
        ("ws://[::1]:8001/stream", "[::1]:8001"),
    ],
)
async def test_host_header(
    url: str, host: str, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    exchange = StreamExchange(nursery, listening)
    await run_connection(url, exchange.dial, nothing)
    request = exchange.peers[0].request
    assert request is not None
    assert request.host == host


async def test_handler_that_returns_closes_the_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    exchange = StreamExchange(nursery, listening)

    async def handler(websocket: WebSocket) -> None:
        await websocket.send('{"id": 1}')
        await trio.sleep(1)

    await run_connection(URL, exchange.dial, handler)
    await wait_all_tasks_blocked()
    assert trio.current_time() == 1
    assert exchange.open == []
    assert exchange.peers[0].requests == [(0.0, {"id": 1})]


async def test_pings_are_answered_with_their_payload(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Source: web-socket-streams.md, "WebSocket Limits": a copy of the ping's payload."""

    async def pinging(peer: Peer) -> None:
        await peer.accept()
        await peer.send(Ping(b"1672515782136"))
        await peer.receive()

    exchange = StreamExchange(nursery, pinging)
    with trio.move_on_after(1):
        await run_connection(URL, exchange.dial, Recorder())
    assert exchange.peers[0].pongs == [(0.0, b"1672515782136")]


async def test_pings_are_answered_while_the_handler_does_not_receive(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """For a minute, with a whole burst in the queue; none of it is lost."""
    texts = [str(number) for number in range(QUEUE_SIZE)]

    async def pinging(peer: Peer) -> None:
        await peer.accept()
        for text in texts:
            await peer.send_text(text)
        async with trio.open_nursery() as inner:
            inner.start_soon(peer.receive)
            for payload in (b"1", b"2", b"3"):
                await trio.sleep(20)
                await peer.send(Ping(payload))

    exchange = StreamExchange(nursery, pinging)
    recorder = Recorder()

    async def busy(websocket: WebSocket) -> None:
        await trio.sleep(65)
        await recorder(websocket)

    with trio.move_on_after(66):
        await run_connection(URL, exchange.dial, busy)
    assert exchange.peers[0].pongs == [(20.0, b"1"), (40.0, b"2"), (60.0, b"3")]
    assert recorder.received == texts


async def test_silent_server_that_answers_pings_is_kept(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """As long as the server answers pings, one every `PROBE_AFTER` seconds."""
    exchange = StreamExchange(nursery, listening)
    with trio.move_on_after(3600):
        await run_connection(URL, exchange.dial, Recorder())
    assert trio.current_time() == 3600
    pings = exchange.peers[0].pings
    assert {b - a for a, b in pairwise(pings)} == {PROBE_AFTER}


@pytest.mark.parametrize("begin", [0.1 * number + 1e-9 for number in range(7, 200, 21)])
async def test_silence_is_measured_whatever_rounding_does(
    begin: float, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def speaking_once(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(begin / 3)
        await peer.send_text("hello")
        await peer.receive()

    exchange = StreamExchange(nursery, speaking_once)
    await trio.sleep(begin)
    with trio.move_on_after(65):
        await run_connection(URL, exchange.dial, Recorder())
    assert len(exchange.peers[0].pings) >= 1


async def test_no_pings_while_messages_come(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def chatting(peer: Peer) -> None:
        await peer.accept()
        while True:
            await trio.sleep(2)
            await peer.send_text("tick")

    async def chatting_and_listening(peer: Peer) -> None:
        async with trio.open_nursery() as inner:
            inner.start_soon(chatting, peer)
            while peer.request is None:
                await trio.sleep(0.1)
            inner.start_soon(peer.receive)

    exchange = StreamExchange(nursery, chatting_and_listening)
    with trio.move_on_after(600):
        await run_connection(URL, exchange.dial, Recorder())
    assert exchange.peers[0].pings == []


async def test_messages_right_behind_the_handshake_are_received(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def hasty(peer: Peer) -> None:
        send_all, held = peer.stream.send_all, []

        async def hold(data: bytes) -> None:
            held.append(data)

        peer.stream.send_all = hold  # type: ignore[assignment, method-assign]
        await peer.accept()
        await send_all(b"".join(held) + b"\x81\x05hello\x81\x05again")
        await peer.stream.aclose()

    recorder = Recorder()
    await run_until_down(StreamExchange(nursery, hasty), recorder)
    assert recorder.received == ["hello", "again"]


async def test_connection_that_ended_reports_its_close_code(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Also when it had ended before anything was received, and again for what is sent then."""

    async def late(websocket: WebSocket) -> None:
        await trio.sleep(1)
        assert [await websocket.receive(), await websocket.receive()] == ["one", "two"]
        for _ in range(2):
            with pytest.raises(StreamDown, match="1012"):
                await websocket.receive()
        await websocket.send("late")

    down = await run_until_down(StreamExchange(nursery, closing("one", "two", code=1012)), late)
    assert down.close_code == 1012


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


# What is not the connection's doing


@pytest.mark.parametrize("behaviour", [listening, closing(), resetting(1), sending("x")])
async def test_bug_in_handler_comes_out_as_it_is(
    behaviour: Behaviour, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bug = ValueError("a bug")

    async def handler(websocket: WebSocket) -> None:
        raise bug

    with pytest.raises(ValueError, match="a bug") as raised:
        await run_connection(URL, StreamExchange(nursery, behaviour).dial, handler)
    assert raised.value is bug


async def test_bug_after_the_connection_ended_comes_out_as_it_is(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def handler(websocket: WebSocket) -> None:
        try:
            await websocket.receive()
        finally:
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await run_connection(URL, StreamExchange(nursery, closing()).dial, handler)


async def test_group_of_bugs_comes_out_as_it_is(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def fail() -> None:
        raise ValueError("a bug")

    async def handler(websocket: WebSocket) -> None:
        async with trio.open_nursery() as inner:
            inner.start_soon(fail)
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await run_connection(URL, StreamExchange(nursery, listening).dial, handler)
    assert raised.value.subgroup(ValueError) is not None


async def test_bug_in_dial_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    async def dial(url: str) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await run_connection(URL, dial, idle)


async def test_keyboard_interrupt_comes_out(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def handler(websocket: WebSocket) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await run_connection(URL, StreamExchange(nursery, listening).dial, handler)


MOMENTS: dict[str, Behaviour] = {
    "handshake": silent,
    "handler": listening,
    "half-open": vanishing(0),
    "flood": sending(*map(str, range(2 * QUEUE_SIZE))),
}


@pytest.mark.parametrize("behaviour", MOMENTS.values(), ids=MOMENTS.keys())
@pytest.mark.parametrize("handler", [Recorder(), idle], ids=["listening", "idle"])
async def test_cancelling_from_outside_is_prompt(
    behaviour: Behaviour, handler: Handler, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    exchange = StreamExchange(nursery, behaviour)
    with trio.move_on_after(3) as scope:
        await run_connection(URL, exchange.dial, handler)
    assert scope.cancelled_caught
    assert trio.current_time() == 3
    assert exchange.ends[0].is_closed


async def test_cancelling_while_dialling_is_prompt(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    exchange = StreamExchange(nursery)
    exchange.dial_takes = 5
    with trio.move_on_after(3) as scope:
        await run_connection(URL, exchange.dial, idle)
    assert scope.cancelled_caught
    assert trio.current_time() == 3


async def test_cancelling_while_sending_is_prompt(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def full(peer: Peer) -> None:
        await peer.accept()
        peer.stream.stop_reading()
        await trio.sleep_forever()

    async def handler(websocket: WebSocket) -> None:
        await trio.sleep(1)
        await websocket.send("hello")

    exchange = StreamExchange(nursery, full)
    with trio.move_on_after(3) as scope:
        await run_connection(URL, exchange.dial, handler)
    assert scope.cancelled_caught
    assert trio.current_time() == 3


async def test_stray_cancelled_goes_no_further(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """A `Cancelled` that was not requested would silently end the task around the connection."""

    async def handler(websocket: WebSocket) -> None:
        raise await leaked_cancelled()

    await run_until_down(StreamExchange(nursery, listening), handler)


async def test_many_connections_do_not_touch_each_other(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Those that end in every way, beside one that lives."""
    recorder = Recorder()
    alive = StreamExchange(nursery, sending("one"))
    async with trio.open_nursery() as connections:
        connections.start_soon(run_connection, URL, alive.dial, recorder)
        for behaviour, _, _ in ENDINGS.values():
            connections.start_soon(run_until_down, StreamExchange(nursery, behaviour), Recorder())
        await trio.sleep(120)
        await alive.peers[0].send_text("two")
        await wait_all_tasks_blocked()
        connections.cancel_scope.cancel()
    assert recorder.received == ["one", "two"]
