"""The opening handshake of a WebSocket, watched from below.

trio-websocket 0.12 waits without end when the server closes before it has answered, and when it
refuses without completing the body: it learns the status and reports it only with the last byte.
So the answer is read here too, on its way up, and both end the handshake at once.
"""

from __future__ import annotations

import h11
import trio

from .errors import StreamDown


class HandshakeStream(trio.abc.Stream):
    """Passes everything on, and raises out of `receive_some` when the server refuses.

    What it raises is a `StreamDown`, which no one below a connection's handler catches. Closing is
    left to the owner of `stream`.
    """

    def __init__(self, stream: trio.abc.Stream, host: str) -> None:
        self._stream = stream
        self._host = host
        self._answer: h11.Connection | None = _expecting_answer()
        """None as soon as the server has agreed."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            if self._answer is None:
                raise
            raise StreamDown(f"{self._host}: protocol: lost during the handshake") from error
        if self._answer is not None:
            self._check(self._answer, data)
        return data

    def _check(self, answer: h11.Connection, data: bytes | bytearray) -> None:
        try:
            answer.receive_data(bytes(data))
            while (event := answer.next_event()) is not h11.NEED_DATA:
                match event:
                    case h11.InformationalResponse(status_code=101):
                        self._answer = None
                        return
                    case h11.InformationalResponse():
                        continue
                    case h11.Response():
                        raise _refused(event)
                raise StreamDown(f"{self._host}: protocol: no answer but {event!r}")
        except h11.RemoteProtocolError as error:
            raise StreamDown(f"{self._host}: protocol: {error}") from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _expecting_answer() -> h11.Connection:
    """The client's side of HTTP, after a request to upgrade."""
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
