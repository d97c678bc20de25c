from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from smarttrade.web.edge.app_queue import AppQueue

MAX_BYTES = 65_536


def event(number: int) -> Any:
    return text_event(str(number))


def text_event(text: str) -> Any:
    return {"type": "websocket.receive", "text": text, "bytes": None}


async def test_events_are_received_in_order() -> None:
    queue = AppQueue(3, MAX_BYTES)
    for number in range(3):
        queue.put_nowait(event(number))
    for number in range(3):
        with assert_checkpoints():
            assert await queue.receive() == event(number)


async def test_receiver_waits_for_an_event(nursery: trio.Nursery) -> None:
    queue = AppQueue(3, MAX_BYTES)
    received: list[Any] = []

    async def receive() -> None:
        while True:
            received.append(await queue.receive())

    nursery.start_soon(receive)
    for number in range(5):
        await wait_all_tasks_blocked()
        assert len(received) == number
        queue.put_nowait(event(number))
    await wait_all_tasks_blocked()
    assert received == [event(number) for number in range(5)]


async def test_full_queue_makes_the_sender_wait_until_one_is_taken(nursery: trio.Nursery) -> None:
    queue = AppQueue(1, MAX_BYTES)
    queue.put_nowait(event(0))
    with pytest.raises(trio.WouldBlock):
        queue.put_nowait(event(1))
    nursery.start_soon(queue.put, event(1))
    await wait_all_tasks_blocked()
    assert await queue.receive() == event(0)
    assert await queue.receive() == event(1)


async def test_closed_queue_takes_nothing_and_lets_its_sender_go() -> None:
    queue = AppQueue(1, MAX_BYTES)
    queue.put_nowait(event(0))
    async with trio.open_nursery() as nursery:

        async def put() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await queue.put(event(1))

        nursery.start_soon(put)
        await wait_all_tasks_blocked()
        queue.close()
    with pytest.raises(trio.BrokenResourceError):
        queue.put_nowait(event(2))


async def test_cancelled_receiver_loses_nothing(autojump_clock: MockClock) -> None:
    queue = AppQueue(1, MAX_BYTES)
    with trio.move_on_after(1):
        await queue.receive()
    queue.put_nowait(event(0))
    with trio.CancelScope() as scope:
        scope.cancel()
        await queue.receive()
    assert await queue.receive() == event(0)


@pytest.mark.parametrize(
    ("text", "fitting"), [("x" * 20_000, 3), ("x" * 70_000, 1), ("\N{GRINNING FACE}" * 8_000, 2)]
)
async def test_large_events_wait_by_the_memory_that_they_take(text: str, fitting: int) -> None:
    """A client that sends much while its application is busy would fill our memory."""
    queue = AppQueue(32, MAX_BYTES)
    for _ in range(2):
        for _ in range(fitting):
            queue.put_nowait(text_event(text))
        with pytest.raises(trio.WouldBlock):
            queue.put_nowait(text_event(text))
        for _ in range(fitting):
            assert await queue.receive() == text_event(text)


async def test_end_of_the_client_waits_for_no_memory() -> None:
    queue = AppQueue(32, MAX_BYTES)
    queue.put_nowait(text_event("x" * 70_000))
    end: Any = {"type": "websocket.disconnect"}
    queue.put_nowait(end)
    await queue.receive()
    assert await queue.receive() == end


async def test_memory_of_what_waits_is_counted_until_it_is_taken_or_dropped(
    autojump_clock: MockClock,
) -> None:
    changes: list[int] = []
    queue = AppQueue(2, MAX_BYTES, changes.append)
    large = text_event("x" * 40_000)
    queue.put_nowait(large)
    size = sum(changes)
    assert 40_000 < size < 41_000
    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(queue.put, large)
            await wait_all_tasks_blocked()
            assert sum(changes) == 2 * size
    assert sum(changes) == size
    queue.put_nowait(event(1))
    await queue.receive()
    assert 0 < sum(changes) < 100
    queue.close()
    assert sum(changes) == 0
