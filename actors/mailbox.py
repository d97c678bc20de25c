"""Mailboxes: where an actor receives messages, and how others reach it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

import trio

from .errors import ActorDied, MailboxClosed
from .overflow import Conflation, Envelope, Overflow
from .reply import Reply

M = TypeVar("M")
R = TypeVar("R")


class Mailbox(Generic[M]):
    """A bounded queue of messages for one actor.

    It belongs to the code that wires the program, not to the actor, so it outlives a
    restart: senders can keep sending while the actor is restarted. A crash loses the
    messages that the actor had received, so one that causes a crash does not cause it
    again; what is queued waits for the next run.

    Args:
        name: for errors and inspection.
        capacity: maximum number of queued messages, at least 1.
        overflow: what happens when the mailbox is full.
        key: for `Overflow.CONFLATE` only: what a message is the newest state of, such as
            the sensor of a reading. A message whose key is None, and every question, is
            never replaced and never overtaken: messages queued before it keep their
            content.

    Attributes:
        handled: number of messages received since it was created.
        failures: how often the actor has failed; each time may have lost messages.

    Raises:
        ValueError: the capacity is below 1, or only one of `key` and `Overflow.CONFLATE`
            is given.
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
            raise ValueError(f"capacity must be at least 1: {capacity}")
        if (overflow is Overflow.CONFLATE) != (key is not None):
            raise ValueError(f"a key is for Overflow.CONFLATE, which needs one: {overflow}")
        self.name = name
        self.capacity = capacity
        self.handled = 0
        self.failures = 0
        self._overflow = overflow
        self._send, self._receive = trio.open_memory_channel[Envelope[M]](capacity)
        self._closed = False
        self._unanswered: set[Reply[Any]] = set()
        self._conflation = None if key is None else Conflation(key)

    @property
    def depth(self) -> int:
        """Number of queued messages. Those of senders that wait for room are not counted."""
        return self._receive.statistics().current_buffer_used

    # Sending

    async def tell(self, message: M) -> None:
        """Send a message, waiting while the mailbox is full.

        If this is cancelled, the message was not sent.

        Raises:
            MailboxClosed: the actor has stopped permanently.
            trio.WouldBlock: the mailbox is full and its policy is `Overflow.REFUSE`.
        """
        await self._put(Envelope(message))

    def tell_nowait(self, message: M) -> None:
        """Send a message if there is room for it.

        Raises:
            MailboxClosed: the actor has stopped permanently.
            trio.WouldBlock: the mailbox is full.
        """
        self._put_nowait(Envelope(message))

    async def ask(self, make: Callable[[Reply[R]], M]) -> R:
        """Send a message that carries a `Reply`, and wait for the answer.

        Waits indefinitely, also across a restart of the actor: set a limit with
        ``trio.fail_after``. If this is cancelled once the question is queued, the actor
        still receives it, with a reply that is no longer `Reply.wanted`.

        Two actors that ask each other deadlock: let questions go one way only, and
        `tell` the other way.

        Args:
            make: puts the reply into the message, for example ``partial(Add, 2)`` where the
                reply is the last field of ``Add``.

        Raises:
            ActorDied: the actor received the question and stopped before it answered.
            MailboxClosed: the actor has stopped permanently and never received it.
            trio.WouldBlock: the mailbox is full and its policy is `Overflow.REFUSE`.
            Exception: any error that the actor answers with (`Reply.fail`).
        """
        reply: Reply[R] = Reply()
        try:
            await self._put(Envelope(make(reply), reply=reply))
            return await reply.wait()
        finally:
            self._unanswered.discard(reply)

    # Receiving

    async def receive(self) -> M:
        """Receive the next message, waiting for one.

        Raises:
            trio.EndOfChannel: the mailbox is closed and empty.
        """
        return self._take(await self._receive.receive())

    def receive_nowait(self) -> M:
        """Receive the next message if there is one.

        Raises:
            trio.WouldBlock: the mailbox is empty.
            trio.EndOfChannel: the mailbox is closed and empty.
        """
        return self._take(self._receive.receive_nowait())

    async def receive_batch(self, max_size: int) -> list[M]:
        """Receive up to `max_size` messages: wait for the first, then take what is queued.

        The whole batch costs one pass through the scheduler. A crash loses all of it.

        Raises:
            trio.EndOfChannel: the mailbox is closed and empty.
        """
        batch = [await self.receive()]
        take, receive = self._take, self._receive.receive_nowait
        try:
            while len(batch) < max_size:
                batch.append(take(receive()))
        except (trio.WouldBlock, trio.EndOfChannel):
            pass
        return batch

    # Not an async generator: Python warns about one that a crash leaves unfinished.
    def __aiter__(self) -> Mailbox[M]:
        return self

    async def __anext__(self) -> M:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    # Closing

    def close(self) -> None:
        """Accept no more messages. Queued messages can still be received.

        Senders that wait for room get `MailboxClosed`. As `Child.stop` this lets the
        actor finish its work first; if it is stopped for a restart, senders get
        `MailboxClosed` until it starts again.
        """
        self._closed = True
        self._send.close()

    # Called by supervisors

    def fail_unanswered(self, cause: Exception | None = None) -> None:
        """Fail the questions that the actor received and did not answer: it has stopped.

        With a `cause`, which is why, it has failed.
        """
        self.failures += cause is not None
        for reply in tuple(self._unanswered):
            died = ActorDied(f"{self.name} stopped before it answered")
            died.__cause__ = cause
            reply.fail(died)
        self._unanswered.clear()

    def abandon(self) -> None:
        """Close permanently: drop what is queued and fail every open question."""
        self.close()
        self.fail_unanswered()
        for envelope in self._drain():
            if self._conflation is not None:
                self._conflation.remove(envelope)
            if envelope.reply is not None:
                envelope.reply.fail(MailboxClosed(self.name))

    def reopen(self) -> None:
        """Accept messages again, keeping what is queued: the actor is about to start."""
        if not self._closed:
            return
        queued = tuple(self._drain())
        self._send, self._receive = trio.open_memory_channel[Envelope[M]](self.capacity)
        self._closed = False
        for envelope in queued:
            self._send.send_nowait(envelope)

    # Internals

    async def _put(self, envelope: Envelope[M]) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._put_nowait(envelope)
        except trio.WouldBlock:
            if self._overflow is Overflow.REFUSE:
                raise
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        try:
            await self._send.send(envelope)
        except trio.ClosedResourceError:
            raise MailboxClosed(self.name) from None
        if self._conflation is not None:
            self._conflation.add(envelope)

    def _put_nowait(self, envelope: Envelope[M]) -> None:
        if self._conflation is not None:
            self._conflation.assign_position(envelope)
        try:
            self._send.send_nowait(envelope)
        except trio.WouldBlock:
            if self._conflation is None or not self._conflation.replace(envelope):
                raise
        except trio.ClosedResourceError:
            raise MailboxClosed(self.name) from None
        else:
            if self._conflation is not None:
                self._conflation.add(envelope)

    def _take(self, envelope: Envelope[M]) -> M:
        self.handled += 1
        if envelope.reply is not None and envelope.reply.wanted:
            self._unanswered.add(envelope.reply)
        if self._conflation is not None:
            self._conflation.remove(envelope)
        return envelope.message

    def _drain(self) -> Iterator[Envelope[M]]:
        while True:
            try:
                yield self._receive.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                return
