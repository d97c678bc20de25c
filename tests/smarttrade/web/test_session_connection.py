"""Quart's application, called as an ASGI server calls it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from quart import ResponseReturnValue, Websocket, websocket
from quart_trio import QuartTrio
from trio.testing import wait_all_tasks_blocked

from smarttrade.session.actor import Client
from smarttrade.web.edge.app_queue import AppQueue
from smarttrade.web.session_connection import SessionConnection, hand_over_session

GONE: Any = {"type": "websocket.disconnect", "code": 1006}


class Server:
    """What an ASGI server knows of one WebSocket."""

    def __init__(self, app: QuartTrio, path: str = "/ws") -> None:
        self.app = app
        self.events = AppQueue(10, 65536)
        self.sent: list[Any] = []
        self.scope: Any = {
            "type": "websocket",
            "asgi": {"spec_version": "2.3", "version": "3.0"},
            "scheme": "ws",
            "http_version": "1.1",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"test"), (b"user-agent", b"x" * 500)],
            "client": None,
            "server": None,
            "state": {},
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }
        self.events.put_nowait({"type": "websocket.connect"})

    def client_sends(self, text: str | None, data: bytes | None = None) -> None:
        self.events.put_nowait({"type": "websocket.receive", "text": text, "bytes": data})

    async def run(self) -> None:
        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            self.sent.append(message)

        await self.app(self.scope, self.events.receive, send)

    @property
    def kinds(self) -> list[str]:
        return [each["type"] for each in self.sent]


def app_with(route: Callable[[], Awaitable[ResponseReturnValue | None]]) -> QuartTrio:
    app = QuartTrio(__name__)
    app.asgi_websocket_class = SessionConnection
    app.add_websocket("/ws", view_func=route)
    return app


class Session:
    """Keeps what its client sends, until it has gone; closes when it is asked to."""

    def __init__(self) -> None:
        self.received: list[str | bytes] = []
        self.quart: weakref.ref[Websocket] | None = None
        self.has_ended = False

    async def route(self) -> None:
        itself: Websocket = websocket._get_current_object()  # type: ignore[attr-defined]
        self.quart = weakref.ref(itself)
        await itself.accept()
        hand_over_session(itself, self.run)

    async def run(self, client: Client) -> None:
        try:
            while (message := await client.receive()) != "close":
                self.received.append(message)
            await client.close(1008, "as you like")
        finally:
            self.has_ended = True


async def test_session_runs_after_the_route_with_nothing_of_quart_left(
    nursery: trio.Nursery,
) -> None:
    session = Session()
    server = Server(app_with(session.route))
    nursery.start_soon(server.run)
    await wait_all_tasks_blocked()
    assert server.kinds == ["websocket.accept"]
    assert server.scope == {"path": "/ws"}
    gc.collect()
    assert session.quart is not None
    assert session.quart() is None


async def test_session_receives_text_and_bytes_in_order_and_closes(nursery: trio.Nursery) -> None:
    session = Session()
    server = Server(app_with(session.route))
    server.client_sends("early")
    server.client_sends(None, b"\x00")
    server.client_sends(None, b"")
    server.client_sends("")
    server.client_sends("close")
    nursery.start_soon(server.run)
    await wait_all_tasks_blocked()
    assert session.received == ["early", b"\x00", b"", ""]
    assert server.sent[1:] == [{"type": "websocket.close", "code": 1008, "reason": "as you like"}]


async def test_client_that_has_gone_ends_the_channel() -> None:
    session = Session()
    server = Server(app_with(session.route))
    server.client_sends("hi")
    server.events.put_nowait(GONE)
    with pytest.raises(trio.EndOfChannel):
        await server.run()
    assert session.has_ended
    assert session.received == ["hi"]


async def test_route_that_does_not_accept_answers_as_quart_does() -> None:
    async def refuse() -> ResponseReturnValue:
        return "not here", 404

    server = Server(app_with(refuse))
    await server.run()
    assert server.sent[0]["status"] == 404
    assert server.sent[1]["body"] == b"not here"
    assert "websocket.accept" not in server.kinds


async def test_path_without_a_route_is_answered_with_404() -> None:
    server = Server(app_with(Session().route), "/other")
    await server.run()
    assert server.sent[0]["status"] == 404
