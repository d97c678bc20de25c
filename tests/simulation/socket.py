"""A client's own HTTP and WebSocket: a few lines, because hundreds of thousands of messages go
through them. The real client libraries are tested in tests/smarttrade/web."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import trio

from .network import End

GONE = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Closed(Exception):
    """The other side has ended the connection; `code` is 0 when it did not say why."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class Refused(Exception):
    """The handshake was answered with another status than 101."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Reader:
    """Puts together what comes in pieces."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._data = bytearray()

    async def more(self) -> None:
        data = await self._end.receive_some(65536)
        if not data:
            raise Closed(0)
        self._data += data

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of an answer."""
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            await self.more()
        lines = self._data[:end].decode("latin-1").split("\r\n")
        del self._data[: end + 4]
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        return int(lines[0].split(" ", 2)[1]), headers

    async def body(self, size: int) -> bytes:
        while len(self._data) < size:
            await self.more()
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Whole frames that are here, by opcode; what is no frame of ours is `Closed`."""
        data, start = self._data, 0
        while len(data) >= start + 2:
            head, size = 2, data[start + 1]
            if not data[start] & 0x80 or size & 0x80:
                raise Closed(-1)
            if size >= 126:
                width = 2 if size == 126 else 8
                size = int.from_bytes(data[start + 2 : start + 2 + width])
                head += width
            end = start + head + size
            if len(data) < end:
                break
            yield data[start] & 0x0F, bytes(data[start + head : end])
            start = end
        del data[:start]


class WebSocket:
    """After `open`."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._reader = Reader(end)
        self._ended_with: int | None = None

    async def open(self, path: str) -> None:
        """Raises `Refused` or `Closed`."""
        request = (
            f"GET {path} HTTP/1.1\r\nHost: charts.example\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        )
        await self._end.send_all(request.encode())
        status, _ = await self._reader.head()
        if status != 101:
            raise Refused(status)

    async def send(self, message: str, kind: int = TEXT) -> None:
        await self._end.send_all(frame(kind, message.encode()))

    async def receive(self) -> list[bytes]:
        """The messages that came together, at least one. Raises `Closed`."""
        while True:
            found: list[bytes] = []
            if self._ended_with is not None:
                raise Closed(self._ended_with)
            for kind, payload in self._reader.frames():
                if kind == CLOSE:
                    self._ended_with = int.from_bytes(payload[:2]) if payload else 1005
                    await self._end.send_all(frame(CLOSE, payload[:2]))
                    break
                if kind == PING:
                    await self._end.send_all(frame(PONG, payload))
                elif kind == TEXT:
                    found.append(payload)
            if found:
                return found
            if self._ended_with is None:
                await self._reader.more()


def frame(kind: int, payload: bytes) -> bytes:
    """A masked frame; the mask is nought, which the protocol allows."""
    size = len(payload)
    if size < 126:
        head = bytes([0x80 | kind, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([0x80 | kind, 0x80 | 126]) + size.to_bytes(2)
    else:
        head = bytes([0x80 | kind, 0x80 | 127]) + size.to_bytes(8)
    return head + bytes(4) + payload


async def get(end: End, path: str, **headers: Any) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection that stays open."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    await end.send_all(f"GET {path} HTTP/1.1\r\nHost: charts.example\r\n{lines}\r\n".encode())
    reader = Reader(end)
    status, fields = await reader.head()
    size = int(fields.get("content-length", "0"))
    return status, fields, await reader.body(size)
