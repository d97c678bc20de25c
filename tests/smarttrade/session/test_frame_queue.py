from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from smarttrade.session.frame_queue import ClosedReason
from smarttrade.session.outbox import Outbox
from smarttrade.session.outbox_counters import OutboxCounters
from smarttrade.session.waiting_bytes import WaitingBytes
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

# The hot path


async def test_frames_to_an_idle_socket_go_out_at_once() -> None:
    client, counters = SocketClient(), OutboxCounters()
    outbox = outbox_for(client, counters)

    outbox.post(batch(frame("a", 1), frame("b", 1)))

    assert texts(client) == ["a1", "b1"]
    assert outbox.pending_bytes == 0
    assert (counters.messages, counters.bytes) == (2, len(client.received))


async def test_without_a_socket_frames_wait_for_the_writer(nursery: trio.Nursery) -> None:
    client = Client()
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    await wait_all_tasks_blocked()

    outbox.post(batch(frame("a", 1)))
    assert texts(client) == []
    await wait_all_tasks_blocked()

    assert texts(client) == ["a1"]


async def test_a_slow_client_gets_only_the_newest_state_of_each_candle(
    nursery: trio.Nursery,
) -> None:
    client, counters = stuck(), OutboxCounters()
    outbox = outbox_for(client, counters)
    nursery.start_soon(run, outbox)
    for state in range(5):
        outbox.post(batch(frame("a", state), frame("b", state)))
    outbox.post(batch(frame("c", 0)))

    client.read()
    await wait_all_tasks_blocked()

    assert texts(client) == ["a4", "b4", "c0"]
    assert counters.conflated == 8
    assert outbox.pending_bytes == 0


async def test_the_rest_of_a_frame_that_has_begun_goes_first(nursery: trio.Nursery) -> None:
    client = SocketClient(room=6)  # one frame of four bytes, half of the next
    outbox = outbox_for(client)
    outbox.post(batch(frame("a", 1), frame("b", 1), frame("c", 1)))
    outbox.post(batch(frame("b", 2), frame("c", 2)))

    nursery.start_soon(run, outbox)
    client.read()
    await wait_all_tasks_blocked()

    assert texts(client) == ["a1", "b1", "c2", "b2"]


async def test_there_is_a_writer_only_while_something_is_pending(nursery: trio.Nursery) -> None:
    client = stuck()
    outbox = outbox_for(client)
    outbox.write_in(nursery)
    before = len(nursery.child_tasks)
    for state in (1, 2):
        outbox.post(batch(frame("a", state)))
        assert len(nursery.child_tasks) == before + 1
    client.read()
    await wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == before
    outbox.post(batch(frame("a", 3)))
    assert len(nursery.child_tasks) == before
    assert texts(client)[-1] == "a3"


async def test_an_end_is_reported_once_and_at_once_when_it_has_come() -> None:
    outbox, reported = outbox_for(Client()), list[ClosedReason]()
    outbox.report_end(reported.append)
    outbox.finish()
    await outbox.aclose()
    assert reported == [ClosedReason.FINISHED]
    outbox.report_end(reported.append)
    assert reported == [ClosedReason.FINISHED] * 2


async def test_a_client_that_caught_up_gets_frames_at_once_again(nursery: trio.Nursery) -> None:
    client = stuck()
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    outbox.post(batch(frame("a", 1)))
    client.read()
    await wait_all_tasks_blocked()

    outbox.post(batch(frame("a", 2)))

    assert texts(client) == ["a1", "a2"]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_what_is_posted_once_stays_between_what_came_before_and_after(
    kind: type[Client], nursery: trio.Nursery
) -> None:
    client = kind(room=0)
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    outbox.post(batch(frame("a", 1)))
    await wait_all_tasks_blocked()
    outbox.post_once(frame("snapshot")[1])
    outbox.post(batch(frame("a", 2)))
    outbox.post(batch(frame("a", 3)))
    outbox.post_once(frame("pong")[1])

    client.read()
    await wait_all_tasks_blocked()

    assert texts(client) == ["a1", "snapshot", "a3", "pong"]


async def test_client_that_is_not_behind_gets_every_state(nursery: trio.Nursery) -> None:
    """Without a socket of its own a post waits for the writer's turn: that is not being slow."""
    client = Client(room=10_000)
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    await wait_all_tasks_blocked()
    for state in (1, 2, 3):
        outbox.post(batch(frame("a", state)))
    client.read()
    await wait_all_tasks_blocked()
    assert texts(client) == ["a1", "a2", "a3"]


async def test_answers_are_written_once_the_client_took_them_all(nursery: trio.Nursery) -> None:
    """Candles that come meanwhile are not waited for."""
    client = stuck()
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    await outbox.written()
    outbox.post_once(frame("snapshot", size=100)[1])
    done = trio.Event()

    async def wait() -> None:
        await outbox.written()
        done.set()

    nursery.start_soon(wait)
    for _ in range(101):
        await wait_all_tasks_blocked()
        assert not done.is_set()
        outbox.post(batch(frame("a", size=100)))
        client.read(1)
    client.read(1)
    await wait_all_tasks_blocked()
    assert done.is_set()


