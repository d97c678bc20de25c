"""What waits for one client, and the writing of it.

The rules, each with a test in tests/smarttrade/session/test_outbox.py:

* `post` never waits. While nothing is pending, a batch goes to the socket in one non-blocking send.
* What the socket does not take is *pending*, one frame per key (series, open time): a newer state
  takes the place of an older one, so a slow client skips states of a forming candle and never the
  last state of any candle.
* A frame that has begun is finished before anything else: what a client reads is whole frames.
* `post_once` is a barrier: what was pending before stays before it.
* A client that takes nothing for `stall_limit` seconds while something is being written is
  *stalled*: the transport is reset by the very task that writes, so that a write which a caller
  shields from cancellation ends too.
* A client with more than `max_pending_bytes` pending is *overflowed*: what has not begun is
  dropped and the end is reported, so that its session can close with code 1013.
* There is a task that writes only while something is pending.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

import trio

from .frames import Frame, FrameBatch
from .outbox_counters import OutboxCounters
from .pending import Pending
from .transport import Transport
from .waiting_bytes import WaitingBytes
from .write_deadline import WriteDeadline

MAX_PENDING_BYTES = 16 * 1024 * 1024  # twice the snapshots of 60 series of 1000 candles


class ClosedReason(Enum):
    """Why an outbox takes no more posts."""

    FINISHED = "finished"  # we ended it; what is pending still goes out
    OVERFLOWED = "overflowed"  # too much pending; the session should close with 1013
    STALLED = "stalled"  # the client took nothing for the stall limit; the transport is gone
    FAILED = "failed"  # the client or the network broke the connection


class FrameQueue:
    """Owns the transport. The hub calls `post` and `post_once`; a connection lends its nursery."""

    __slots__ = (
        "_counters",
        "_deadline",
        "_is_closed",
        "_is_writing",
        "_lock",
        "_max_pending_bytes",
        "_memory",
        "_nursery",
        "_pending",
        "_received",
        "_report_end",
        "_send_now",
        "_transport",
        "_written",
        "closed_reason",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        stall_limit: float = 30.0,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        memory: WaitingBytes | None = None,
        counters: OutboxCounters,
    ) -> None:
        """`memory` counts what waits here beside what waits for other clients."""
        self._transport = Transport(stream)
        self._deadline = WriteDeadline(stall_limit)
        self._max_pending_bytes = max_pending_bytes
        self._counters = counters
        self._memory = memory or WaitingBytes(max_pending_bytes)
        self._pending = Pending(self._memory)
        self._received = 0
        self._memory.join(self)
        self._lock = trio.Lock()
        self._nursery: trio.Nursery | None = None
        self._is_writing = False
        self._report_end: Callable[[ClosedReason], object] | None = None
        self._written: trio.Event | None = None  # there only while `written` is waited for
        self._is_closed = False
        # The socket's own send while a post may go straight out, else None: the hot path's only
        # question.
        self._send_now = self._transport.send_now
        self.closed_reason: ClosedReason | None = None

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for the socket, begun ones included."""
        return self._pending.bytes

    # -- what the hub calls ----------------------------------------------------------------

    def post(self, batch: FrameBatch) -> None:
        """Send frames now if the client is up to date, else keep the newest of each key.

        Never waits and never raises; does nothing once the outbox has ended.
        """
        send = self._send_now
        if send is None:
            self._queue(batch.frames)
            return
        try:
            taken = send(batch.data)
        except BlockingIOError:
            taken = 0
        except OSError:
            self._fail()
            return
        counters = self._counters
        counters.bytes += taken
        if taken == len(batch.data):
            counters.messages += len(batch.frames)
        else:
            self._queue_rest(batch.frames, taken)

    def post_once(self, data: bytes) -> None:
        """Send whole frames that nothing may replace, after everything posted before.

        Never waits and never raises; does nothing once the outbox has ended.
        """
        if self.closed_reason is None:
            self._counters.messages += 1
            self._send_or_append(data)
            self._check_size()

    # -- what the connection and the session call ------------------------------------------

    def write_in(self, nursery: trio.Nursery) -> None:
        """Write what is pending in a task of `nursery`, whenever the client takes it.

        Cancelling it loses nothing: what is pending goes out with the next write, except that
        without a socket of its own the cancellation waits for the chunk in hand.
        """
        self._nursery = nursery
        self._start_writer()

    def report_end(self, report: Callable[[ClosedReason], object] | None) -> None:
        """Call `report` when the outbox ends, or now if it has; it must not wait. None: no more."""
        self._report_end = report
        if report is not None and self.closed_reason is not None:
            report(self.closed_reason)

    async def written(self) -> None:
        """Return when all that was posted once by now is written, or the outbox has ended."""
        ticket = self._pending.ticket
        while self.closed_reason is None and not self._pending.is_written(ticket):
            self._written = trio.Event()
            try:
                await self._written.wait()
            finally:
                self._written = None

    def finish(self) -> None:
        """Take no more posts. What is pending still goes out, within one stall limit in all."""
        self._end(ClosedReason.FINISHED)
        self._start_final()

    def overflow(self) -> None:
        """Drop what has not begun and end, so that the session can close with code 1013 at once."""
        if self.closed_reason is None:
            self._counters.overflowed += 1
            self._pending.drop()
        self._end(ClosedReason.OVERFLOWED)
        self._start_final()

    # -- what the limit on memory calls ----------------------------------------------------

    def count_for(self, memory: WaitingBytes) -> None:
        """From now on, `memory` counts what waits here; before anything does."""
        assert not self._pending
        received = self._received  # perhaps of the request before, whose answer is just over
        self.count_received(-received)
        self._memory.leave(self)
        self._memory = memory
        self._pending = Pending(memory)
        memory.join(self)
        self.count_received(received)

    def count_received(self, change: int) -> None:
        """Count so many bytes more, or fewer, that the client sent and that wait to be handled.

        Until the outbox ends: what its client sent is dropped soon after that.
        """
        if self.closed_reason is None:
            self._received += change
            self._memory.add(change)
            if change > 0:
                self._memory.enforce()

    def held(self, share: Callable[[bytes], float]) -> float:
        return self._received + self._pending.held(share)

    def exceed(self) -> None:
        """Overflow, because too much waits for all clients."""
        if self.closed_reason is None and (self._pending or self._received):
            self._counters.closed_for_memory += 1
            self.overflow()

    def reset(self) -> None:
        """Drop everything, and break the connection; its tasks notice."""
        if self._pending:
            self._end(ClosedReason.FAILED)
            self._close()
            if (sock := self._transport.discard_unsent()) is not None:
                sock.close()

    # -- the pending queue -----------------------------------------------------------------

    def _send_or_append(self, data: bytes) -> None:
        """Send `data` after everything that is pending, or append it as a barrier."""
        send, taken = self._send_now, 0
        if send is not None:
            try:
                taken = send(data)
            except BlockingIOError:
                pass
            except OSError:
                self._fail()
                return
            self._counters.bytes += taken
        if taken == len(data):
            return
        if taken:
            self._pending.start_partial(data, taken)
        else:
            self._pending.append_barrier(data)
        self._start_writer()

    def _queue_rest(self, frames: tuple[Frame, ...], taken: int) -> None:
        """Queue what remains of `frames` when the socket took only the first `taken` bytes."""
        whole = 0
        for _, frame in frames:
            if taken < len(frame):
                break
            taken -= len(frame)
            whole += 1
        if taken:
            self._pending.start_partial(frames[whole][1], taken)
            whole += 1
        self._counters.messages += whole
        self._start_writer()
        self._queue(frames[whole:])

    def _queue(self, frames: Sequence[Frame]) -> None:
        if self.closed_reason is not None:
            return
        # Without a socket everything waits for the writer's turn: that alone is not being slow.
        is_behind = self._transport.send_now is not None or self._lock.locked()
        self._counters.conflated += self._pending.put_frames(frames, is_behind=is_behind)
        self._counters.messages += len(frames)
        self._start_writer()
        self._check_size()

    def _check_size(self) -> None:
        if self._pending.bytes > self._max_pending_bytes:
            self.overflow()
        self._memory.enforce()

    # -- writing ---------------------------------------------------------------------------

    def _start_writer(self) -> None:
        """Something may be pending; then nothing goes straight out."""
        if not self._pending:
            return
        self._send_now = None
        if self._nursery is not None and not self._is_writing and self.closed_reason is None:
            self._is_writing = True
            self._nursery.start_soon(self._write_pending)

    async def _write_pending(self) -> None:
        try:
            while self._pending and self.closed_reason is None:
                await self._write_once()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the end has been reported
        finally:
            self._is_writing = False

    async def _write_once(self) -> None:
        """Write some of what is pending, alone, and let others have a turn."""
        async with self._lock:
            if self._is_closed:
                raise trio.ClosedResourceError("the outbox is closed")
            if data := self._pending.peek():
                self._consumed(await self._write(data))
            if self._written is not None:
                self._written.set()
            if not self._pending:
                self._deadline.reset()
                if self.closed_reason is None:
                    self._send_now = self._transport.send_now

    def _consumed(self, size: int) -> None:
        self._counters.bytes += size
        if self._is_closed:
            raise trio.ClosedResourceError("the outbox was closed meanwhile")
        self._pending.consume(size)

    async def _write(self, data: memoryview) -> int:
        """Give some of `data` to the transport; return how much it took, at least one byte."""
        try:
            taken = await self._transport.write(data, self._deadline)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            if self._is_closed:
                raise trio.ClosedResourceError("the outbox was closed meanwhile") from error
            self._fail()
            raise trio.BrokenResourceError("the client is gone") from error
        if not taken:
            self._end(ClosedReason.STALLED)
            self._counters.evicted += 1
            await self.abort()
            limit = self._deadline.stall_limit
            raise trio.BrokenResourceError(f"the client took nothing for {limit} s")
        return taken

    # -- ending ----------------------------------------------------------------------------

    async def abort(self) -> None:
        """Reset the transport: what the kernel still holds for the client is thrown away too."""
        self._end(ClosedReason.FINISHED)
        self._close()
        self._transport.discard_unsent()
        await trio.aclose_forcefully(self._transport.stream)

    def _end(self, why: ClosedReason) -> None:
        self._send_now = None
        if self._written is not None:
            self._written.set()
        if self.closed_reason is None:
            self.count_received(-self._received)
            self.closed_reason = why
            if self._report_end is not None:
                self._report_end(why)

    def _start_final(self) -> None:
        if self._pending:
            self._deadline.start_final()

    def _fail(self) -> None:
        if self.closed_reason is None:
            self._counters.failed += 1
        self._end(ClosedReason.FAILED)
        self._close()

    def _close(self) -> None:
        self._is_closed = True
        self._pending.drop_all()
        self._memory.leave(self)
