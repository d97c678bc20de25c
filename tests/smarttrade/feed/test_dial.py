"""Over loopback, in real time: the only tests here that open sockets to anything but REST."""

from __future__ import annotations

import pytest
import trio
from trio_websocket import WebSocketRequest, serve_websocket

from smarttrade.feed.errors import StreamDown
from smarttrade.feed.network import Network
from smarttrade.feed.websocket_client import WebSocket, run_connection
from tests.fakes.exchange_streams import BTC, kline

dial = Network.direct().dial


async def listen(nursery: trio.Nursery, streams: list[trio.SocketStream]) -> int:
    """Accepts connections on a port of its own, and sends nothing."""

    async def handle(stream: trio.SocketStream) -> None:
        streams.append(stream)
        await trio.sleep_forever()

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, handle, [listener])
    port: int = listener.socket.getsockname()[1]
    return port


async def test_plain_stream(nursery: trio.Nursery) -> None:
    async def echo(stream: trio.SocketStream) -> None:
        await stream.send_all(await stream.receive_some())

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, echo, [listener])
    with trio.fail_after(5):
        stream = await dial(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/stream?streams=a")
        async with stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_refused_connection(scheme: str) -> None:
    with trio.fail_after(5), pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await dial(f"{scheme}://127.0.0.1:1/stream")


async def test_tls_with_a_server_without_tls(nursery: trio.Nursery) -> None:
    """And the socket is closed."""
    ended = trio.Event()

    async def plain(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad request\r\n\r\n")
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        ended.set()

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, plain, [listener])
    url = f"wss://127.0.0.1:{listener.socket.getsockname()[1]}/stream"
    with trio.fail_after(5):
        with pytest.raises(trio.BrokenResourceError):
            await dial(url)
        await ended.wait()
        with pytest.raises(StreamDown, match=r"127\.0\.0\.1"):
            await run_connection(url, dial, handler_that_never_starts)
    nursery.cancel_scope.cancel()


async def test_cancelled_tls_handshake_closes_the_socket(nursery: trio.Nursery) -> None:
    streams: list[trio.SocketStream] = []
    port = await listen(nursery, streams)
    with trio.fail_after(5):
        with trio.move_on_after(0.05) as patience:
            await dial(f"wss://127.0.0.1:{port}/stream")
        assert patience.cancelled_caught
        while await streams[0].receive_some():
            pass
    nursery.cancel_scope.cancel()


async def test_connection_over_sockets(nursery: trio.Nursery) -> None:

    async def exchange(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.send_message(kline(BTC))
        await websocket.ping()
        await websocket.aclose(1001)

    received: list[str | bytes] = []

    async def handler(websocket: WebSocket) -> None:
        while True:
            received.append(await websocket.receive())

    [server] = [await nursery.start(serve_websocket, exchange, "127.0.0.1", 0, None)]
    with trio.fail_after(5), pytest.raises(StreamDown, match="1001"):
        await run_connection(f"ws://127.0.0.1:{server.port}/stream", dial, handler)
    assert received == [kline(BTC)]
    nursery.cancel_scope.cancel()


async def handler_that_never_starts(websocket: WebSocket) -> None:
    raise AssertionError
