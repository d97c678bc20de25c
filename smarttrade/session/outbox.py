"""Every byte to one client goes through its outbox: the hub's frames and Hypercorn's bytes."""

from __future__ import annotations

import trio

from .frame_queue import ClosedReason, FrameQueue


class Outbox(FrameQueue, trio.abc.HalfCloseableStream):
    """The transport of one client as a Trio stream, with a conflating queue in front of its socket.

    It owns the stream that it is given, and closes it. Hypercorn writes through `send_all` while
    the hub posts. What is sent is a barrier, like `post_once`.

    A stream without a socket of its own (TLS, memory) works too, but nothing goes out before the
    writer's turn.
    """

    __slots__ = ()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write `data` after everything that is pending; wait until the socket has it.

        Several tasks may do so at once. A cancelled write is still pending and goes out, whole,
        with the next one.

        Raises:
            trio.ClosedResourceError: we closed or reset the connection before.
            trio.BrokenResourceError: the client did, or it is stalled.
        """
        if self._is_closed:
            raise trio.ClosedResourceError("the outbox is closed")
        if data:
            self._send_or_append(bytes(data))
            self._memory.enforce()
        ticket = self._pending.ticket
        if not self._pending:
            await trio.lowlevel.checkpoint()
        while not self._pending.is_written(ticket):
            await self._write_once()
        if self._is_closed:
            raise trio.BrokenResourceError("the client is gone")

    async def wait_send_all_might_not_block(self) -> None:
        async with self._lock:
            await self._transport.stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """End our half of the connection after what is pending; TLS has no such thing."""
        self.finish()
        while self._pending:
            await self._write_once()
        async with self._lock:
            if isinstance(self._transport.stream, trio.abc.HalfCloseableStream):
                await self._transport.stream.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._transport.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """Close the transport; what is pending is dropped and writers get ClosedResourceError."""
        self._end(ClosedReason.FINISHED)
        self._close()
        await self._transport.stream.aclose()
