from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from smarttrade.session.frame_queue import ClosedReason
from smarttrade.session.outbox import Outbox
from smarttrade.session.outbox_counters import OutboxCounters
from tests.fakes.outboxes import run
from tests.smarttrade.session.stream_clients import (
    CLIENTS,
    Client,
    SocketClient,
    batch,
    frame,
    outbox_for,
    stuck,
    texts,
)

# Hypercorn's writes beside ours


@pytest.mark.parametrize("kind", CLIENTS)
async def test_writes_of_several_tasks_do_not_interleave(
    kind: type[Client], nursery: trio.Nursery
) -> None:
    client = kind(room=0)
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    for name in ("ping", "body"):
        nursery.start_soon(outbox.send_all, frame(name, size=300)[1])
    outbox.post(batch(frame("a", 1, size=200)))
    for _ in range(90):
        await wait_all_tasks_blocked()
        client.read(10)
    await wait_all_tasks_blocked()

    assert sorted(texts(client)) == ["a1", "body", "ping"]


async def test_send_all_returns_when_its_bytes_are_written_and_not_later(
    nursery: trio.Nursery,
) -> None:
    client = stuck()
    outbox = outbox_for(client)
    outbox.post(batch(frame("a", 1)))
    written = trio.Event()

    async def write() -> None:
        await outbox.send_all(frame("p")[1])
        written.set()

    nursery.start_soon(write)
    await wait_all_tasks_blocked()
    outbox.post(batch(frame("a", 2)))
    client.read(7)
    await wait_all_tasks_blocked()

    assert written.is_set()
    assert texts(client) == ["a1", "p"]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_cancelled_write_is_finished_by_the_next(
    kind: type[Client], nursery: trio.Nursery
) -> None:
    client = kind(room=3)
    outbox = outbox_for(client)
    scope = trio.CancelScope()

    async def write() -> None:
        with scope:
            await outbox.send_all(frame("first")[1])

    nursery.start_soon(write)
    await wait_all_tasks_blocked()
    scope.cancel()
    await wait_all_tasks_blocked()
    nursery.start_soon(outbox.send_all, frame("second")[1])
    await wait_all_tasks_blocked()
    client.read()
    await wait_all_tasks_blocked()

    assert texts(client) == ["first", "second"]


async def test_a_cancelled_writer_loses_nothing(nursery: trio.Nursery) -> None:
    client = SocketClient(room=1)
    outbox = outbox_for(client)
    outbox.post(batch(frame("a", 1), frame("b", 1)))
    with trio.move_on_after(0):
        await run(outbox)

    client.read()
    nursery.start_soon(run, outbox)
    await wait_all_tasks_blocked()

    assert texts(client) == ["a1", "b1"]


async def test_the_end_of_our_half_comes_after_what_is_pending() -> None:
    client = stuck()
    outbox = outbox_for(client)
    outbox.post(batch(frame("a", 1)))
    client.read()

    await outbox.send_eof()
    outbox.post(batch(frame("a", 2)))

    assert texts(client) == ["a1"]
    assert client.ended


def post_to(outbox: Outbox) -> None:
    outbox.post(batch(frame("a", 1)))


def post_once_to(outbox: Outbox) -> None:
    outbox.post_once(frame("a", 1)[1])


# The end


@pytest.mark.parametrize("post", [post_to, post_once_to])
@pytest.mark.parametrize("kind", CLIENTS)
async def test_posts_after_the_end_do_nothing(
    post: Callable[[Outbox], None], kind: type[Client]
) -> None:
    client, counters = kind(), OutboxCounters()
    outbox = outbox_for(client, counters)
    await outbox.aclose()

    post(outbox)

    assert (client.received, outbox.pending_bytes, counters.messages) == (b"", 0, 0)
    assert await run(outbox) is ClosedReason.FINISHED


@pytest.mark.parametrize("post", [post_to, post_once_to])
async def test_a_post_to_a_broken_socket_ends_the_outbox_quietly(
    post: Callable[[Outbox], None], nursery: trio.Nursery
) -> None:
    client, counters = SocketClient(), OutboxCounters()
    outbox = outbox_for(client, counters)
    client.closed = True

    post(outbox)
    post(outbox)

    assert await run(outbox) is ClosedReason.FAILED
    assert counters.failed == 1
    with pytest.raises(trio.ClosedResourceError):
        await outbox.send_all(b"late")


@pytest.mark.parametrize("kind", CLIENTS)
async def test_closing_wakes_the_writer(kind: type[Client], nursery: trio.Nursery) -> None:
    outbox = outbox_for(kind(room=0))

    async def write() -> None:
        with pytest.raises((trio.ClosedResourceError, trio.BrokenResourceError)):
            await outbox.send_all(b"hello")

    async with trio.open_nursery() as writers:
        writers.start_soon(run, outbox)
        writers.start_soon(write)
        await wait_all_tasks_blocked()
        await outbox.aclose()


class SocketClientClosedMeanwhile(SocketClient):
    """Takes bytes, and its connection is closed before the writer has heard of it."""

    outbox: Outbox

    async def send_some(self, data: memoryview) -> int:
        taken = await super().send_some(data)
        await self.outbox.aclose()
        return taken


# At the borders


async def test_write_that_ends_after_the_outbox_was_closed_raises() -> None:
    client, counters = SocketClientClosedMeanwhile(room=0), OutboxCounters()
    outbox = client.outbox = outbox_for(client, counters)
    outbox.post_once(frame("a", 1)[1])
    client.read()

    with pytest.raises(trio.ClosedResourceError):
        await outbox.send_all(frame("b", 1)[1])

    assert outbox.pending_bytes == 0
    assert texts(client) == ["a1"]
    assert counters.bytes == len(client.received)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_outbox_that_is_closed_during_a_write_was_not_broken_by_the_client(
    kind: type[Client],
) -> None:
    counters = OutboxCounters()
    outbox = outbox_for(kind(room=0), counters)

    async def write() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await outbox.send_all(b"hello")

    async with trio.open_nursery() as writers:
        writers.start_soon(write)
        await wait_all_tasks_blocked()
        await outbox.aclose()
    assert outbox.closed_reason is ClosedReason.FINISHED
    assert (counters.failed, counters.evicted) == (0, 0)
