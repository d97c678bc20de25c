"""A byte stream in memory, and the ways in which a network fails.

It has two ends; what one sends, the other receives immediately and in order, until a test makes
the link fail. Nothing here takes time, so tests can expect exact virtual times.
"""

from __future__ import annotations

import trio


class End(trio.abc.Stream):
    """One end of a link."""

    def __init__(self) -> None:
        self.peer: End = self
        self.is_closed = False
        self._arrived = bytearray()
        self._ended = False
        self._reset = False
        self._stalled = False
        self._cut = False
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def is_readable(self) -> bool:
        """Whether `receive_some` would return or raise without waiting."""
        return bool(self._arrived) or self._ended or self._reset or self.is_closed

    # The stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._stalled:
            self._deliver(data[: len(data) // 2])  # the part for which there was still room
            data = data[len(data) // 2 :]
        while self._stalled and not (self.is_closed or self._reset):
            await self._changed.park()
        self._deliver(data)

    def _deliver(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_closed:
            raise trio.ClosedResourceError
        if self._reset or (self.peer.is_closed and not self._cut):
            raise trio.BrokenResourceError
        if not self._cut:
            self.peer._arrived += data
            self.peer._changed.unpark_all()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            if self.is_closed:
                raise trio.ClosedResourceError
            if self._reset:
                raise trio.BrokenResourceError
            if self._ended:
                return b""
            await self._changed.park()
        taken = bytes(self._arrived[:max_bytes])
        del self._arrived[: len(taken)]
        return taken

    async def aclose(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._changed.unpark_all()
            if not self._cut:
                self.peer._ended = True
                self.peer._changed.unpark_all()
        await trio.lowlevel.checkpoint()

    # Network faults

    def reset(self) -> None:
        """Reset the connection: both ends get an error immediately."""
        for end in (self, self.peer):
            end._reset = True
            end._arrived.clear()
            end._changed.unpark_all()

    def cut(self) -> None:
        """Lose everything that is sent from now on, without an error at either end."""
        self._cut = self.peer._cut = True

    def stop_reading(self) -> None:
        """Close the window: the other end can send only half of its next write."""
        self.peer._stalled = True

    def resume_reading(self) -> None:
        self.peer._stalled = False
        self.peer._changed.unpark_all()


def link() -> tuple[End, End]:
    one, other = End(), End()
    one.peer, other.peer = other, one
    return one, other
