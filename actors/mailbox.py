"""Mailboxes: where an actor receives messages, and how others reach it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

import trio

from .errors import ActorDied, MailboxClosed
from .overflow import Newest, Overflow, Slot
from .reply import Reply

M = TypeVar("M")
R = TypeVar("R")


class Mailbox(Generic[M]):
    """A bounded queue of messages for one actor.

    It belongs to the wiring, not to the actor, so that it outlives a restart: whoever
    holds it can keep sending while the actor comes back. A crash loses the messages that
    the actor had taken, so a message that makes it crash does not do so for ever; what
    is queued waits for the next incarnation.

    Args:
        name: for errors and inspection.
        capacity: most messages that are queued at any time, at least 1.
        overflow: what happens when that many are.
        key: for `Overflow.NEWEST` only: says what a message is the newest of, such as
            the sensor of a reading. A message whose key is None, and every question, is
            never replaced and never overtaken: what was queued before it keeps its
            content.

    Attributes:
        handled: messages taken since it was made.

    Raises:
        ValueError: there is no room for a message, or a key without `Overflow.NEWEST`, or
            that without a key.
    """

    def __init__(
        self,
        name: str,
        *,
        capacity: int,
        overflow: Overflow = Overflow.WAIT,
        key: Callable[[M], Hashable] | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox needs room for a message: {capacity}")
        if (overflow is Overflow.NEWEST) != (key is not None):
            raise ValueError(f"a key goes with Overflow.NEWEST and only with it: {overflow}")
        self.name = name
        self.capacity = capacity
        self.handled = 0
        self._overflow = overflow
        self._send, self._receive = trio.open_memory_channel[Slot[M]](capacity)
        self._closed = False
        self._unanswered: set[Reply[Any]] = set()
        self._newest = None if key is None else Newest(key)

    @property
    def depth(self) -> int:
        """Messages queued now. Those of senders that wait for room are not among them."""
        return self._receive.statistics().current_buffer_used

    # Sending

    async def tell(self, message: M) -> None:
        """Send, waiting while the mailbox is full, unless it refuses.

        If this is cancelled, the message was not sent.

        Raises:
            MailboxClosed: the actor has stopped for good.
            trio.WouldBlock: the mailbox is full and its policy is `Overflow.REFUSE`.
        """
        await self._put(Slot(message))

    def tell_nowait(self, message: M) -> None:
        """Send if that needs no waiting.

        Raises:
            MailboxClosed: the actor has stopped for good.
            trio.WouldBlock: the mailbox is full.
        """
        self._put_nowait(Slot(message))

    async def ask(self, make: Callable[[Reply[R]], M]) -> R:
        """Send a message that carries a `Reply`, and wait for the answer.

        Waits as long as it takes, also over a restart of the actor: say how long with
        ``trio.fail_after``. If this is cancelled once the question is queued, the actor
        still receives it, with a reply that nobody wants.

        Two actors that ask each other wait for ever: let questions go one way only, and
        `tell` in the other.

        Args:
            make: puts the reply into the message, for example ``partial(Add, 2)`` where the
                reply is the last field of ``Add``.

        Raises:
            ActorDied: the actor took the question and stopped before it answered.
            MailboxClosed: the actor has stopped for good and never took it.
            trio.WouldBlock: the mailbox is full and its policy is `Overflow.REFUSE`.
            Exception: whatever the actor answers with `Reply.fail`.
        """
        reply: Reply[R] = Reply()
        try:
            await self._put(Slot(make(reply), reply=reply))
            return await reply.wait()
        finally:
            self._unanswered.discard(reply)

    # Receiving

    async def receive(self) -> M:
        """Take the next message, waiting for one.

        Raises:
            trio.EndOfChannel: the mailbox is closed and nothing is left in it.
        """
        return self._take(await self._receive.receive())

    def receive_nowait(self) -> M:
        """Take the next message if there is one.

        Raises:
            trio.WouldBlock: there is none.
            trio.EndOfChannel: the mailbox is closed and nothing is left in it.
        """
        return self._take(self._receive.receive_nowait())

    async def receive_batch(self, most: int) -> list[M]:
        """Take up to `most` messages: waits for the first, then takes what is there.

        One pass through the scheduler for the whole batch. A crash loses all of it.

        Raises:
            trio.EndOfChannel: the mailbox is closed and nothing is left in it.
        """
        batch = [await self.receive()]
        take, receive = self._take, self._receive.receive_nowait
        try:
            while len(batch) < most:
                batch.append(take(receive()))
        except (trio.WouldBlock, trio.EndOfChannel):
            pass
        return batch

    # Not an async generator: those complain when a crash abandons the loop.
    def __aiter__(self) -> Mailbox[M]:
        return self

    async def __anext__(self) -> M:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    # Ending

    def close(self) -> None:
        """Accept no more messages. Those that are queued may still be taken.

        Senders that wait for room get `MailboxClosed`. As a `Child.stop` this lets the
        actor finish its work first; if it was stopped for a restart, senders get
        `MailboxClosed` until it starts again.
        """
        self._closed = True
        self._send.close()

    # For supervisors

    def fail_taken(self, cause: Exception | None = None) -> None:
        """Answer the questions that the actor took and left open: it stopped."""
        for reply in tuple(self._unanswered):
            died = ActorDied(f"{self.name} stopped before it answered")
            died.__cause__ = cause
            reply.fail(died)
        self._unanswered.clear()

    def abandon(self) -> None:
        """The actor will not come back: close, drop what is queued, answer every question."""
        self.close()
        self.fail_taken()
        for slot in self._drain():
            if self._newest is not None:
                self._newest.forget(slot)
            if slot.reply is not None:
                slot.reply.fail(MailboxClosed(self.name))

    def reopen(self) -> None:
        """The actor is about to start: accept messages again, keeping what is queued."""
        if not self._closed:
            return
        left = tuple(self._drain())
        self._send, self._receive = trio.open_memory_channel[Slot[M]](self.capacity)
        self._closed = False
        for slot in left:
            self._send.send_nowait(slot)

    # Inside

    async def _put(self, slot: Slot[M]) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._put_nowait(slot)
        except trio.WouldBlock:
            if self._overflow is Overflow.REFUSE:
                raise
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        try:
            await self._send.send(slot)
        except trio.ClosedResourceError:
            raise MailboxClosed(self.name) from None
        if self._newest is not None:
            self._newest.remember(slot)

    def _put_nowait(self, slot: Slot[M]) -> None:
        if self._newest is not None:
            self._newest.place(slot)
        try:
            self._send.send_nowait(slot)
        except trio.WouldBlock:
            if self._newest is None or not self._newest.replace(slot):
                raise
        except trio.ClosedResourceError:
            raise MailboxClosed(self.name) from None
        else:
            if self._newest is not None:
                self._newest.remember(slot)

    def _take(self, slot: Slot[M]) -> M:
        self.handled += 1
        if slot.reply is not None and slot.reply.wanted:
            self._unanswered.add(slot.reply)
        if self._newest is not None:
            self._newest.forget(slot)
        return slot.message

    def _drain(self) -> Iterator[Slot[M]]:
        while True:
            try:
                yield self._receive.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                return
