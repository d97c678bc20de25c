"""TLS at our own port.

What a client sends first costs it nothing: a greeting of 500 bytes, always the same, has us sign,
which takes a millisecond. So a handshake is charged, and each read of one waits for its turn.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

import trio

from ...token_bucket import TokenBucket
from ..addresses import address_of
from ..edge.context import CLOSED_ERRORS, Edge


class TlsListener(trio.abc.Listener[trio.SSLStream[trio.abc.Stream]]):
    """Owns `listener`; what it accepts has not begun its handshake."""

    def __init__(
        self, listener: trio.abc.Listener[trio.abc.Stream], context: ssl.SSLContext, edge: Edge
    ) -> None:
        self._listener = listener
        self._context = context
        self._edge = edge

    async def accept(self) -> trio.SSLStream[trio.abc.Stream]:
        stream = TurnStream(await self._listener.accept(), self._edge)
        return trio.SSLStream(stream, self._context, server_side=True, https_compatible=True)

    async def aclose(self) -> None:
        await self._listener.aclose()


class TurnStream(trio.abc.Stream):
    """A client's bytes as they come, one read of an address in each turn of the loop."""

    def __init__(self, stream: trio.abc.Stream, edge: Edge) -> None:
        self.stream = stream
        self._turns = edge.turns
        self._address = _bucket_of(stream, edge)

    @property
    def socket(self) -> trio.socket.SocketType | None:
        return self.stream.socket if isinstance(self.stream, trio.SocketStream) else None

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self.stream.receive_some(max_bytes)
        await self._turns.take(self._address)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


def _bucket_of(stream: trio.abc.Stream, edge: Edge) -> TokenBucket | None:
    """The budget of the peer's address; None for a proxy, whose clients are not known yet."""
    if not isinstance(stream, trio.SocketStream):
        return None
    try:
        peer = address_of(stream.socket.getpeername())
    except OSError:  # it left before it was served
        return None
    if peer is None or edge.policy.is_proxy(peer[0]):
        return None
    return edge.policy.bucket_of(peer[0])


async def tls_handshake(stream: trio.abc.Stream, *, within: float) -> bool:
    """Agree on TLS where there is any; False when the client does not in time."""
    if isinstance(stream, trio.SSLStream):
        with trio.move_on_after(within), suppress(*CLOSED_ERRORS):
            await stream.do_handshake()
            return True
        return False
    return True
