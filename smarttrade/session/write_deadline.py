"""Writing to a client for as long as it takes something, and finding out that it does not."""

from __future__ import annotations

import fcntl
import struct
import termios
from math import inf

import trio

from .pending import CHUNK

STREAM_CHUNK = 16 * 1024  # bytes given to any other stream at a time, which takes all or nothing


class WriteDeadline:
    """How long one client may take nothing; after `start_final`, how long it has in all."""

    __slots__ = ("_last_moment", "stall_limit")

    def __init__(self, stall_limit: float) -> None:
        self.stall_limit = stall_limit
        """Seconds."""
        self._last_moment: float | None = None

    def start_final(self) -> None:
        """From now on, there is one stall limit in all."""
        if self._last_moment is None:
            self._last_moment = trio.current_time() + self.stall_limit

    def reset(self) -> None:
        self._last_moment = None

    def deadline(self) -> float:
        limit = trio.current_time() + self.stall_limit
        return limit if self._last_moment is None else min(limit, self._last_moment)

    def is_over(self) -> bool:
        return trio.current_time() >= (self._last_moment or inf)


async def write_socket(
    sock: trio.socket.SocketType, data: memoryview, deadline: WriteDeadline
) -> int:
    """How many bytes the socket took; 0 when the client is stalled."""
    unread = _unread(sock)
    while True:
        with trio.CancelScope(deadline=deadline.deadline()):
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
    with trio.CancelScope(deadline=deadline.deadline(), shield=True):
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
