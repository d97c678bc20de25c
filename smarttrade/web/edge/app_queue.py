"""What one client has sent and its application has not received: a bounded queue of ASGI events."""

from __future__ import annotations

import trio
from hypercorn.typing import ASGIReceiveEvent


class AppQueue:
    """For one sender and one receiver. A memory channel would do, but takes 2.3 KB a client."""

    __slots__ = ("_arrived", "_events", "_is_closed", "_max_size", "_taken")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._events: list[ASGIReceiveEvent] = []
        self._is_closed = False
        self._arrived: trio.Event | None = None  # there only while `receive` waits
        self._taken: trio.Event | None = None  # there only while `put` waits

    def put_nowait(self, event: ASGIReceiveEvent) -> None:
        """Add an event.

        Raises:
            trio.WouldBlock: there is no room.
            trio.BrokenResourceError: the receiver has ended.
        """
        if self._is_closed:
            raise trio.BrokenResourceError("the application has ended")
        if len(self._events) >= self._max_size:
            raise trio.WouldBlock
        self._events.append(event)
        if self._arrived is not None:
            self._arrived.set()

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Add an event as soon as there is room.

        Raises:
            trio.BrokenResourceError: the receiver has ended.
        """
        while len(self._events) >= self._max_size and not self._is_closed:
            self._taken = trio.Event()
            try:
                await self._taken.wait()
            finally:
                self._taken = None
        self.put_nowait(event)

    async def receive(self) -> ASGIReceiveEvent:
        """The next event; waits until there is one."""
        if self._events:
            await trio.lowlevel.checkpoint()
        while not self._events:
            self._arrived = trio.Event()
            try:
                await self._arrived.wait()
            finally:
                self._arrived = None
        if self._taken is not None:
            self._taken.set()
        return self._events.pop(0)

    def close(self) -> None:
        """The receiver has ended: nothing more is kept."""
        self._is_closed = True
        self._events.clear()
        if self._taken is not None:
            self._taken.set()
