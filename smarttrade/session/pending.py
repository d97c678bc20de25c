"""The bytes that wait for one client's socket. Plain code.

They go out in this order: the current chunk, barriers, and frames that may still be replaced, one
per key.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

Frame = tuple[Hashable, bytes]
"""A key, (series, open time), and the bytes of a whole WebSocket frame."""

CHUNK = 64 * 1024  # bytes offered to a socket at a time; frames beyond may still be replaced

_NOTHING = memoryview(b"")


class Pending:
    __slots__ = ("_barriers", "_frames", "_started", "bytes", "current", "ticket")

    def __init__(self) -> None:
        self.current = _NOTHING
        """What is left of the chunk that is being written."""
        self._barriers: list[bytes] = []
        self._frames: dict[Hashable, bytes] = {}
        self.ticket = 0
        """Of the newest barrier: how many there have been."""
        self._started = 0
        self.bytes = 0
        """All that waits, the current chunk included."""

    def __bool__(self) -> bool:
        return bool(self.current or self._barriers or self._frames)

    def is_written(self, ticket: int) -> bool:
        """Whether all up to the barrier with this ticket was consumed, or dropped."""
        return self._started > ticket or (self._started == ticket and not self.current)

    # -- adding ----------------------------------------------------------------------------

    def append_barrier(self, data: bytes) -> None:
        """Add `data` after everything else; frames before it can no longer be replaced."""
        self._freeze_frames()
        self._append(data)
        self.bytes += len(data)

    def start_partial(self, data: bytes, taken: int) -> None:
        """Continue with `data`, of which the socket took `taken` bytes; nothing else waits."""
        self.current = memoryview(data)[taken:]
        self.bytes += len(self.current)

    def keep(self, frames: Iterable[Frame], *, is_behind: bool) -> int:
        """Keep the newest frame of each key; return how many were replaced.

        Unless the client `is_behind`, none is: both go out.
        """
        kept, replaced = self._frames, 0
        for key, frame in frames:
            older = kept.get(key)
            if older is not None and not is_behind:
                self._freeze_frames()
            elif older is not None:
                replaced += 1
                self.bytes -= len(older)
            kept[key] = frame
            self.bytes += len(frame)
        return replaced

    def _freeze_frames(self) -> None:
        if self._frames:
            self._append(b"".join(self._frames.values()))
            self._frames.clear()

    def _append(self, data: bytes) -> None:
        self._barriers.append(data)
        self.ticket += 1

    # -- writing ---------------------------------------------------------------------------

    def peek(self) -> memoryview:
        """The chunk to write next; it stays `current` until it is consumed."""
        if not self.current:
            if self._barriers:
                self.current = memoryview(self._barriers.pop(0))
                self._started += 1
            elif self._frames:
                self.current = memoryview(b"".join(self._pop_chunk()))
        return self.current

    def consume(self, size: int) -> None:
        """The transport took `size` bytes of the current chunk."""
        self.current = self.current[size:]
        self.bytes -= size

    def _pop_chunk(self) -> Iterable[bytes]:
        keys, size = [], 0
        for key, frame in self._frames.items():
            keys.append(key)
            size += len(frame)
            if size >= CHUNK:
                break
        return [self._frames.pop(key) for key in keys]

    # -- giving up -------------------------------------------------------------------------

    def drop(self) -> None:
        """Drop all but the current chunk, which must be finished: a frame may be cut in it."""
        self._started += len(self._barriers)
        self._barriers.clear()
        self._frames.clear()
        self.bytes = len(self.current)

    def drop_all(self) -> None:
        self.current = _NOTHING
        self.drop()
