"""What the exchange has sent and the store has not taken yet."""

from __future__ import annotations

from collections import deque
from itertools import islice

import trio

from ..market.candle import supersedes
from ..market.series import Series
from .venue import CandleUpdate

BURST_TURNS = 2
"""Turns of the scheduler without an update after which a burst is over. In one, a sender that is
not done may not have run yet: the order of tasks within a turn is random."""


class Updates:
    """A queue that loses nothing while it is short, and no final state when it is long.

    The first `room` updates are kept as they came. While there are more, only the newest state of
    each candle is kept of what comes beyond them: at most `room` candles. So the receiving task
    need not wait for a store that is busy. The updates of one series stay in order.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._whole: deque[CandleUpdate] = deque()
        self._newest: dict[tuple[Series, int], CandleUpdate] = {}
        self._added = 0
        self._arrived = trio.lowlevel.ParkingLot()
        self._taken = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._whole) + len(self._newest)

    def put_nowait(self, update: CandleUpdate) -> None:
        """Add an update if that needs no waiting.

        Raises:
            trio.WouldBlock: there is no room for one more candle.
        """
        if len(self._whole) < self._room and not self._newest:
            self._whole.append(update)
        else:
            self._keep_newest(update)
        self._added += 1
        self._arrived.unpark()

    async def put(self, update: CandleUpdate) -> None:
        """Add an update, waiting for room."""
        while True:
            try:
                self.put_nowait(update)
            except trio.WouldBlock:
                await self._taken.park()
            else:
                return

    async def receive_batch(self, max_size: int) -> list[CandleUpdate]:
        """Take up to `max_size` updates: wait for the first, then until a burst is over.

        trio-websocket hands over one message per turn of the scheduler, however many came in one
        read of the socket. Here they become one batch again.
        """
        while not self:
            await self._arrived.park()
        await self._end_of_burst(self._added + max_size)
        batch = [self._whole.popleft() for _ in range(min(max_size, len(self._whole)))]
        keys = list(islice(self._newest, max_size - len(batch)))
        batch += [self._newest.pop(key) for key in keys]
        self._taken.unpark_all()
        return batch

    async def _end_of_burst(self, limit: int) -> None:
        """Wait until no update arrives, or `limit` have been added in all."""
        arrived = None
        while arrived != self._added < limit:
            arrived = self._added
            for _ in range(BURST_TURNS):
                await trio.lowlevel.checkpoint()

    def _keep_newest(self, update: CandleUpdate) -> None:
        key = update.series, update.candle.open_time
        held = self._newest.get(key)
        if held is None and len(self._newest) >= self._room:
            raise trio.WouldBlock
        if held is None or supersedes(update.candle, held.candle):
            self._newest[key] = update
