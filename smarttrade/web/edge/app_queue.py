"""What one client has sent and its application has not received: a bounded queue of ASGI events."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

import trio
from hypercorn.typing import ASGIReceiveEvent


class AppQueue:
    """For one sender and one receiver. A memory channel would do, but takes 2.3 KB a client."""

    __slots__ = (
        *("_arrived", "_bytes", "_count", "_events", "_is_closed", "_max_bytes", "_max_size"),
        "_taken",
    )

    def __init__(
        self, max_size: int, max_bytes: int, count: Callable[[int], object] = lambda _: None
    ) -> None:
        """At most `max_size` events, of `max_bytes` of memory; a larger one waits alone.

        `count` is called with the bytes by which what waits becomes more or less.
        """
        self._max_size = max_size
        self._max_bytes = max_bytes
        self._count = count
        self._events: list[ASGIReceiveEvent] = []
        self._bytes = 0
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
        if not self._has_room(event):
            raise trio.WouldBlock
        self._events.append(event)
        self._add(memory_of(event))
        if self._arrived is not None:
            self._arrived.set()

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Add an event as soon as there is room.

        Raises:
            trio.BrokenResourceError: the receiver has ended.
        """
        size = memory_of(event)
        self._count(size)
        try:
            while not self._has_room(event) and not self._is_closed:
                self._taken = trio.Event()
                try:
                    await self._taken.wait()
                finally:
                    self._taken = None
        finally:
            self._count(-size)
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
        event = self._events.pop(0)
        self._add(-memory_of(event))
        return event

    def close(self) -> None:
        """The receiver has ended: nothing more is kept."""
        self._is_closed = True
        self._events.clear()
        self._add(-self._bytes)
        if self._taken is not None:
            self._taken.set()

    def _add(self, size: int) -> None:
        if size:
            self._bytes += size
            self._count(size)

    def _has_room(self, event: ASGIReceiveEvent) -> bool:
        if len(self._events) >= self._max_size:
            return False
        size = memory_of(event)
        return not (self._events and size) or self._bytes + size <= self._max_bytes


def memory_of(event: ASGIReceiveEvent) -> int:
    """What its text or bytes take: a text four bytes a character, if one of them is an emoji."""
    fields = cast("dict[str, Any]", event)
    content = fields.get("text") or fields.get("bytes") or fields.get("body")
    return sys.getsizeof(content) if content else 0
