"""What a full mailbox does, and the bookkeeping for messages that replace each other."""

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
    CONFLATE = "it replaces the queued message with the same key; without one the sender waits"


@dataclass(slots=True, eq=False)
class Envelope(Generic[M]):
    """A queued message. Its content may be replaced until it is received."""

    message: M
    reply: Reply[Any] | None = None
    """Of a question: where the answer goes."""
    key: Hashable = None
    """What the message is the newest state of; None: it is never replaced or overtaken."""
    position: int = 0
    """Grows in the order of the queue."""
    received: bool = False


class Conflation(Generic[M]):
    """The queued envelopes whose message may be replaced, one for each key.

    Never holds more than the queue does.
    """

    def __init__(self, key: Callable[[M], Hashable]) -> None:
        self._key = key
        self._newest: dict[Hashable, Envelope[M]] = {}
        self._positions = count(1)
        self._barrier = 0  # position of the last message that may not be overtaken

    def assign_position(self, envelope: Envelope[M]) -> None:
        """Give `envelope` its position, immediately before it is offered to the queue.

        Trio admits waiting senders in the order in which they came, so positions are right
        also for one that has to wait.
        """
        if envelope.reply is None:
            envelope.key = self._key(envelope.message)
        envelope.position = next(self._positions)

    def add(self, envelope: Envelope[M]) -> None:
        """Record that `envelope` is in the queue.

        A sender that had to wait gets here some time after its message was admitted: later
        messages may have been recorded before it, and it may even have been received.
        """
        if envelope.key is None:
            self._barrier = max(self._barrier, envelope.position)
            return
        newest = self._newest.get(envelope.key)
        if not envelope.received and (newest is None or newest.position < envelope.position):
            self._newest[envelope.key] = envelope

    def replace(self, envelope: Envelope[M]) -> bool:
        """Replace the message of the queued envelope with the same key, if there is one."""
        old = self._newest.get(envelope.key)
        if old is None or old.position < self._barrier:
            return False
        old.message = envelope.message
        return True

    def remove(self, envelope: Envelope[M]) -> None:
        """Record that `envelope` has left the queue."""
        envelope.received = True
        if self._newest.get(envelope.key) is envelope:
            del self._newest[envelope.key]
