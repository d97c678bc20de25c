from __future__ import annotations

import trio
from trio.testing import MockClock

from smarttrade.web.edge.context import (
    DISCARD_INTERVAL,
    DISCARD_SIZE,
    MAX_DISCARDED,
    discard,
)


class FloodingClient(trio.abc.ReceiveStream):
    """Sends without end, or until it has sent so much."""

    def __init__(self, size: int = MAX_DISCARDED * 2) -> None:
        self.left = size
        self.reads: list[float] = []

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        assert max_bytes is not None
        await trio.lowlevel.checkpoint()
        self.reads.append(trio.current_time())
        size = min(max_bytes, self.left)
        self.left -= size
        return bytes(size)

    async def aclose(self) -> None:
        raise NotImplementedError


async def test_what_comes_after_our_last_byte_is_read_now_and_then(
    autojump_clock: MockClock,
) -> None:
    client = FloodingClient()
    with trio.move_on_after(DISCARD_INTERVAL * 5.5):
        await discard(client)
    assert client.reads == [number * DISCARD_INTERVAL for number in range(6)]


async def test_no_more_is_read_than_a_client_may_send_unawares(autojump_clock: MockClock) -> None:
    client = FloodingClient()
    await discard(client)
    assert client.left == MAX_DISCARDED
    assert len(client.reads) == MAX_DISCARDED // DISCARD_SIZE


async def test_end_of_the_client_ends_it(autojump_clock: MockClock) -> None:
    client = FloodingClient(DISCARD_SIZE + 1)
    await discard(client)
    assert client.left == 0
    assert trio.current_time() == 2 * DISCARD_INTERVAL


async def test_each_read_after_the_first_waits_for_its_turn(autojump_clock: MockClock) -> None:
    client, turns = FloodingClient(DISCARD_SIZE * 3), list[int]()

    async def take_turn() -> None:
        turns.append(len(client.reads))
        await trio.lowlevel.checkpoint()

    await discard(client, take_turn)
    assert turns == [1, 2, 3]
