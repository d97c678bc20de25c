"""The WebSocket by itself; test_connection.py has every way in which a conversation can end."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from smarttrade.feed.websocket import WebSocket, WebSocketClosed, open_websocket
from tests.fakes.exchange_streams import Behaviour, Peer, StreamExchange, closing, listening


async def opened(nursery: trio.Nursery, behaviour: Behaviour, queue: int = 256) -> WebSocket:
    exchange = StreamExchange(nursery, behaviour)
    stream = await exchange.dial("ws://exchange.test")
    websocket = await open_websocket(
        stream, "exchange.test", "/stream", queue=queue, most_bytes=1024
    )
    nursery.start_soon(websocket.read)
    return websocket


async def test_what_comes_together_is_received_without_a_pause(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """So one burst of the exchange goes through every stage in one piece."""

    async def bursting(peer: Peer) -> None:
        await peer.accept()
        await peer.stream.send_all(b"\x81\x01a\x81\x01b\x81\x01c")
        await peer.hear()

    websocket = await opened(nursery, bursting)
    await wait_all_tasks_blocked()
    others_ran = False

    async def other() -> None:
        nonlocal others_ran
        others_ran = True

    nursery.start_soon(other)
    assert [await websocket.receive() for _ in "abc"] == ["a", "b", "c"]
    assert not others_ran
    await wait_all_tasks_blocked()
    assert others_ran
    nursery.cancel_scope.cancel()


async def test_bytes_behind_the_handshake_are_not_lost(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def hasty(peer: Peer) -> None:
        send_all, said = peer.stream.send_all, []

        async def hold(data: bytes) -> None:
            said.append(data)

        peer.stream.send_all = hold  # type: ignore[assignment, method-assign]
        await peer.accept()
        await send_all(b"".join(said) + b"\x81\x05hello")
        await trio.sleep_forever()

    websocket = await opened(nursery, hasty)
    assert await websocket.receive() == "hello"
    nursery.cancel_scope.cancel()


async def test_reader_stops_while_nobody_receives_and_goes_on_then(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def telling_one_by_one(peer: Peer) -> None:
        await peer.accept()
        for number in range(20):
            await peer.tell(str(number))
            await wait_all_tasks_blocked()
        await peer.hear()

    websocket = await opened(nursery, telling_one_by_one, queue=5)
    await trio.sleep(1)
    assert len(websocket._messages) == 6
    assert [await websocket.receive() for _ in range(20)] == [str(n) for n in range(20)]
    nursery.cancel_scope.cancel()


async def test_messages_before_the_end_are_received_and_then_it_is_told(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    websocket = await opened(nursery, closing("one", "two", code=1012))
    await trio.sleep(1)
    assert [await websocket.receive(), await websocket.receive()] == ["one", "two"]
    for _ in range(2):
        with pytest.raises(WebSocketClosed, match="1012"):
            await websocket.receive()
    with pytest.raises(WebSocketClosed, match="1012"):
        await websocket.ping()
    with pytest.raises(WebSocketClosed, match="1012"):
        await websocket.send("late")
    nursery.cancel_scope.cancel()


async def test_each_ping_waits_for_its_own_answer(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    websocket = await opened(nursery, listening)
    async with trio.open_nursery() as pings:
        for _ in range(5):
            pings.start_soon(websocket.ping)
    nursery.cancel_scope.cancel()
