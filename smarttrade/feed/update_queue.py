"""Updates that have arrived from the exchange and are not with the store yet."""

from __future__ import annotations

from collections import deque
from itertools import islice

import trio

from ..market.candle import supersedes
from ..market.series import Series
from .venue import CandleUpdate


class UpdateQueue:
    """A queue that conflates when it is full, so that the receiving task need not wait.

    The first `capacity` updates are kept as they arrive. Of those beyond, only the newest state of
    each candle is kept, for at most `capacity` candles. The updates of one series stay in order,
    and the last state of a candle is never dropped.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queue: deque[CandleUpdate] = deque()
        self._conflated: dict[tuple[Series, int], CandleUpdate] = {}
        self._has_updates = trio.lowlevel.ParkingLot()
        self._has_room = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._queue) + len(self._conflated)

    def put_nowait(self, update: CandleUpdate) -> None:
        """Add an update without waiting.

        Raises:
            trio.WouldBlock: there is no room for one more candle.
        """
        if len(self._queue) < self._capacity and not self._conflated:
            self._queue.append(update)
        else:
            self._conflate(update)
        self._has_updates.unpark()

    async def put(self, update: CandleUpdate) -> None:
        """Add an update, waiting for room."""
        while True:
            try:
                self.put_nowait(update)
            except trio.WouldBlock:
                await self._has_room.park()
            else:
                return

    async def receive_batch(self, max_size: int) -> list[CandleUpdate]:
        """Wait for an update, and take up to `max_size`."""
        while not self:
            await self._has_updates.park()
        batch = [self._queue.popleft() for _ in range(min(max_size, len(self._queue)))]
        keys = list(islice(self._conflated, max_size - len(batch)))
        batch += [self._conflated.pop(key) for key in keys]
        self._has_room.unpark_all()
        return batch

    def _conflate(self, update: CandleUpdate) -> None:
        key = update.series, update.candle.open_time
        current = self._conflated.get(key)
        if current is None and len(self._conflated) >= self._capacity:
            raise trio.WouldBlock
        if current is None or supersedes(update.candle, current.candle):
            self._conflated[key] = update
