"""The memory that holds what waits for clients, and what they sent that waits to be handled:
counted and limited, for many of them together.

Bytes that wait for several clients, such as a snapshot that all of them ask for, are in memory once
and count once. That holds for large objects; a small frame counts for each client, since its place
in a queue takes about as much memory as the frame itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

MAX_WAITING_BYTES = 256 * 1024 * 1024  # for a process; our units allow it 2 GB in all
MAX_WAITING_BYTES_PER_ADDRESS = 64 * 1024 * 1024  # ten pages that load 60 whole series at once

SHARED_FROM = 4096  # bytes; a smaller object counts for each client that it waits for

TARGET = 0.9
"""Share of the limit down to which clients are closed, so that it takes a while until that is
necessary again: to find the largest, all are looked at."""


class Waiter(Protocol):
    """A client that bytes wait for, or whose bytes wait."""

    def held(self, share: Callable[[bytes], float]) -> float:
        """Bytes that it holds; of an object that others hold too, its `share`."""

    def exceed(self) -> None:
        """Drop what has not begun, and end with 1013."""

    def reset(self) -> None:
        """Drop everything, and break the connection."""


class WaitingBytes:
    """One limit, for a process or for an address in it, which counts for the process too."""

    __slots__ = ("_holders", "_max_bytes", "_parent", "_waiters", "total")

    def __init__(self, max_bytes: int, parent: WaitingBytes | None = None) -> None:
        self._max_bytes = max_bytes
        self._parent = parent
        self._waiters: dict[Waiter, None] = {}
        self._holders: dict[int, int] = {}
        """By the identity of an object, which is no other's as long as it is held."""
        self.total = 0
        """Bytes."""

    # -- clients ---------------------------------------------------------------------------

    def join(self, waiter: Waiter) -> None:
        self._waiters[waiter] = None
        if self._parent is not None:
            self._parent.join(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Does nothing when it has left."""
        self._waiters.pop(waiter, None)
        if self._parent is not None:
            self._parent.leave(waiter)

    # -- counting --------------------------------------------------------------------------

    def add(self, size: int) -> None:
        """Count so many bytes more, or fewer if it is negative, which only one client holds."""
        self.total += size
        if self._parent is not None:
            self._parent.add(size)

    def hold(self, data: bytes) -> None:
        size = len(data)
        if size < SHARED_FROM:
            self.add(size)
            return
        key = id(data)
        holders = self._holders.get(key, 0)
        self._holders[key] = holders + 1
        if not holders:
            self.total += size
        if self._parent is not None:
            self._parent.hold(data)

    def release(self, data: bytes) -> None:
        """What was held is no longer, by one client."""
        size = len(data)
        if size < SHARED_FROM:
            self.add(-size)
            return
        key = id(data)
        holders = self._holders[key] - 1
        if holders:
            self._holders[key] = holders
        else:
            del self._holders[key]
            self.total -= size
        if self._parent is not None:
            self._parent.release(data)

    # -- the limit -------------------------------------------------------------------------

    def enforce(self) -> None:
        """Close clients, those first that hold most, until no limit is exceeded."""
        if self.total > self._max_bytes:
            self._close_largest()
        if self._parent is not None:
            self._parent.enforce()

    def _close_largest(self) -> None:
        for waiter in self._by_size():
            if self.total <= TARGET * self._max_bytes:
                return
            waiter.exceed()
        # What has begun must be finished, or the client reads garbage; that alone is too much.
        for waiter in self._by_size():
            if self.total <= TARGET * self._max_bytes:
                return
            waiter.reset()

    def _by_size(self) -> list[Waiter]:
        return sorted(self._waiters, key=lambda each: each.held(self._share), reverse=True)

    def _share(self, data: bytes) -> float:
        return len(data) / self._holders.get(id(data), 1)
