"""Outboxes that record what is posted to them."""

from __future__ import annotations

import trio
import trio.testing

from smarttrade.session.frame_queue import ClosedReason
from smarttrade.session.frames import FrameBatch
from smarttrade.session.outbox import Outbox
from smarttrade.session.outbox_counters import OutboxCounters

from .frames import Message, messages


async def ended(outbox: Outbox) -> ClosedReason:
    """Return when it has ended, and why."""
    end = trio.Event()
    outbox.report_end(lambda _: end.set())
    await end.wait()
    assert outbox.closed_reason is not None
    return outbox.closed_reason


async def run(outbox: Outbox) -> ClosedReason:
    """Have it written what is pending until it ends, as a connection does."""
    async with trio.open_nursery() as nursery:
        outbox.write_in(nursery)
        because = await ended(outbox)
        nursery.cancel_scope.cancel()
    return because


class RecordingOutbox(Outbox):
    """Sends nothing and records everything until it is ended."""

    def __init__(self) -> None:
        stream, _ = trio.testing.memory_stream_pair()
        super().__init__(stream, counters=OutboxCounters())
        self.batches: list[FrameBatch] = []
        self.data = b""

    def post(self, batch: FrameBatch) -> None:
        if self.closed_reason is None:
            keys = [key for key, _ in batch.frames]
            assert keys, "nothing to post"
            assert len(set(keys)) == len(keys), "no key twice"
            assert b"".join(frame for _, frame in batch.frames) == batch.data
            self.batches.append(batch)
            self.data += batch.data

    def post_once(self, data: bytes) -> None:
        if self.closed_reason is None:
            self.data += data

    def end(self, because: ClosedReason = ClosedReason.FAILED) -> None:
        self.closed_reason = because

    @property
    def got(self) -> list[Message]:
        """Every message posted so far."""
        return messages(self.data)

    def drain(self) -> list[Message]:
        """Every message posted since the last call."""
        got, self.data = self.got, b""
        return got
