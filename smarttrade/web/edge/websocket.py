"""A WebSocket from its handshake to its close: Hypercorn's, bounded against hostile clients."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import h11
import trio
from hypercorn.protocol.events import Data, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.ws_stream import (
    ASGIWebsocketState,
    FrameTooLargeError,
    Handshake,
    WebsocketBuffer,
    WSStream,
)
from hypercorn.typing import ASGISendEvent, WebsocketAcceptEvent, WebsocketScope
from wsproto.events import CloseConnection, Message, Ping
from wsproto.events import Event as WebSocketEvent
from wsproto.frame_protocol import CloseReason

from ...session.budget import FRAME, FRAMES_PER_TURN, READ, Budget, Verdict
from ...session.outbox import Outbox
from .context import Edge, FloodedError, RefusedError
from .problems import problem_events

VERSION = b"13"
UPGRADE = {"Upgrade": "websocket"}
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")

# After the accept nothing asks for the handshake or the scope: a kilobyte for each client.
_ACCEPTED = Handshake([], "1.1")
_ACCEPTED.accepted = True
_NO_SCOPE = cast("WebsocketScope", {})


def asks_for_websocket(request: h11.Request) -> bool:
    tokens: dict[bytes, list[bytes]] = {b"upgrade": [], b"connection": []}
    for name, value in request.headers:
        if name in tokens:
            tokens[name] += (token.strip() for token in value.lower().split(b","))
    wants_upgrade = b"upgrade" in tokens[b"connection"]
    return request.method == b"GET" and wants_upgrade and tokens[b"upgrade"] == [b"websocket"]


def websocket_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without the extensions; what Hypercorn decodes as ASCII must be ASCII."""
    for name, value in headers:
        if not value.isascii() and (name == b"connection" or name.startswith(b"sec-websocket-")):
            raise RefusedError(400, "bad_handshake", f"{name.decode()} must be ASCII")
    found = dict(headers)
    if found.get(b"sec-websocket-version") != VERSION:  # RFC 6455, 4.4
        wanted = {"Sec-WebSocket-Version": VERSION.decode(), **UPGRADE}
        raise RefusedError(426, "websocket_version", "Sec-WebSocket-Version must be 13", wanted)
    if not _KEY.fullmatch(found.get(b"sec-websocket-key", b"")):  # RFC 6455, 4.2.1
        detail = "Sec-WebSocket-Key must be 16 bytes in base64"
        raise RefusedError(400, "bad_handshake", detail)
    if found.get(b"content-length", b"0").strip(b"0") or b"transfer-encoding" in found:
        raise RefusedError(400, "bad_handshake", "a handshake has no body")
    return [header for header in headers if header[0] != b"sec-websocket-extensions"]


class BoundedBuffer(WebsocketBuffer):
    """A message being received; refuses before it stores, and counts the memory of what it has."""

    def __init__(self, max_length: int, count: Callable[[int], object]) -> None:
        super().__init__(max_length)
        self._count = count
        self._characters = 0
        self._width = 1  # bytes for each; four for all of them when one is beyond ASCII
        self._counted = 0

    def extend(self, event: Message[Any]) -> None:
        size = _size(event.data)
        if self.length + size > self.max_length:
            raise FrameTooLargeError
        super().extend(event)
        self.length += size - len(event.data)  # Hypercorn counts characters
        if not event.message_finished:
            self._characters += len(event.data)
            if size > len(event.data):
                self._width = 4
            self._count_until(self._characters * self._width)

    def clear(self) -> None:
        super().clear()
        self._characters, self._width = 0, 1
        self._count_until(0)

    def _count_until(self, memory: int) -> None:
        if memory != self._counted:
            change, self._counted = memory - self._counted, memory
            self._count(change)


