from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, assert_no_checkpoints

from smarttrade.feed.message_queue import MessageQueue


async def test_messages_pass_in_order_without_a_checkpoint() -> None:
    queue = MessageQueue(3)
    with assert_no_checkpoints():
        for text in ("one", "two", "three"):
            await queue.send(text)
        assert [await queue.receive() for _ in range(3)] == ["one", "two", "three"]


async def test_sender_waits_for_room(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    queue = MessageQueue(1)
    await queue.send("one")
    with trio.move_on_after(1) as waiting:
        await queue.send("lost")
    assert waiting.cancelled_caught
    nursery.start_soon(queue.send, "two")
    await trio.sleep(1)
    assert [await queue.receive(), await queue.receive()] == ["one", "two"]


async def test_receiver_waits_for_a_message(nursery: trio.Nursery) -> None:
    queue = MessageQueue(1)
    nursery.start_soon(queue.send, "one")
    with assert_checkpoints():
        assert await queue.receive() == "one"


async def test_closed_queue_is_received_to_its_end() -> None:
    queue = MessageQueue(2)
    async with queue:
        await queue.send("one")
    with pytest.raises(trio.ClosedResourceError):
        await queue.send("two")
    assert await queue.receive() == "one"
    with pytest.raises(trio.EndOfChannel):
        await queue.receive()


async def test_closing_ends_all_waits(autojump_clock: MockClock) -> None:
    full, empty = MessageQueue(1), MessageQueue(1)
    await full.send("one")

    async def send() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await full.send("two")

    async def receive() -> None:
        with pytest.raises(trio.EndOfChannel):
            await empty.receive()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(receive)
            await trio.sleep(1)
            await full.aclose()
            await empty.aclose()
