"""A network in memory that fails like one: latency, bounded buffers, resets, silence.

What a sender has written and the receiver has not taken is bounded, so a slow reader is felt. The
end that the service accepts looks like a socket to it where `as_socket` says so: then it may send
without waiting, as in production; otherwise it takes the path of TLS.
"""

from __future__ import annotations

from collections import deque
from socket import SO_LINGER
from typing import Any

import trio

KEEPALIVE_TIMEOUT = 45.0
"""Seconds until a machine notices that the other one is gone: KEEPALIVE_* in server/sockets.py."""


class Flow:
    """One direction of a connection."""

    __slots__ = ("arriving", "capacity", "is_lost", "latency", "readable", "size", "writable")

    def __init__(self, capacity: int, latency: float) -> None:
        self.capacity = capacity
        self.latency = latency
        self.arriving: deque[tuple[float, bytes]] = deque()
        self.size = 0
        self.is_lost = False
        self.readable = trio.lowlevel.ParkingLot()
        self.writable = trio.lowlevel.ParkingLot()

    def put(self, data: bytes) -> None:
        self.size += len(data)
        if not self.is_lost:
            self.arriving.append((trio.current_time() + self.latency, data))
            if self.readable:
                self.readable.unpark_all()

    def wake(self) -> None:
        self.readable.unpark_all()
        self.writable.unpark_all()


class End(trio.abc.HalfCloseableStream):
    """One end of a connection."""

    def __init__(self, into: Flow, out: Flow) -> None:
        self._in = into
        self._out = out
        self._peer: End
        self._is_closed = self._is_reset = self._has_ended = False
        self._resets_on_close = False

    # The stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        rest = memoryview(bytes(data))
        while rest:
            if taken := self.take(rest):
                rest = rest[taken:]
            else:
                await self._out.writable.park()

    def take(self, data: bytes | memoryview) -> int:
        """Send as much as there is room for, now."""
        if self._is_closed:
            raise trio.ClosedResourceError("closed here")
        if self._is_reset or self._has_ended or (self._peer._is_closed and not self._out.is_lost):
            raise trio.BrokenResourceError("reset")
        taken = min(len(data), self._out.capacity - self._out.size)
        if taken > 0:
            self._out.put(bytes(data[:taken]))
        return max(0, taken)

    async def room(self) -> None:
        await self._out.writable.park()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        flow = self._in
        while True:
            if self._is_closed:
                raise trio.ClosedResourceError("closed here")
            if self._is_reset:
                raise trio.BrokenResourceError("reset")
            if not flow.arriving:
                await flow.readable.park()
                continue
            due = flow.arriving[0][0]
            if due <= trio.current_time():
                return self._took(flow, max_bytes or 65536)
            with trio.move_on_at(due):
                await flow.readable.park()

    def _took(self, flow: Flow, most: int) -> bytes:
        now, data = trio.current_time(), b""
        while flow.arriving and flow.arriving[0][0] <= now and len(data) < most:
            due, chunk = flow.arriving.popleft()
            if not chunk:  # the end stays
                flow.arriving.appendleft((due, chunk))
                break
            if len(data) + len(chunk) > most:
                cut = most - len(data)
                flow.arriving.appendleft((due, chunk[cut:]))
                chunk = chunk[:cut]
            data += chunk
        flow.size -= len(data)
        if data and flow.writable:
            flow.writable.unpark_all()
        return data

    @property
    def is_readable(self) -> bool:
        return bool(self._in.arriving) or self._is_reset or self._is_closed

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        self._finish()

    def _finish(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._out.put(b"")

    async def aclose(self) -> None:
        if not self._is_closed:
            if self._resets_on_close or self._in.size:
                if not self._out.is_lost:
                    self._peer.break_()
            else:
                self._finish()
            self._is_closed = True
            self._in.wake()
            self._out.wake()
        await trio.lowlevel.checkpoint()

    def reset_on_close(self) -> None:
        self._resets_on_close = True

    # What a network does

    def break_(self) -> None:
        """This end learns that the connection is gone."""
        self._is_reset = True
        self._in.arriving.clear()
        self._in.wake()
        self._out.wake()

    def reset(self) -> None:
        """Both ends learn at once that the connection is gone."""
        self.break_()
        self._peer.break_()

    def cut(self) -> None:
        """From now on all data is lost, in both directions, and neither end notices."""
        for flow in (self._in, self._out):
            flow.is_lost = True
            flow.arriving.clear()


class SocketEnd(End):
    """An end that can be written to without waiting, as a socket can."""

    def __init__(self, into: Flow, out: Flow) -> None:
        super().__init__(into, out)
        self.socket = _Socket(self)


class _Socket:
    """What `Outbox` uses of Trio's socket, and of the one in it."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._sock = _InnerSocket(end)

    async def send(self, data: memoryview) -> int:
        await trio.lowlevel.checkpoint()
        while True:
            try:
                if taken := self._end.take(data):
                    return taken
            except trio.BrokenResourceError as error:
                raise ConnectionResetError from error
            await self._end.room()

    def setsockopt(self, _level: int, option: int, _value: bytes) -> None:
        if option == SO_LINGER:
            self._end.reset_on_close()

    def fileno(self) -> int:
        raise ValueError("no descriptor")


class _InnerSocket:
    def __init__(self, end: End) -> None:
        self._end = end

    def send(self, data: bytes) -> int:
        try:
            taken = self._end.take(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionResetError from error
        if not taken:
            raise BlockingIOError
        return taken


def connect(
    latency: float = 0.0,
    *,
    there: int = 1 << 20,
    back: int = 1 << 20,
    as_socket: bool = False,
) -> tuple[End, End]:
    """Two ends; `there` and `back` are the bytes that may be in flight in each direction.

    The second end is the one that accepts.
    """
    out, into = Flow(there, latency), Flow(back, latency)
    one = End(into, out)
    other: End = SocketEnd(out, into) if as_socket else End(out, into)
    one._peer, other._peer = other, one
    return one, other


class Listener(trio.abc.Listener[Any]):
    """Where one process accepts."""

    def __init__(self) -> None:
        self.is_closed = False
        self._arriving, self._arrived = trio.open_memory_channel[End](4096)

    def arrive(self, end: End) -> None:
        """Raises `ConnectionRefusedError` when it is closed."""
        try:
            self._arriving.send_nowait(end)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.WouldBlock):
            raise ConnectionRefusedError("not listening") from None

    async def accept(self) -> End:
        return await self._arrived.receive()

    async def aclose(self) -> None:
        self.is_closed = True
        while True:
            try:
                self._arrived.receive_nowait().reset()
            except (trio.WouldBlock, trio.ClosedResourceError):
                break
        self._arrived.close()
        await trio.lowlevel.checkpoint()
