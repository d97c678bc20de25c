from __future__ import annotations

from typing import Any, cast

import pytest
import trio
from hypercorn.protocol.ws_stream import FrameTooLargeError
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.events import TextMessage

from smarttrade.session.outbox import Outbox
from smarttrade.session.outbox_counters import OutboxCounters
from smarttrade.session.waiting_bytes import WaitingBytes
from smarttrade.web.edge.app_queue import AppQueue
from smarttrade.web.edge.application import AppTask, AppTasks
from smarttrade.web.edge.context import Edge, FloodedError, edge_for
from smarttrade.web.edge.websocket import BoundedBuffer
from smarttrade.web.server_limits import ServerCounters, ServerLimits

MESSAGE: Any = {"type": "websocket.receive", "text": "hi", "bytes": None}
GONE: Any = {"type": "websocket.disconnect", "code": 1006}


class NonReadingApplication:
    """An application that takes nothing, until it receives the disconnect or is cancelled."""

    def __init__(self) -> None:
        self.end = trio.Event()
        self.cancelled_at: float | None = None
        self.final_send = trio.Event()
        self.has_sent = False

    async def __call__(self, *_: object) -> None:
        try:
            await self.end.wait()
        except trio.Cancelled:
            self.cancelled_at = trio.current_time()
            raise

    async def send(self, message: object) -> None:
        assert message is None
        await self.final_send.wait()
        self.has_sent = True


def edge(app: NonReadingApplication) -> Edge:
    limits = ServerLimits(app_queue=3, app_timeout=5)
    return edge_for(cast("Any", app), limits, ServerCounters())


def started(app: NonReadingApplication, nursery: trio.Nursery) -> AppTask:
    task = AppTask(edge(app), AppQueue(3, 65_536))
    nursery.start_soon(task.run, cast("Any", app), cast("Any", {}), app.send)
    return task


async def test_an_application_that_takes_nothing_is_cancelled_after_its_patience(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    app = NonReadingApplication()
    task = started(app, nursery)
    for _ in range(3):
        await task.put(MESSAGE)
    assert trio.current_time() == 0

    with pytest.raises(FloodedError):
        await task.put(MESSAGE)

    app.final_send.set()
    await wait_all_tasks_blocked()
    assert app.cancelled_at == 5
    assert app.has_sent


async def test_an_application_has_a_while_to_end_after_its_client(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    app = NonReadingApplication()
    await started(app, nursery).put(GONE)
    await trio.sleep(100)
    assert app.cancelled_at == 5
    app.final_send.set()


async def test_with_its_queue_full_it_has_none(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    app = NonReadingApplication()
    task = started(app, nursery)
    for _ in range(3):
        await task.put(MESSAGE)
    await task.put(GONE)
    await wait_all_tasks_blocked()
    assert app.cancelled_at == 0
    app.final_send.set()


async def test_an_application_that_ended_blocks_no_sender(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Even while its final send waits for the client."""
    app = NonReadingApplication()
    task = started(app, nursery)
    app.end.set()
    await wait_all_tasks_blocked()
    for _ in range(100):
        await task.put(MESSAGE)
    assert trio.current_time() == 0
    app.final_send.set()


async def test_messages_that_an_application_does_not_take_count_as_memory(
    nursery: trio.Nursery,
) -> None:
    app, memory = NonReadingApplication(), WaitingBytes(1_000_000)
    stream, _ = trio.testing.memory_stream_pair()
    outbox = Outbox(stream, counters=OutboxCounters(), memory=memory)
    tasks = AppTasks(nursery, edge(app), outbox)
    put = await tasks.spawn_app(
        cast("Any", app), edge(app).config, cast("Any", {}), cast("Any", app.send)
    )
    large: Any = {"type": "websocket.receive", "text": "x" * 40_000, "bytes": None}
    await put(large)
    assert 40_000 < memory.total < 41_000
    app.final_send.set()
    app.end.set()
    await wait_all_tasks_blocked()
    assert memory.total == 0


def test_a_message_that_is_too_long_is_not_stored() -> None:
    buffer = BoundedBuffer(10, lambda _: None)
    buffer.extend(TextMessage("€€", message_finished=False))
    with pytest.raises(FrameTooLargeError):
        buffer.extend(TextMessage("12345"))
    assert buffer.to_message()["text"] == "€€"
