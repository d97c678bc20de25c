"""A WebSocket to the exchange over any Trio stream: the handshake, and a reader that never waits.

The reader splits whatever it gets at once and answers pings itself, whether or not anybody
receives. Nothing here has a time limit: whoever waits sets one, and closes the stream in the end.

Source: RFC 6455, "The WebSocket Protocol".
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import deque
from contextlib import suppress

import h11
import trio

from .frames import (
    CLOSE,
    LOST,
    PING,
    PONG,
    TEXT,
    BrokenFrame,
    Control,
    FrameReader,
    client_frame,
    close_reason,
)

READ_SIZE = 65536  # bytes; about 150 kline events
MAX_HEAD = 16 * 1024  # bytes of the handshake's answer

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HandshakeFailed(Exception):
    """The other side speaks no WebSocket."""


class HandshakeRefused(Exception):
    """It answered with `status` instead; `headers` have lower-case names."""

    def __init__(self, status: int, headers: dict[bytes, bytes]) -> None:
        super().__init__(f"handshake refused with status {status}")
        self.status = status
        self.headers = headers


class WebSocketClosed(Exception):
    """The connection has ended; the text begins with the close code."""

    @property
    def code(self) -> int:
        """Source: RFC 6455, 7.4.1."""
        return int(str(self).partition(" ")[0])


async def open_websocket(
    stream: trio.abc.Stream, host: str, target: str, *, queue: int, most_bytes: int
) -> WebSocket:
    """Shake hands; the caller owns `stream`, and has somebody run `WebSocket.read`.

    Raises:
        HandshakeRefused: the other side answers with another status.
        HandshakeFailed: it does not speak the protocol, or ended the connection.
    """
    key = base64.b64encode(os.urandom(16))
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    request = h11.Request(
        method="GET",
        target=target,
        headers=[
            (b"Host", host.encode("ascii")),
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Key", key),
            (b"Sec-WebSocket-Version", b"13"),
        ],
    )
    try:
        await stream.send_all(http.send(request) + http.send(h11.EndOfMessage()))
        answer = await _answer(stream, http)
    except (trio.BrokenResourceError, h11.RemoteProtocolError) as error:
        raise HandshakeFailed(f"{error!r}") from error
    headers = dict(answer.headers)
    if answer.status_code != 101:
        raise HandshakeRefused(answer.status_code, headers)
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    if headers.get(b"sec-websocket-accept") != base64.b64encode(digest):
        raise HandshakeFailed("wrong Sec-WebSocket-Accept")
    if b"sec-websocket-extensions" in headers:
        raise HandshakeFailed("an extension that nobody asked for")
    return WebSocket(stream, http.trailing_data[0], queue=queue, most_bytes=most_bytes)


async def _answer(
    stream: trio.abc.Stream, http: h11.Connection
) -> h11.Response | h11.InformationalResponse:
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(READ_SIZE)))
        elif isinstance(event, h11.Response):
            return event
        elif isinstance(event, h11.InformationalResponse):
            if event.status_code == 101:
                return event
        else:
            raise HandshakeFailed(f"no answer: {event!r}")


class WebSocket:
    """An open connection. `read` must be running for anything else to go on.

    `queue` messages are kept for `receive`, and what came together with the last of them; then
    nothing more is read, and no ping answered, until somebody receives.
    """

    def __init__(
        self, stream: trio.abc.Stream, begun: bytes, *, queue: int, most_bytes: int
    ) -> None:
        self._stream = stream
        self._begun = begun
        self._queue = queue
        self._frames = FrameReader(most_bytes)
        self._messages: deque[str | bytes] = deque()
        self._arrived = trio.lowlevel.ParkingLot()
        self._taken = trio.lowlevel.ParkingLot()
        self._sending = trio.Lock()
        self._pings: dict[bytes, trio.Event] = {}
        self._end: str | None = None

    async def read(self) -> None:
        """Take what the other side says until the connection has ended, then return."""
        try:
            data = self._begun or await self._stream.receive_some(READ_SIZE)
            while data:
                await self._take(bytes(data))
                while len(self._messages) > self._queue:
                    await self._taken.park()
                data = await self._stream.receive_some(READ_SIZE)
        except BrokenFrame as broken:
            self._ended(str(broken))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._ended(f"{LOST} connection lost")

    async def _take(self, data: bytes) -> None:
        for found in self._frames.feed(data):
            if not isinstance(found, Control):
                self._messages.append(found)
            elif found.opcode == PING:
                await self._send(PONG, found.payload)
            elif found.opcode == PONG:
                if (answered := self._pings.pop(found.payload, None)) is not None:
                    answered.set()
            else:
                code, reason = close_reason(found.payload)
                self._ended(f"{code} {reason}".rstrip())
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._send(CLOSE, found.payload[:2])
                return
        if self._messages:
            self._arrived.unpark_all()

    def _ended(self, why: str) -> None:
        if self._end is None:
            self._end = why
            self._arrived.unpark_all()
            for ping in self._pings.values():
                ping.set()

    async def receive(self) -> str | bytes:
        """The next message. While there is one it comes at once, without a checkpoint.

        So whatever came together goes on together.

        Raises:
            WebSocketClosed: the connection has ended, and all that came before is received.
        """
        while not self._messages:
            if self._end is not None:
                raise WebSocketClosed(self._end)
            await self._arrived.park()
        message = self._messages.popleft()
        if len(self._messages) == self._queue:
            self._taken.unpark_all()
        return message

    async def send(self, text: str) -> None:
        """Send a message. If this is cancelled, nothing more can be sent: half of it may be out.

        Raises:
            WebSocketClosed: the connection has ended.
        """
        if self._end is not None:
            raise WebSocketClosed(self._end)
        try:
            await self._send(TEXT, text.encode())
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise WebSocketClosed(f"{LOST} connection lost") from error

    async def ping(self) -> None:
        """Send a ping and wait until it is answered.

        Raises:
            WebSocketClosed: the connection has ended.
        """
        payload = os.urandom(8)
        answered = self._pings[payload] = trio.Event()
        try:
            if self._end is None:
                await self._send(PING, payload)
                await answered.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise WebSocketClosed(f"{LOST} connection lost") from error
        finally:
            self._pings.pop(payload, None)
        if self._end is not None:
            raise WebSocketClosed(self._end)

    async def _send(self, opcode: int, payload: bytes) -> None:
        async with self._sending:
            await self._stream.send_all(client_frame(opcode, payload))
