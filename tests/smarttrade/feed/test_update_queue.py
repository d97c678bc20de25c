from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from smarttrade.feed.update_queue import UpdateQueue
from smarttrade.feed.venue import CandleUpdate
from smarttrade.market.candle import Candle
from tests.fakes.exchange_streams import BTC, ETH


def told(
    open_time: int = 0, event_time: int = 1, *, closed: bool = False, eth: bool = False
) -> CandleUpdate:
    candle = Candle(open_time, 1.0, 1.0, 1.0, 1.0, float(event_time), closed, event_time, False)
    return CandleUpdate(ETH if eth else BTC, candle)


def queue(capacity: int, *begun: CandleUpdate) -> UpdateQueue:
    made = UpdateQueue(capacity)
    for each in begun:
        made.put_nowait(each)
    return made


async def test_everything_is_kept_while_there_is_room() -> None:
    states = [told(0, 1), told(0, 2), told(0, 2), told(0, 1)]
    assert await queue(4, *states).receive_batch(9) == states


async def test_beyond_it_the_newest_state_of_each_candle_is_kept() -> None:
    states = [told(0, 1), told(0, 2), told(60, 3), told(0, 4, eth=True), told(60, 5)]
    assert await queue(2, *states).receive_batch(9) == [
        told(0, 1),
        told(0, 2),
        told(60, 5),
        told(0, 4, eth=True),
    ]


async def test_final_state_is_replaced_by_none_that_comes_late() -> None:
    states = [told(0, 1), told(0, 9, closed=True), told(0, 8), told(0, 10)]
    assert await queue(1, *states).receive_batch(9) == [told(0, 1), told(0, 9, closed=True)]


async def test_batches_have_a_size() -> None:
    waiting = queue(2, told(0), told(1), told(2), told(3))
    assert await waiting.receive_batch(1) == [told(0)]
    assert await waiting.receive_batch(2) == [told(1), told(2)]
    assert await waiting.receive_batch(2) == [told(3)]


async def test_what_is_behind_stays_behind() -> None:
    """An update that comes when there is room again does not overtake those before it."""
    waiting = queue(2, told(0, 1), told(0, 2), told(0, 3))
    assert await waiting.receive_batch(2) == [told(0, 1), told(0, 2)]
    waiting.put_nowait(told(60, 4))
    assert await waiting.receive_batch(9) == [told(0, 3), told(60, 4)]


async def test_receiver_waits_for_the_first(nursery: trio.Nursery) -> None:
    waiting = queue(2)
    batches: list[Sequence[CandleUpdate]] = []

    async def receive() -> None:
        batches.append(await waiting.receive_batch(9))

    nursery.start_soon(receive)
    await wait_all_tasks_blocked()
    assert batches == []
    waiting.put_nowait(told())
    await wait_all_tasks_blocked()
    assert batches == [[told()]]


async def test_burst_that_arrives_one_per_turn_is_one_batch() -> None:
    """As from trio-websocket, whatever the order of tasks within a turn."""
    waiting = queue(100)
    burst = [told(number) for number in range(50)]

    async def arrive() -> None:
        for update in burst:
            waiting.put_nowait(update)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(arrive)
        assert await waiting.receive_batch(100) == burst


async def test_burst_without_end_is_cut_at_the_size_of_a_batch() -> None:
    waiting = queue(2)

    async def arrive() -> None:
        while True:
            waiting.put_nowait(told(0))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(arrive)
        with trio.fail_after(1):
            assert await waiting.receive_batch(5) == [told(0)] * 3
        nursery.cancel_scope.cancel()


async def test_sender_waits_when_there_are_too_many_candles(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    waiting = queue(1, told(0), told(1))
    with pytest.raises(trio.WouldBlock):
        waiting.put_nowait(told(2))
    nursery.start_soon(waiting.put, told(2))
    await wait_all_tasks_blocked()
    assert len(waiting) == 2
    waiting.put_nowait(told(1, 5))  # there is a place for this one
    assert await waiting.receive_batch(9) == [told(0), told(1, 5)]
    await wait_all_tasks_blocked()
    with trio.fail_after(1):
        assert await waiting.receive_batch(9) == [told(2)]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 4)), max_size=60),
    st.integers(1, 4),
)
def test_last_states_come_through_in_order(steps: list[tuple[bool, int]], room: int) -> None:
    """Two series; each candle has three states, and the last of them is final."""

    async def run() -> None:
        waiting = queue(room)
        sent: list[CandleUpdate] = []
        got: list[CandleUpdate] = []
        for sends, number in steps:
            if not sends and len(waiting):
                got += await waiting.receive_batch(number)
            for _ in range(number if sends else 0):
                open_time, state = divmod(len(sent) // 2, 3)
                update = told(open_time, len(sent) + 1, closed=state == 2, eth=len(sent) % 2 == 1)
                try:
                    waiting.put_nowait(update)
                except trio.WouldBlock:
                    break
                sent.append(update)
            assert len(waiting) <= 2 * room
        while len(waiting):
            got += await waiting.receive_batch(room)
        for series in (BTC, ETH):
            before = [each for each in sent if each.series is series]
            after = [each for each in got if each.series is series]
            assert [e for e in after if e.candle.closed] == [e for e in before if e.candle.closed]
            assert after == sorted(after, key=lambda each: each.candle.event_time)
            assert after[-1:] == before[-1:]

    trio.run(run)
