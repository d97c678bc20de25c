"""What waits for one client's socket. Plain code.

It goes out in this order: what has begun, what is sealed, and frames that may still be replaced,
one per key.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

Frame = tuple[Hashable, bytes]
"""A key, (series, open time), and the bytes of a whole WebSocket frame."""

CHUNK = 64 * 1024  # bytes offered to a socket at a time; frames beyond may still be replaced

_NOTHING = memoryview(b"")


class Pending:
    __slots__ = ("_begun", "_frames", "_sealed", "bytes", "rest", "ticket")

    def __init__(self) -> None:
        self.rest = _NOTHING
        """Of what has begun."""
        self._sealed: list[bytes] = []
        self._frames: dict[Hashable, bytes] = {}
        self.ticket = 0
        """Of what was sealed last: how many there have been."""
        self._begun = 0
        self.bytes = 0
        """All that waits, begun ones included."""

    def __bool__(self) -> bool:
        return bool(self.rest or self._sealed or self._frames)

    def has_gone(self, ticket: int) -> bool:
        """Whether all of what was sealed under `ticket` has been taken, or dropped."""
        return self._begun > ticket or (self._begun == ticket and not self.rest)

    # -- putting in ------------------------------------------------------------------------

    def seal(self, data: bytes) -> None:
        """Put `data` after everything; nothing may replace what is before it any more."""
        self._seal_frames()
        self._append(data)
        self.bytes += len(data)

    def begin_with(self, data: bytes, taken: int) -> None:
        """Put in what the socket left of `data`; nothing else waits."""
        self.rest = memoryview(data)[taken:]
        self.bytes += len(self.rest)

    def keep(self, frames: Iterable[Frame], *, is_behind: bool) -> int:
        """Keep the newest of each key; return how many took another one's place.

        Unless the client `is_behind`, none does: both go out.
        """
        kept, replaced = self._frames, 0
        for key, frame in frames:
            older = kept.get(key)
            if older is not None and not is_behind:
                self._seal_frames()
            elif older is not None:
                replaced += 1
                self.bytes -= len(older)
            kept[key] = frame
            self.bytes += len(frame)
        return replaced

    def _seal_frames(self) -> None:
        if self._frames:
            self._append(b"".join(self._frames.values()))
            self._frames.clear()

    def _append(self, data: bytes) -> None:
        self._sealed.append(data)
        self.ticket += 1

    # -- taking out ------------------------------------------------------------------------

    def begin(self) -> memoryview:
        """What goes next; it has begun, and remains `rest` until it is `took`."""
        if not self.rest:
            if self._sealed:
                self.rest = memoryview(self._sealed.pop(0))
                self._begun += 1
            elif self._frames:
                self.rest = memoryview(b"".join(self._take_frames()))
        return self.rest

    def took(self, size: int) -> None:
        self.rest = self.rest[size:]
        self.bytes -= size

    def _take_frames(self) -> Iterable[bytes]:
        keys, size = [], 0
        for key, frame in self._frames.items():
            keys.append(key)
            size += len(frame)
            if size >= CHUNK:
                break
        return [self._frames.pop(key) for key in keys]

    # -- giving up -------------------------------------------------------------------------

    def drop(self) -> None:
        """Forget what has not begun; what has must be finished, or the next frame is garbage."""
        self._begun += len(self._sealed)
        self._sealed.clear()
        self._frames.clear()
        self.bytes = len(self.rest)

    def drop_all(self) -> None:
        self.rest = _NOTHING
        self.drop()