class EdgeWebSocket(WSStream):
    def __init__(
        self, edge: Edge, outbox: Outbox, budget: Budget, arguments: tuple[Any, ...]
    ) -> None:
        super().__init__(*arguments)
        self.buffer = BoundedBuffer(edge.limits.message_size, outbox.count_received)
        self._edge = edge
        self._outbox = outbox
        self._budget = budget
        self._early = b""
        self._is_refused = False  # before the accept, by us or the application
        self._early_handled: trio.Event | None = None  # there only while the application's task
        # handles what came early, and the reader waits with what came after it

    async def handle(self, event: StreamEvent) -> None:
        if not isinstance(event, Data) or self.closed:
            await super().handle(event)
        elif self.handshake.accepted:
            await self._receive(event.data)
        elif not self._is_refused:
            await self._keep_early(event.data)

    async def _keep_early(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > self._edge.limits.message_size:
            self._edge.counters.oversized_messages += 1
            await self._send_error_response(413)
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def _accept(self, message: WebsocketAcceptEvent) -> None:
        early, self._early = self._early, b""
        if early:
            self._early_handled = trio.Event()
        try:
            await super()._accept(message)
            self.handshake, self.scope = _ACCEPTED, _NO_SCOPE
            if early:
                self.connection.receive_data(early)
                await self._handle_events()
        finally:
            if self._early_handled is not None:
                self._early_handled.set()
                self._early_handled = None

    async def _receive(self, data: bytes) -> None:
        if self._early_handled is not None:
            await self._early_handled.wait()
        if not self.closed and await self._pays(READ):
            await self._budget.take_turn()
            self.connection.receive_data(data)
            await self._handle_events()

    async def _send_error_response(self, status_code: int) -> None:
        self._is_refused = True
        self.state = ASGIWebsocketState.HTTPCLOSED  # the application may answer meanwhile
        for event in problem_events(status_code, self.stream_id):
            await self.send(event)

    async def _handle_events(self) -> None:
        for number, event in enumerate(self.connection.events(), 1):
            if number % FRAMES_PER_TURN == 0:
                await self._budget.take_turn()
            if self.closed or not await self._pays(FRAME):
                return
            match event:
                case Message():
                    await self._handle_message(event)
                case Ping():
                    await self._send_wsproto_event(event.response())
                case CloseConnection():
                    await self._send_wsproto_event(event.response())
                    await self.send(StreamClosed(stream_id=self.stream_id))

    async def _pays(self, cost: float) -> bool:
        """Whether the client may cause this; its session ends if not."""
        verdict = self._budget.spend_piece(trio.current_time(), cost)
        if verdict is Verdict.PAID:
            return True
        self._edge.counters.flooding += 1
        is_flooding = verdict is Verdict.FLOODING
        await self._end(
            CloseReason.POLICY_VIOLATION if is_flooding else CloseReason.TRY_AGAIN_LATER,
            "too many frames" if is_flooding else "too much from your address",
        )
        return False

    async def _handle_message(self, event: Message[Any]) -> None:
        try:
            self.buffer.extend(event)
            if event.message_finished:
                message = self.buffer.to_message()
                self.buffer.clear()
                assert self.app_put is not None
                await self.app_put(message)
        except FrameTooLargeError:
            await self._end(CloseReason.MESSAGE_TOO_BIG)
        except FloodedError:
            await self._end(CloseReason.POLICY_VIOLATION)

    async def _end(self, code: CloseReason, reason: str | None = None) -> None:
        if code is CloseReason.MESSAGE_TOO_BIG:
            self._edge.counters.oversized_messages += 1
        await self._send_wsproto_event(CloseConnection(code=code, reason=reason))
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_wsproto_event(self, event: WebSocketEvent) -> None:
        if isinstance(event, CloseConnection):
            self._outbox.finish()
        await super()._send_wsproto_event(event)

    async def app_send(self, message: ASGISendEvent | None) -> None:
        is_over = message is not None and self.state is ASGIWebsocketState.HTTPCLOSED
        if self.closed or is_over:  # a loop that sends to no client must let the others run
            await trio.lowlevel.checkpoint()
        else:
            if message is not None and message["type"] == "websocket.http.response.start":
                self._is_refused = True
            await super().app_send(message)


def _size(data: str | bytes | bytearray) -> int:
    if isinstance(data, str) and not data.isascii():
        return len(data.encode())
    return len(data)
