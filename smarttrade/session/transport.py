"""A client's stream, as its outbox writes to it: without waiting where that is possible."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import trio

from .pending import CHUNK
from .write_deadline import WriteDeadline

STREAM_CHUNK = 16 * 1024  # bytes given to any other stream at a time, which takes all or nothing


class Transport:
    """Owns `stream`. One without a socket of its own (TLS, memory) only takes what waits for it."""

    __slots__ = ("_socket", "send_now", "stream")

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        # Trio's socket has no public way to its inner one, which sends without waiting. Should it
        # go away, posts are merely pending until the writer's turn.
        sock: trio.socket.SocketType | None = getattr(stream, "socket", None)
        self._socket = sock if hasattr(sock, "_sock") else None
        self.send_now: Callable[[bytes], int] | None = None
        """Sends at once and returns how many bytes the socket took; None without a socket.

        Raises BlockingIOError when it takes none.
        """
        if self._socket is not None:
            self.send_now = cast("Any", self._socket)._sock.send  # noqa: SLF001 - see above

    async def write(self, data: memoryview, deadline: WriteDeadline) -> int:
        """Write some of `data`; how many bytes the client took, 0 when it is stalled."""
        if self._socket is None:
            return await write_stream(self.stream, data, deadline)
        return await write_socket(self._socket, data, deadline)

    def discard_unsent(self) -> trio.socket.SocketType | None:
        """Have the kernel throw away what it still holds when the socket, returned, is closed."""
        transport = getattr(self.stream, "transport_stream", self.stream)
        sock: trio.socket.SocketType | None = getattr(transport, "socket", None)
        if sock is not None:
            with suppress(OSError):  # it was closed before
                no_linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        return sock


async def write_socket(
    sock: trio.socket.SocketType, data: memoryview, deadline: WriteDeadline
) -> int:
    """How many bytes the socket took; 0 when the client is stalled."""
    unread = _unread(sock)
    while True:
        with trio.CancelScope(deadline=deadline.next_deadline()):
            return await sock.send(data[:CHUNK])
        # A socket becomes writable only when a third of its buffer is free, which takes a
        # client that reads slowly longer than the limit: ask the kernel whether it reads.
        before, unread = unread, _unread(sock)
        if unread >= before or deadline.is_over():
            return 0


async def write_stream(
    stream: trio.abc.SendStream, data: memoryview, deadline: WriteDeadline
) -> int:
    """The same for a stream that does not say how much of a cancelled write it took."""
    chunk = data[:STREAM_CHUNK]
    with trio.CancelScope(deadline=deadline.next_deadline(), shield=True):
        await stream.send_all(chunk)
        return len(chunk)
    return 0


def _unread(sock: trio.socket.SocketType) -> int:
    """Bytes that the kernel holds because the client's has not acknowledged them, or 0 if unknown.

    Source: tcp(7), SIOCOUTQ, which is TIOCOUTQ.
    """
    try:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):  # ValueError: it was closed meanwhile
        return 0
    return int(struct.unpack("i", answer)[0])
