"""A connection's bytes, and the ways in which they get lost."""

from __future__ import annotations

import struct
from socket import SO_LINGER, SOL_SOCKET

import trio

# On, for no time at all: closing sends RST instead of FIN. Source: socket(7), SO_LINGER.
RESET = struct.pack("ii", 1, 0)


class Transport:
    """A stream that can be cut.

    The connection's own task runs inside `scope` and closes the stream afterwards; cutting only
    ends the scope, so it can be done from anywhere and at any moment.
    """

    def __init__(self, stream: trio.abc.Stream, peer: str, number: int) -> None:
        self.peer = peer
        self.number = number
        self.half_open = False
        self.scope = trio.CancelScope()
        self._stream = stream
        self._reset = False

    async def send_all(self, data: bytes) -> None:
        if self.half_open:
            await trio.lowlevel.checkpoint()
            return
        await self._stream.send_all(data)

    async def drip(self, data: bytes, bytes_per_second: float) -> None:
        """Send a few bytes four times a second."""
        size = max(1, int(bytes_per_second / 4))
        for start in range(0, len(data), size):
            await self.send_all(data[start : start + size])
            await trio.sleep(size / bytes_per_second)

    async def receive_some(self) -> bytes:
        """Empty at the end. What comes while half open is lost, its end included."""
        while True:
            data = await self._stream.receive_some()
            if not self.half_open:
                return bytes(data)
            if not data:
                await trio.sleep_forever()

    def reset(self) -> None:
        """RST where the stream is a socket, else as sudden an end as it knows."""
        self._reset = True
        self.scope.cancel()

    def finish(self) -> None:
        """FIN, without a word before it."""
        self.scope.cancel()

    async def aclose(self) -> None:
        """Idempotent, and never waits for the peer."""
        if self._reset and isinstance(self._stream, trio.SocketStream):
            self._stream.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
        await trio.aclose_forcefully(self._stream)
