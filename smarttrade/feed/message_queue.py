"""The messages of one WebSocket that have arrived and are not received yet."""

from __future__ import annotations

from collections import deque
from typing import Self

import trio


class MessageQueue:
    """A memory channel that yields to the scheduler only where it must wait.

    Those of trio yield once a message on either side, so a burst of messages that arrive in one
    read takes two scheduler turns each, and what follows cannot tell where it ends. Through this
    one the reader queues them in one turn, and they are received in the next.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._messages: deque[str | bytes] = deque()
        self._is_closed = False
        self._has_messages = trio.lowlevel.ParkingLot()
        self._has_room = trio.lowlevel.ParkingLot()

    async def send(self, message: str | bytes) -> None:
        """Add a message, waiting for room.

        Raises:
            trio.ClosedResourceError: the queue is closed.
        """
        while len(self._messages) >= self._capacity and not self._is_closed:
            await self._has_room.park()
        if self._is_closed:
            raise trio.ClosedResourceError
        self._messages.append(message)
        self._has_messages.unpark()

    async def receive(self) -> str | bytes:
        """The next message. While there is one, it is returned without a checkpoint.

        Raises:
            trio.EndOfChannel: the queue is closed and empty.
        """
        while not self._messages:
            if self._is_closed:
                raise trio.EndOfChannel
            await self._has_messages.park()
        message = self._messages.popleft()
        self._has_room.unpark()
        return message

    async def aclose(self) -> None:
        """Accept no more messages; those that are queued can still be received."""
        self._is_closed = True
        self._has_messages.unpark_all()
        self._has_room.unpark_all()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
