"""One HTTP connection, its bytes and its application given by the test."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.events import Event, RawData

from smarttrade.session.budget import Budget
from smarttrade.session.outbox import Outbox
from smarttrade.session.outbox_counters import OutboxCounters
from smarttrade.session.session_limits import SessionLimits
from smarttrade.web.edge.application import AppTasks
from smarttrade.web.edge.context import Peers, edge_for
from smarttrade.web.edge.http import EdgeProtocol
from smarttrade.web.edge.request_guard import RequestGuard
from smarttrade.web.server_limits import ServerCounters, ServerLimits
from tests.smarttrade.web.raw_client import upgrade_request

HEAD = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


class SlowClient:
    """Takes nothing before it reads."""

    def __init__(self) -> None:
        self.received = b""
        self.reads = trio.Event()

    async def send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self.reads.wait()
            self.received += event.data


class LateApplication:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.answers = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.answers.wait()
        kind = "websocket.http" if scope["type"] == "websocket" else "http"
        await send({"type": f"{kind}.response.start", "status": 200, "headers": []})
        await send({"type": f"{kind}.response.body", "body": b"late", "more_body": False})


def protocol_for(
    application: LateApplication, client: SlowClient, nursery: trio.Nursery
) -> tuple[EdgeProtocol, ServerCounters]:
    counters, budget = ServerCounters(), Budget(SessionLimits(burst=0, requests_per_second=0.01))
    edge = edge_for(ASGIWrapper(application), ServerLimits(), counters)
    stream, _ = trio.testing.memory_stream_pair()
    outbox = Outbox(stream, counters=OutboxCounters())
    guard = RequestGuard(edge, None, outbox, budget)
    peers, tasks = Peers(None, None, secure=False), AppTasks(nursery, edge, outbox)
    return EdgeProtocol(edge, tasks, outbox, peers, guard, budget, client.send), counters


@pytest.mark.parametrize(
    ("pieces", "status"),
    [([b"no chunk\r\n"], 400), ([b"2329\r\n" + bytes(9001)], 413), ([b"1\r\nx\r\n"] * 3, 429)],
)
async def test_application_that_answers_while_its_client_is_refused_is_not_sent(
    pieces: list[bytes], status: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        application, client = LateApplication(), SlowClient()
        protocol, counters = protocol_for(application, client, nursery)

        async def send() -> None:
            for piece in pieces:
                await protocol.handle(RawData(piece))

        await protocol.handle(RawData(HEAD))
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        application.answers.set()
        await trio.testing.wait_all_tasks_blocked()
        client.reads.set()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert client.received.count(b"HTTP/1.1 ") == 1
    assert client.received.startswith(b"HTTP/1.1 %d " % status)
    assert counters.failed == 0


@pytest.mark.parametrize("is_refused_first", [True, False])
async def test_handshake_is_refused_once_by_the_edge_or_by_the_application(
    is_refused_first: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """More came before the accept than is kept, while the application refuses it."""
    async with trio.open_nursery() as nursery:
        application, client = LateApplication(), SlowClient()
        protocol, counters = protocol_for(application, client, nursery)
        await protocol.handle(RawData(upgrade_request()))
        if not is_refused_first:
            application.answers.set()
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(protocol.handle, RawData(bytes(70_000)))
        await trio.testing.wait_all_tasks_blocked()
        application.answers.set()
        await trio.testing.wait_all_tasks_blocked()
        client.reads.set()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert client.received.count(b"HTTP/1.1 ") == 1
    assert client.received.startswith(b"HTTP/1.1 413 " if is_refused_first else b"HTTP/1.1 200 ")
    assert counters.failed == 0
