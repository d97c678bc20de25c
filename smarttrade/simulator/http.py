"""HTTP/1.1 on one connection: requests in, responses out, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import h11
import msgspec

from .transport import Transport

MAX_HEAD_SIZE = 128 * 1024  # bytes; a request for 1024 streams has a URL of about 22 KB
MAX_BODY_SIZE = 64 * 1024  # bytes

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    """By lower-case name."""

    body: bytes = b""

    def parameter(self, name: str) -> str | None:
        return next((value for key, value in self.query if key == name), None)

    @property
    def host(self) -> str:
        """The host name that was asked, without a port."""
        return urlsplit(f"//{self.headers.get('host', '')}").hostname or ""

    @property
    def wants_websocket(self) -> bool:
        return self.headers.get("upgrade", "").lower() == "websocket"


@dataclass(slots=True)
class Response:
    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=list)
    content_type: str = "application/json;charset=UTF-8"
    bytes_per_second: float | None = None
    """Where it comes in drips."""


def json_response(status: int, value: Any, headers: Headers | None = None) -> Response:
    return Response(status, msgspec.json.encode(value), headers or [])


class HttpConnection:
    """The server's side; raises `h11.RemoteProtocolError` for what is no HTTP."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_SIZE)
        self._bodiless = False

    async def receive(self) -> Request | None:
        """The next request; None when the client has left."""
        if self._protocol.our_state is h11.MUST_CLOSE:
            return None
        if self._protocol.our_state is h11.DONE:
            self._protocol.start_next_cycle()
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        self._bodiless = head.method == b"HEAD"
        body = b""
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > MAX_BODY_SIZE:
                raise h11.RemoteProtocolError("the body is too long", error_status_hint=413)
        target = urlsplit(head.target.decode("latin-1"))
        return Request(
            head.method.decode(),
            target.path,
            parse_qsl(target.query, keep_blank_values=True),
            {name.decode(): value.decode("latin-1") for name, value in head.headers},
            body,
        )

    async def respond(self, response: Response, date: str) -> None:
        """Send a response at once, or in drips."""
        headers = [
            ("Date", date),
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            *response.headers,
        ]
        head = self._protocol.send(h11.Response(status_code=response.status, headers=headers))
        data = b"" if self._bodiless else response.body
        body = self._protocol.send(h11.Data(data=data)) or b""
        end = self._protocol.send(h11.EndOfMessage()) or b""
        if response.bytes_per_second is None:
            await self._transport.send_all((head or b"") + body + end)
            return
        await self._transport.send_all(head or b"")
        await self._transport.drip(body + end, response.bytes_per_second)

    async def switch_protocols(self, headers: Headers) -> bytes:
        """Answer 101; returns what the client has sent beyond its request."""
        switch = h11.InformationalResponse(status_code=101, headers=headers, reason=b"Switching")
        await self._transport.send_all(self._protocol.send(switch) or b"")
        return self._protocol.trailing_data[0]

    async def refuse(self, problem: h11.RemoteProtocolError, date: str) -> None:
        """Report what was wrong, if the client still waits for an answer."""
        if self._protocol.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = msgspec.json.encode({"code": -1000, "msg": str(problem)})
            close = [("Connection", "close")]
            await self.respond(Response(problem.error_status_hint, body, close), date)

    async def _next_event(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(await self._transport.receive_some())
        return cast("h11.Event | type[h11.PAUSED]", event)
