"""The bytes that wait for one client's socket. Plain code.

They go out in this order: the current chunk, barriers, and frames that may still be replaced, one
per key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from .frames import Frame
from .waiting_bytes import WaitingBytes

CHUNK = 64 * 1024  # bytes offered to a socket at a time; frames beyond may still be replaced

_NOTHING = memoryview(b"")


class Pending:
    __slots__ = (
        *("_barriers", "_current_data", "_frame_bytes", "_frames", "_memory", "_started"),
        *("_written", "bytes", "current", "ticket"),
    )

    def __init__(self, memory: WaitingBytes) -> None:
        """`memory` counts what is held here."""
        self._memory = memory
        self._current_data = b""
        self._frame_bytes = 0
        self.current = _NOTHING
        """What is left of the chunk that is being written."""
        self._barriers: list[bytes] = []
        self._frames: dict[Hashable, bytes] = {}
        self.ticket = 0
        """Of the newest barrier: how many there have been."""
        self._started = 0
        self._written = 0
        """The newest ticket of which all is written, as `_started` is of those that have begun."""
        self.bytes = 0
        """All that waits, the current chunk included."""

    def __bool__(self) -> bool:
        return bool(self.current or self._barriers or self._frames)

    def is_written(self, ticket: int) -> bool:
        """Whether all up to the barrier with this ticket was consumed, or dropped."""
        return self._written >= ticket

    # -- adding ----------------------------------------------------------------------------

    def append_barrier(self, data: bytes) -> None:
        """Add `data` after everything else; frames before it can no longer be replaced."""
        self._freeze_frames()
        self._append(data)
        self._memory.hold(data)
        self.bytes += len(data)

    def start_partial(self, data: bytes, taken: int) -> None:
        """Continue with `data`, of which the socket took `taken` bytes; nothing else waits."""
        self.ticket += 1
        self._started += 1
        self._memory.hold(data)
        self._current_data = data
        self.current = memoryview(data)[taken:]
        self.bytes += len(self.current)

    def put_frames(self, frames: Iterable[Frame], *, is_behind: bool) -> int:
        """Add the newest frame of each key; return how many older ones were replaced.

        Unless the client `is_behind`, none is: both go out.
        """
        waiting, replaced, added = self._frames, 0, 0
        for key, frame in frames:
            older = waiting.get(key)
            if older is not None and not is_behind:
                self._count_frames(added)
                added = 0
                self._freeze_frames()
            elif older is not None:
                replaced += 1
                added -= len(older)
            waiting[key] = frame
            added += len(frame)
        self._count_frames(added)
        return replaced

    def _count_frames(self, size: int) -> None:
        self._frame_bytes += size
        self.bytes += size
        self._memory.add(size)

    def _freeze_frames(self) -> None:
        if self._frames:
            data = b"".join(self._pop_frames(list(self._frames)))
            self._append(data)
            self._memory.hold(data)

    def _append(self, data: bytes) -> None:
        self._barriers.append(data)
        self.ticket += 1

    # -- writing ---------------------------------------------------------------------------

    def peek(self) -> memoryview:
        """The chunk to write next; it stays `current` until it is consumed."""
        if not self.current:
            if self._barriers:
                self._current_data = self._barriers.pop(0)
                self._started += 1
            elif self._frames:
                self._current_data = b"".join(self._pop_frames(self._chunk()))
                self._memory.hold(self._current_data)
            self.current = memoryview(self._current_data)
        return self.current

    def consume(self, size: int) -> None:
        """The transport took `size` bytes of the current chunk."""
        self.current = self.current[size:]
        self.bytes -= size
        if not self.current:
            self._release_current()

    def _release_current(self) -> None:
        self.current = _NOTHING
        self._written = self._started
        if self._current_data:
            self._memory.release(self._current_data)
            self._current_data = b""

    def _chunk(self) -> list[Hashable]:
        """The keys of about one chunk of frames, the oldest."""
        keys, size = [], 0
        for key, frame in self._frames.items():
            keys.append(key)
            size += len(frame)
            if size >= CHUNK:
                break
        return keys

    def _pop_frames(self, keys: Iterable[Hashable]) -> list[bytes]:
        popped = [self._frames.pop(key) for key in keys]
        size = sum(map(len, popped))
        self._frame_bytes -= size
        self._memory.add(-size)
        return popped

    # -- giving up -------------------------------------------------------------------------

    def drop(self) -> None:
        """Drop all but the current chunk, which must be finished: a frame may be cut in it."""
        self._started += len(self._barriers)
        for data in self._barriers:
            self._memory.release(data)
        self._barriers.clear()
        self._pop_frames(list(self._frames))
        self.bytes = len(self.current)
        if not self.current:
            self._written = self._started

    def drop_all(self) -> None:
        self._release_current()
        self.drop()

    # -- memory ----------------------------------------------------------------------------

    def held(self, share: Callable[[bytes], float]) -> float:
        """Bytes that are held; of an object that other clients hold too, this one's `share`."""
        return self._frame_bytes + sum(map(share, (self._current_data, *self._barriers)))
