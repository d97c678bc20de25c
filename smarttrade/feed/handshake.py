"""The transport of a WebSocket, which reads the opening handshake and counts what is sent.

trio-websocket 0.12 waits without limit when the server closes before it has answered, and when it
refuses without completing the body: it keeps the status until the last byte. So the response is
parsed here as well, below trio-websocket, and either of them ends the handshake at once.
"""

from __future__ import annotations

import h11
import trio

from .errors import StreamDown
from .send_limiter import SendLimiter

PONG = b"\x8a"
"""The first byte of a pong: FIN and opcode 0xA. Source: RFC 6455, 5.2."""


class HandshakeStream(trio.abc.Stream):
    """Passes everything on; `receive_some` raises `StreamDown` when the server refuses.

    trio-websocket does not catch it. `limiter` is given the frames that are sent after the
    handshake, pongs included, which trio-websocket sends by itself. Owns `stream`.
    """

    def __init__(self, stream: trio.abc.Stream, host: str, limiter: SendLimiter | None) -> None:
        self._stream = stream
        self._host = host
        self._limiter = limiter
        self._response: h11.Connection | None = _awaiting_response()
        """None as soon as the server has accepted."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            if self._response is None:
                raise
            raise StreamDown(f"{self._host}: protocol: lost during the handshake") from error
        if self._response is not None:
            self._check(self._response, data)
        return data

    def _check(self, response: h11.Connection, data: bytes | bytearray) -> None:
        try:
            response.receive_data(bytes(data))
            while (event := response.next_event()) is not h11.NEED_DATA:
                match event:
                    case h11.InformationalResponse(status_code=101):
                        self._response = None
                        return
                    case h11.InformationalResponse():
                        continue
                    case h11.Response():
                        raise _refused(event)
                raise StreamDown(f"{self._host}: protocol: not a response: {event!r}")
        except h11.RemoteProtocolError as error:
            raise StreamDown(f"{self._host}: protocol: {error}") from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send one frame: trio-websocket calls this once for each."""
        if self._limiter is not None and self._response is None:
            self._limiter.record(trio.current_time(), is_pong=data[:1] == PONG)
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _awaiting_response() -> h11.Connection:
    """The client's side of HTTP, after it has requested an upgrade."""
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", ""), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
    connection.send(h11.Request(method="GET", target="/", headers=headers))
    connection.send(h11.EndOfMessage())
    return connection


def _refused(response: h11.Response) -> StreamDown:
    down = StreamDown(f"handshake refused with status {response.status_code}")
    down.status = response.status_code
    retry_after = dict(response.headers).get(b"retry-after", b"")
    if retry_after.isdigit() and len(retry_after) < 10:
        down.retry_after = float(retry_after)
    return down
