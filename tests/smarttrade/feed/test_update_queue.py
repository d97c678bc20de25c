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


def update(
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
    states = [update(0, 1), update(0, 2), update(0, 2), update(0, 1)]
    assert await queue(4, *states).receive_batch(9) == states


async def test_beyond_it_the_newest_state_of_each_candle_is_kept() -> None:
    states = [update(0, 1), update(0, 2), update(60, 3), update(0, 4, eth=True), update(60, 5)]
    assert await queue(2, *states).receive_batch(9) == [
        update(0, 1),
        update(0, 2),
        update(60, 5),
        update(0, 4, eth=True),
    ]


async def test_final_state_is_replaced_by_none_that_comes_late() -> None:
    states = [update(0, 1), update(0, 9, closed=True), update(0, 8), update(0, 10)]
    assert await queue(1, *states).receive_batch(9) == [update(0, 1), update(0, 9, closed=True)]


async def test_batches_have_a_size() -> None:
    pending = queue(2, update(0), update(1), update(2), update(3))
    assert await pending.receive_batch(1) == [update(0)]
    assert await pending.receive_batch(2) == [update(1), update(2)]
    assert await pending.receive_batch(2) == [update(3)]


async def test_conflated_updates_keep_their_place() -> None:
    """An update that comes when there is room again does not overtake those before it."""
    pending = queue(2, update(0, 1), update(0, 2), update(0, 3))
    assert await pending.receive_batch(2) == [update(0, 1), update(0, 2)]
    pending.put_nowait(update(60, 4))
    assert await pending.receive_batch(9) == [update(0, 3), update(60, 4)]


async def test_receiver_waits_for_the_first(nursery: trio.Nursery) -> None:
    pending = queue(2)
    batches: list[Sequence[CandleUpdate]] = []

    async def receive() -> None:
        batches.append(await pending.receive_batch(9))

    nursery.start_soon(receive)
    await wait_all_tasks_blocked()
    assert batches == []
    pending.put_nowait(update())
    await wait_all_tasks_blocked()
    assert batches == [[update()]]


async def test_sender_waits_when_there_are_too_many_candles(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    pending = queue(1, update(0), update(1))
    with pytest.raises(trio.WouldBlock):
        pending.put_nowait(update(2))
    nursery.start_soon(pending.put, update(2))
    await wait_all_tasks_blocked()
    assert len(pending) == 2
    pending.put_nowait(update(1, 5))  # there is a place for this one
    assert await pending.receive_batch(9) == [update(0), update(1, 5)]
    await wait_all_tasks_blocked()
    with trio.fail_after(1):
        assert await pending.receive_batch(9) == [update(2)]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 4)), max_size=60),
    st.integers(1, 4),
)
def test_last_states_come_through_in_order(steps: list[tuple[bool, int]], room: int) -> None:
    """Two series; each candle has three states, and the last of them is final."""

    async def run() -> None:
        pending = queue(room)
        sent: list[CandleUpdate] = []
        got: list[CandleUpdate] = []
        for sends, number in steps:
            if not sends and len(pending):
                got += await pending.receive_batch(number)
            for _ in range(number if sends else 0):
                open_time, place = divmod(len(sent) // 2, 3)
                state = update(open_time, len(sent) + 1, closed=place == 2, eth=len(sent) % 2 == 1)
                try:
                    pending.put_nowait(state)
                except trio.WouldBlock:
                    break
                sent.append(state)
            assert len(pending) <= 2 * room
        while len(pending):
            got += await pending.receive_batch(room)
        for series in (BTC, ETH):
            before = [each for each in sent if each.series is series]
            after = [each for each in got if each.series is series]
            assert [e for e in after if e.candle.closed] == [e for e in before if e.candle.closed]
            assert after == sorted(after, key=lambda each: each.candle.event_time)
            assert after[-1:] == before[-1:]

    trio.run(run)
