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
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"late", "more_body": False})


def protocol_for(
    application: LateApplication, client: SlowClient, nursery: trio.Nursery
) -> tuple[EdgeProtocol, ServerCounters]:
    counters, budget = ServerCounters(), Budget(SessionLimits(burst=0, requests_per_second=0.01))
    edge = edge_for(ASGIWrapper(application), ServerLimits(), counters)
    stream, _ = trio.testing.memory_stream_pair()
    outbox = Outbox(stream, counters=OutboxCounters())
    guard = RequestGuard(edge, None, outbox, budget)
    peers, tasks = Peers(None, None, secure=False), AppTasks(nursery, edge)
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
