import random

import trio
from trio.testing import MockClock

from actors.testing import seeded_scheduler

Trace = tuple[tuple[str, int, int], ...]


async def chatter() -> Trace:
    """Several senders and receivers that are all ready at the same moments."""
    trace: list[tuple[str, int, int]] = []
    send, receive = trio.open_memory_channel[int](2)

    async def produce(who: int) -> None:
        for number in range(3):
            await trio.sleep(1)
            await send.send(number)
            trace.append(("sent", who, number))

    async def consume(who: int) -> None:
        while True:
            trace.append(("got", who, await receive.receive()))

    with trio.move_on_after(10):
        async with trio.open_nursery() as nursery:
            for who in range(3):
                nursery.start_soon(produce, who)
                nursery.start_soon(consume, who)
    return tuple(trace)


def run(seed: int) -> Trace:
    with seeded_scheduler(seed):
        return trio.run(chatter, clock=MockClock(autojump_threshold=0))


def test_same_seed_gives_the_same_order() -> None:
    assert run(7) == run(7)


def test_seeds_give_different_orders() -> None:
    assert len({run(seed) for seed in range(50)}) > 25


def test_jitter_is_seeded_and_the_world_is_put_back() -> None:
    before = random.getstate()
    with seeded_scheduler(1):
        first = random.random()
    assert random.getstate() == before
    with seeded_scheduler(1):
        assert random.random() == first


async def test_works_inside_a_running_test(autojump_clock: MockClock) -> None:
    with seeded_scheduler(3):
        first = await chatter()
    with seeded_scheduler(3):
        assert await chatter() == first
