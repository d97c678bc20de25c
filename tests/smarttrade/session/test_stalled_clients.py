"""How long a write to a client may take, by how the client reads."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import smarttrade.session.transport as transport_module
from smarttrade.session.frame_queue import ClosedReason
from smarttrade.session.outbox_counters import OutboxCounters
from tests.fakes.outboxes import run
from tests.smarttrade.session.stream_clients import (
    CLIENTS,
    STALL_LIMIT,
    Client,
    batch,
    frame,
    outbox_for,
    stuck,
    texts,
)


async def test_a_client_that_takes_nothing_is_cut_off_after_the_stall_limit(
    autojump_clock: MockClock,
) -> None:
    client, counters = stuck(), OutboxCounters()
    outbox = outbox_for(client, counters)
    outbox.post(batch(frame("a", 1)))

    assert await run(outbox) is ClosedReason.STALLED

    assert trio.current_time() == STALL_LIMIT
    assert client.closed
    assert (counters.evicted, outbox.pending_bytes) == (1, 0)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_write_shielded_from_cancellation_ends_after_the_stall_limit(
    kind: type[Client], autojump_clock: MockClock
) -> None:
    outbox = outbox_for(kind(room=0))
    with trio.CancelScope() as scope:
        scope.cancel()
        with trio.CancelScope(shield=True), pytest.raises(trio.BrokenResourceError):
            await outbox.send_all(b"closing")

    assert trio.current_time() == STALL_LIMIT
    assert outbox.closed_reason is ClosedReason.STALLED


@pytest.mark.parametrize("kind", CLIENTS)
async def test_every_writer_behind_a_stalled_write_gets_the_error(
    kind: type[Client], autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    outbox = outbox_for(kind(room=0))
    ends: list[float] = []

    async def write() -> None:
        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            await outbox.send_all(b"closing")
        ends.append(trio.current_time())

    async with trio.open_nursery() as writers:
        for _ in range(3):
            writers.start_soon(write)

    assert ends == [STALL_LIMIT] * 3


async def test_a_client_that_reads_a_little_now_and_then_is_served(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    client, counters = stuck(), OutboxCounters()
    outbox = outbox_for(client, counters)
    nursery.start_soon(run, outbox)
    outbox.post(batch(frame("a", 1, size=5000)))
    for _ in range(6):
        await trio.sleep(29)
        client.read(1000)
    await wait_all_tasks_blocked()

    assert texts(client) == ["a1"]
    assert counters.evicted == 0


async def test_a_client_whose_kernel_acknowledges_is_not_stalled(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux calls a socket writable only when much of its buffer is free."""
    held = iter([500_000, 400_000, 300_000, 300_000])
    monkeypatch.setattr(transport_module, "_unread", lambda _: next(held))
    outbox = outbox_for(stuck())
    outbox.post(batch(frame("a", 1)))

    assert await run(outbox) is ClosedReason.STALLED

    assert trio.current_time() == 3 * STALL_LIMIT


async def test_a_finished_outbox_has_one_stall_limit_for_what_is_pending(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Reading a little now and then does not keep a session that is over."""
    client, counters = stuck(), OutboxCounters()
    outbox = outbox_for(client, counters)
    outbox.post(batch(frame("a", 1, size=5000)))
    outbox.finish()
    nursery.start_soon(partial(read_now_and_then, client, every=10, size=100))

    with pytest.raises(trio.BrokenResourceError):
        await outbox.send_all(b"closing")

    assert trio.current_time() == STALL_LIMIT
    assert counters.evicted == 1
    nursery.cancel_scope.cancel()


async def read_now_and_then(client: Client, *, every: float, size: int) -> None:
    while True:
        await trio.sleep(every)
        client.read(size)