@pytest.mark.parametrize("end", [Outbox.finish, Outbox.overflow])
async def test_answers_are_not_waited_for_after_the_end(
    end: Callable[[Outbox], None], nursery: trio.Nursery
) -> None:
    outbox = outbox_for(stuck())
    outbox.post_once(frame("snapshot")[1])
    async with trio.open_nursery() as waiting:
        waiting.start_soon(outbox.written)
        await wait_all_tasks_blocked()
        end(outbox)


# Too much pending


async def test_too_much_pending_ends_the_outbox_and_leaves_room_for_a_closing(
    nursery: trio.Nursery,
) -> None:
    client, counters = SocketClient(room=5), OutboxCounters()
    outbox = outbox_for(client, counters, max_pending_bytes=1000)
    outbox.post(batch(frame("begun", size=100), frame("b", 1, size=100)))
    for number in range(10):
        outbox.post_once(frame("once", number, size=100)[1])

    assert await run(outbox) is ClosedReason.OVERFLOWED
    assert counters.overflowed == 1
    assert outbox.pending_bytes < 110
    outbox.post(batch(frame("late")))
    client.read()
    await outbox.send_all(frame("closing")[1])

    assert texts(client) == ["begun", "closing"]


async def test_newer_states_do_not_add_up_to_too_much(nursery: trio.Nursery) -> None:
    outbox = outbox_for(stuck(), max_pending_bytes=1000)
    for state in range(100):
        outbox.post(batch(frame("a", state, size=400), frame("b", state, size=400)))

    assert outbox.closed_reason is None
    assert outbox.pending_bytes < 1000


async def test_a_session_may_give_up_on_its_client(nursery: trio.Nursery) -> None:
    client = stuck()
    outbox = outbox_for(client)
    outbox.post(batch(frame("a", 1)))

    outbox.overflow()

    assert await run(outbox) is ClosedReason.OVERFLOWED
    assert outbox.pending_bytes == 0


# At the borders


async def test_candles_alone_that_are_too_much_end_the_outbox() -> None:
    """Each of another key, so none takes another's place."""
    outbox = outbox_for(stuck(), counters := OutboxCounters(), max_pending_bytes=400)
    outbox.post(batch(frame("a", size=98), frame("b", size=98)))
    outbox.post(batch(frame("c", size=98), frame("d", size=98)))
    assert (outbox.pending_bytes, outbox.closed_reason) == (400, None)

    outbox.post(batch(frame("e")))

    assert await run(outbox) is ClosedReason.OVERFLOWED
    assert (outbox.pending_bytes, counters.overflowed) == (0, 1)


async def test_answers_that_are_as_much_as_may_be_pending_do_not_end_the_outbox() -> None:
    outbox = outbox_for(stuck(), max_pending_bytes=200)
    outbox.post_once(frame("a", size=98)[1])
    outbox.post_once(frame("b", size=98)[1])
    assert (outbox.pending_bytes, outbox.closed_reason) == (200, None)


async def test_wait_for_room_ends_only_after_the_write_before_it(nursery: trio.Nursery) -> None:
    client = Client(room=0)
    outbox = outbox_for(client)
    done: list[str] = []

    async def write() -> None:
        await outbox.send_all(b"hello")
        done.append("written")

    async def wait() -> None:
        await outbox.wait_send_all_might_not_block()
        done.append("room")

    nursery.start_soon(write)
    await wait_all_tasks_blocked()
    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert done == []
    client.read()
    await wait_all_tasks_blocked()
    assert sorted(done) == ["room", "written"]


async def test_client_whose_own_messages_take_most_memory_is_closed_first() -> None:
    memory = WaitingBytes(100_000)
    reasons: list[ClosedReason] = []
    outboxes = [Outbox(Client(), counters=OutboxCounters(), memory=memory) for _ in range(3)]
    for outbox in outboxes:
        outbox.report_end(reasons.append)
    for outbox, size in zip(outboxes, (20_000, 60_000, 30_000), strict=True):
        outbox.count_received(size)
    assert [outbox.closed_reason for outbox in outboxes] == [None, ClosedReason.OVERFLOWED, None]
    assert reasons == [ClosedReason.OVERFLOWED]
    assert memory.total == 50_000
    outboxes[1].count_received(-60_000)  # what it sent is dropped now
    outboxes[0].count_received(-20_000)
    assert memory.total == 30_000
    for outbox in outboxes:
        await outbox.aclose()
    assert memory.total == 0


async def test_what_was_received_goes_along_to_the_memory_of_another_address() -> None:
    proxy, address = WaitingBytes(100_000), WaitingBytes(100_000)
    outbox = Outbox(Client(), counters=OutboxCounters(), memory=proxy)
    outbox.count_received(5)
    outbox.count_for(address)
    assert (proxy.total, address.total) == (0, 5)
    outbox.count_received(-5)
    assert (proxy.total, address.total) == (0, 0)
    await outbox.aclose()
