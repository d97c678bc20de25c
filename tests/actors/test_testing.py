import random

import trio
import trio.testing
from trio.testing import MockClock

from actors.testing import crash, seeded_scheduler, tasks_below

Trace = tuple[tuple[str, int, int], ...]


async def pass_messages() -> Trace:
    """Several senders and receivers that become ready at the same times."""
    trace: list[tuple[str, int, int]] = []
    send, receive = trio.open_memory_channel[int](2)

    async def produce(sender: int) -> None:
        for number in range(3):
            await trio.sleep(1)
            await send.send(number)
            trace.append(("sent", sender, number))

    async def consume(receiver: int) -> None:
        while True:
            trace.append(("received", receiver, await receive.receive()))

    with trio.move_on_after(10):
        async with trio.open_nursery() as nursery:
            for sender in range(3):
                nursery.start_soon(produce, sender)
                nursery.start_soon(consume, sender)
    return tuple(trace)


def run(seed: int) -> Trace:
    with seeded_scheduler(seed):
        return trio.run(pass_messages, clock=MockClock(autojump_threshold=0))


def test_same_seed_gives_the_same_order() -> None:
    assert run(7) == run(7)


def test_seeds_give_different_orders() -> None:
    assert len({run(seed) for seed in range(50)}) > 25


def test_jitter_is_seeded_and_the_state_of_random_is_restored() -> None:
    before = random.getstate()
    with seeded_scheduler(1):
        first = random.random()
    assert random.getstate() == before
    with seeded_scheduler(1):
        assert random.random() == first


async def test_works_inside_a_running_test(autojump_clock: MockClock) -> None:
    with seeded_scheduler(3):
        first = await pass_messages()
    with seeded_scheduler(3):
        assert await pass_messages() == first


async def test_crash_raises_where_a_task_waits() -> None:
    seen: list[BaseException] = []

    async def wait(task_status: trio.TaskStatus[trio.lowlevel.Task]) -> None:
        task_status.started(trio.lowlevel.current_task())
        try:
            await trio.sleep_forever()
        except RuntimeError as error:
            seen.append(error)

    async with trio.open_nursery() as nursery:
        task = await nursery.start(wait)
        await trio.testing.wait_all_tasks_blocked()
        error = RuntimeError("on purpose")
        assert crash(task, error)
        assert not crash(task, error)  # it does not wait any more
    assert seen == [error]


async def test_a_task_cannot_crash_itself() -> None:
    assert not crash(trio.lowlevel.current_task(), RuntimeError())


async def test_tasks_below_are_those_of_all_nurseries() -> None:
    async with trio.open_nursery() as outer:
        outer.start_soon(trio.sleep_forever, name="first")
        async with trio.open_nursery() as inner:
            inner.start_soon(trio.sleep_forever, name="second")
            here = trio.lowlevel.current_task()
            assert [task.name for task in tasks_below(here)][1:] == ["first", "second"]
            inner.cancel_scope.cancel()
        outer.cancel_scope.cancel()
