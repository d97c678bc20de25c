"""A network in memory: where a service listens, and the clients that connect to it.

The clients are httpx and trio-websocket; only the transport below them is a fake.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpcore
import httpx
import trio
import trio_websocket

from tests.fakes.exchange_link import End, link

Connect = Callable[[], Awaitable[End]]
"""Opens a connection; raises `OSError` if there is no listener."""


class MemoryListener(trio.abc.Listener[End]):
    """Accepts the connections that `connect` opens."""

    def __init__(self) -> None:
        self.is_closed = False
        self._arriving, self._arrived = trio.open_memory_channel[End](math.inf)

    async def connect(self) -> End:
        await trio.lowlevel.checkpoint()
        ours, theirs = link()
        try:
            self._arriving.send_nowait(theirs)
        except trio.BrokenResourceError:
            raise ConnectionRefusedError("no listener") from None
        return ours

    async def accept(self) -> End:
        return await self._arrived.receive()

    async def aclose(self) -> None:
        self.is_closed = True
        self._arrived.close()
        await trio.lowlevel.checkpoint()


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, end: End) -> None:
        self._end = end

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            with trio.fail_after(math.inf if timeout is None else timeout):
                return await self._end.receive_some(max_bytes)
        except trio.TooSlowError as error:
            raise httpcore.ReadTimeout from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        try:
            with trio.fail_after(math.inf if timeout is None else timeout):
                await self._end.send_all(buffer)
        except trio.TooSlowError as error:
            raise httpcore.WriteTimeout from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError from error

    async def aclose(self) -> None:
        await self._end.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise NotImplementedError

    def get_extra_info(self, info: str) -> Any:
        return self._end.is_readable if info == "is_readable" else None


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            return _Stream(await self._connect())
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


def transport_over(connect: Connect) -> httpx.AsyncHTTPTransport:
    """A transport whose connections are opened by `connect`."""
    transport = httpx.AsyncHTTPTransport(verify=False, trust_env=False)
    transport._pool = httpcore.AsyncConnectionPool(
        max_connections=100, keepalive_expiry=1e9, network_backend=_Backend(connect)
    )
    return transport


def http_over(connect: Connect, **options: Any) -> httpx.AsyncClient:
    """A client whose connections to any host are opened by `connect`."""
    return httpx.AsyncClient(transport=transport_over(connect), **options)


@asynccontextmanager
async def websocket_over(
    connect: Connect, path: str, **options: Any
) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    """Open a WebSocket; `trio_websocket.ConnectionRejected` if the handshake is refused."""
    stream: Any = await connect()  # trio-websocket names the streams of sockets only
    async with trio.open_nursery() as nursery:
        try:
            connection = await trio_websocket.wrap_client_stream(
                nursery, stream, "test", path, message_queue_size=100_000, **options
            )
            yield connection
            with trio.move_on_after(5):
                await connection.aclose()
        finally:
            await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()
