"""What a full mailbox does, and the book-keeping for messages that replace each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Any, Generic, TypeVar

from .reply import Reply

M = TypeVar("M")


class Overflow(Enum):
    """What happens to a message for which there is no room."""

    WAIT = "the sender waits"
    REFUSE = "the sender gets trio.WouldBlock"
    NEWEST = "it replaces the queued message with the same key; without one the sender waits"


@dataclass(slots=True, eq=False)
class Slot(Generic[M]):
    """One place in a queue. What lies in it may change until it is taken."""

    message: M
    reply: Reply[Any] | None = None
    """Of a question: where the answer goes."""
    key: Hashable = None
    """What the message is the newest of; None: it is never replaced or overtaken."""
    place: int = 0
    """Grows in the order of the queue."""
    taken: bool = False


class Newest(Generic[M]):
    """The queued slots whose message may be replaced, one for each key.

    Never holds more than the queue does.
    """

    def __init__(self, key: Callable[[M], Hashable]) -> None:
        self._key = key
        self._slots: dict[Hashable, Slot[M]] = {}
        self._places = count(1)
        self._barrier = 0  # place of the last message that nothing may overtake

    def place(self, slot: Slot[M]) -> None:
        """Give `slot` its place. It must be offered to the queue before anything else is.

        Trio lets waiting senders in first come, first served, so the places are right
        also when it has to wait.
        """
        if slot.reply is None:
            slot.key = self._key(slot.message)
        slot.place = next(self._places)

    def remember(self, slot: Slot[M]) -> None:
        """Note what `slot`, which was let in, means for the messages that come after it.

        A sender that had to wait gets here some time after its message was let in: later
        ones may have been noted before it, and it may even be taken.
        """
        if slot.key is None:
            self._barrier = max(self._barrier, slot.place)
            return
        newest = self._slots.get(slot.key)
        if not slot.taken and (newest is None or newest.place < slot.place):
            self._slots[slot.key] = slot

    def replace(self, slot: Slot[M]) -> bool:
        """Put the message of `slot` where a queued one with its key lies, if one does."""
        old = self._slots.get(slot.key)
        if old is None or old.place < self._barrier:
            return False
        old.message = slot.message
        return True

    def forget(self, slot: Slot[M]) -> None:
        """`slot` has left the queue."""
        slot.taken = True
        if self._slots.get(slot.key) is slot:
            del self._slots[slot.key]
