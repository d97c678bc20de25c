"""A WebSocket as Quart serves its handshake and a session the rest.

Quart keeps a task, a queue and a copy of the headers for each WebSocket while its route runs: 16 KB
for a client that may be there for days. So the routes end with the accept and leave a session to be
run; then nothing of Quart is left, and the session reads what the client sends in the same task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope
from quart import Websocket
from quart.asgi import ASGIWebsocketConnection
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIWebsocketConnection
from werkzeug.datastructures import Headers

from ..session.actor import Client

Session = Callable[[Client], Awaitable[None]]

_SESSION = "session"  # in the state of a scope


def hand_over_session(websocket: Websocket, session: Session) -> None:
    """Have `session` run with the client once the route has returned; it has been accepted."""
    websocket.scope["state"][_SESSION] = session


class SessionConnection(TrioASGIWebsocketConnection):
    """For `QuartTrio.asgi_websocket_class`."""

    def __init__(self, app: QuartTrio, scope: WebsocketScope) -> None:
        self.app = app
        self.scope = scope
        self._accepted = False
        self._closed = False
        self.receive_channel = cast("Any", _NoMessages)  # a memory channel in the base class

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        websocket = self._create_websocket_from_scope(send)
        await ASGIWebsocketConnection.handle_websocket(self, websocket, send)
        del websocket
        session: Session | None = self.scope["state"].pop(_SESSION, None)
        if session is not None:
            self._shrink_scope()
            await session(AsgiClient(receive, send))

    async def accept_connection(
        self, send: ASGISendCallable, headers: Headers, subprotocol: str | None
    ) -> None:
        await super().accept_connection(send, headers, subprotocol)
        self._closed = True  # by the session, and not by Quart when the route has returned

    def _shrink_scope(self) -> None:
        """Hypercorn's callers hold it as long as the session lasts; its path is for the log."""
        path = self.scope["path"]
        scope = cast("dict[str, Any]", self.scope)
        scope.clear()
        scope["path"] = path


class _NoMessages:
    @staticmethod
    async def receive() -> str:
        raise RuntimeError("what the client sends is for the session")


class AsgiClient:
    """A client as the session actor sees it, over ASGI."""

    __slots__ = ("_receive", "_send")

    def __init__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        self._receive = receive
        self._send = send

    async def receive(self) -> str | bytes:
        """See `Client`."""
        while True:
            event = await self._receive()
            if event["type"] == "websocket.receive":
                text = event.get("text")
                return (event.get("bytes") or b"") if text is None else text
            if event["type"] == "websocket.disconnect":
                raise trio.EndOfChannel("the client has gone")

    async def close(self, code: int, reason: str) -> None:
        """See `Client`."""
        await self._send({"type": "websocket.close", "code": code, "reason": reason})
