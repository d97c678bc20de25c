"""A client that means harm: opens connections from one address or several, again and again."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import trio

from tests.smarttrade.web.raw_client import upgrade_request

PAUSE = 0.05  # seconds before a connection that has ended is opened again

CLOSED_ERRORS = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


@dataclass
class Attacker:
    port: int
    addresses: int = 1
    """From how many addresses it connects."""
    sent: int = 0
    """Bytes."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """How its connections ended, where the attack looks at that."""
    _numbers: count[int] = field(default_factory=count)

    async def connect(self, *, receive_buffer: int | None = None) -> trio.SocketStream:
        sock = trio.socket.socket()
        try:
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
            await sock.bind((f"127.0.1.{next(self._numbers) % self.addresses + 1}", 0))
            await sock.connect(("127.0.0.1", self.port))
        except BaseException:
            sock.close()
            raise
        return trio.SocketStream(sock)

    async def websocket(self, *lines: str, receive_buffer: int | None = None) -> trio.SocketStream:
        stream = await self.connect(receive_buffer=receive_buffer)
        await self.send(stream, upgrade_request("/ws/candles", *lines))
        return stream

    async def send(self, stream: trio.SocketStream, data: bytes) -> None:
        await stream.send_all(data)
        self.sent += len(data)

    async def repeat(self, attack: Callable[[Attacker], Awaitable[None]]) -> None:
        while True:
            try:
                await attack(self)
            except* CLOSED_ERRORS:
                pass
            await trio.sleep(PAUSE)

    async def note_outcome(self, stream: trio.SocketStream, within: float = 15.0) -> None:
        """Read all that the server sends, and note how it ends the connection."""
        self.outcomes[await _outcome(stream, within)] += 1


async def read_all(stream: trio.SocketStream) -> None:
    with suppress(*CLOSED_ERRORS):
        while await stream.receive_some(65536):
            pass


async def _outcome(stream: trio.SocketStream, within: float) -> str:
    """A status, a close code, or neither."""
    got = b""
    with trio.move_on_after(within) as waiting:
        try:
            while data := await stream.receive_some(65536):
                got = (got + data)[-4096:] if got[:5] != b"HTTP/" else got + data[: 4096 - len(got)]
        except trio.BrokenResourceError:
            return _described(got) or "reset"
    if waiting.cancelled_caught:
        return (_described(got) or "nothing") + ", open"
    return _described(got) or "closed"


def _described(got: bytes) -> str:
    if not got.startswith(b"HTTP/1.1 "):
        return ""
    status = got[9:12].decode()
    if status != "101":
        return status
    at = got.rfind(b"\x88", 0, len(got) - 3)
    code = int.from_bytes(got[at + 2 : at + 4], "big") if at >= 0 else 0
    return f"close {code}" if 1000 <= code < 1020 else "101"
