"""Clients as streams, named by how they read, and frames for them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import trio

from smarttrade.session.frames import Frame, FrameBatch
from smarttrade.session.outbox import Outbox
from smarttrade.session.outbox_counters import OutboxCounters

STALL_LIMIT = 30.0


class Client(trio.abc.HalfCloseableStream):
    """The transport to a client that takes a given number of bytes, and keeps them."""

    def __init__(self, room: float = math.inf) -> None:
        self.room = room
        self.received = b""
        self.closed = False
        self.ended = False
        self._lot = trio.lowlevel.ParkingLot()

    def read(self, size: float = math.inf) -> None:
        self.room += size
        self._lot.unpark_all()

    def _take(self, data: bytes | memoryview) -> int:
        if self.closed:
            raise trio.ClosedResourceError
        taken = int(min(self.room, len(data)))
        self.room -= taken
        self.received += bytes(data[:taken])
        return taken

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended
        left = memoryview(data)
        while True:
            left = left[self._take(left) :]
            if not left:
                break
            await self._lot.park()
        await trio.lowlevel.checkpoint()

    async def send_some(self, data: memoryview) -> int:
        assert not self.ended
        while not (taken := self._take(data)):
            await self._lot.park()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return taken

    def send_now(self, data: bytes) -> int:
        assert not self.ended
        if self.closed:
            raise OSError(9, "Bad file descriptor")
        taken = self._take(data)
        if not taken:
            raise BlockingIOError
        return taken

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        self.ended = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        return b""

    async def aclose(self) -> None:
        self.closed = True
        self._lot.unpark_all()
        await trio.lowlevel.checkpoint()


class SocketClient(Client):
    """The same behind a socket, which sends without waiting and says how much it took."""

    class _Socket:
        def __init__(self, client: SocketClient) -> None:
            self._sock = self._Inner(client)
            self.send = client.send_some

        class _Inner:
            def __init__(self, client: SocketClient) -> None:
                self.send = client.send_now

        def fileno(self) -> int:
            return -1

        def setsockopt(self, *_: object) -> None:
            raise OSError(9, "Bad file descriptor")

    def __init__(self, room: float = math.inf) -> None:
        super().__init__(room)
        self.socket = self._Socket(self)


def stuck() -> SocketClient:
    return SocketClient(room=0)


CLIENTS: list[type[Client]] = [Client, SocketClient]


def websocket_frame(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes([0x82, size]) if size < 126 else bytes([0x82, 126, size >> 8, size & 255])
    return head + payload


def payloads(received: bytes) -> Iterator[bytes]:
    """Take a byte string apart; it must be whole frames."""
    while received:
        assert received[0] == 0x82, received[:20]
        size, start = received[1], 2
        if size == 126:
            size, start = int.from_bytes(received[2:4], "big"), 4
        assert len(received) >= start + size
        yield received[start : start + size]
        received = received[start + size :]


def frame(key: str, state: int | str = "", *, size: int = 0) -> Frame:
    return key, websocket_frame(f"{key}{state}".encode().ljust(size, b"."))


def batch(*frames: Frame) -> FrameBatch:
    return FrameBatch(b"".join(data for _, data in frames), frames)


def texts(client: Client) -> list[str]:
    return [payload.decode().rstrip(".") for payload in payloads(client.received)]


def outbox_for(
    client: Client, counters: OutboxCounters | None = None, *, max_pending_bytes: int = 1_000_000
) -> Outbox:
    return Outbox(
        client,
        stall_limit=STALL_LIMIT,
        max_pending_bytes=max_pending_bytes,
        counters=counters or OutboxCounters(),
    )
