"""A connection to the exchange while it is open, and what is not its doing."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, assert_no_checkpoints, wait_all_tasks_blocked
from wsproto.events import Ping

from smarttrade.feed.errors import StreamDown
from smarttrade.feed.websocket_client import (
    PROBE_AFTER,
    QUEUE_SIZE,
    WebSocket,
    run_connection,
)
from tests.actors.fakes import leaked_cancelled
from tests.fakes.exchange_streams import (
    Behaviour,
    Peer,
    StreamExchange,
    closing,
    listening,
    resetting,
    sending,
    silent,
    vanishing,
)
from tests.smarttrade.feed.websocket_recorder import (
    ENDINGS,
    URL,
    Handler,
    Recorder,
    idle,
    nothing,
    run_until_down,
)

# While it is open


async def test_messages_arrive_in_order(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    exchange = StreamExchange(nursery, closing("one", "two", "three"))
    recorder = Recorder()
    await run_until_down(exchange, recorder)
    assert recorder.received == ["one", "two", "three"]


async def test_messages_of_one_read_are_received_in_one_scheduler_turn(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def in_one_segment(peer: Peer) -> None:
        await peer.accept()
        texts = (b"one", b"two", b"three")
        await peer.stream.send_all(b"".join(bytes((0x81, len(text))) + text for text in texts))
        await peer.receive()

    async def handler(websocket: WebSocket) -> None:
        received = [await websocket.receive()]
        with assert_no_checkpoints():
            received += [await websocket.receive(), await websocket.receive()]
        assert received == ["one", "two", "three"]

    await run_connection(URL, StreamExchange(nursery, in_one_segment).dial, handler)


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
