"""WebSocket clients on memory streams, named by behaviour."""

from __future__ import annotations

import json
from typing import Any

import trio
import trio.testing

from smarttrade.session.outbox import Outbox
from smarttrade.session.outbox_counters import OutboxCounters

from .frames import FrameReader, Message


class MemoryClient:
    """Sends the requests of a test and reads what the session sends."""

    def __init__(self, *, max_pending_bytes: int = 1_000_000) -> None:
        ours, self._theirs = self._streams()
        self.outbox = Outbox(ours, counters=OutboxCounters(), max_pending_bytes=max_pending_bytes)
        self.closed: tuple[int, str] | None = None
        self._ask, self._asked = trio.open_memory_channel[str | bytes](1000)
        self._reader = FrameReader()

    @staticmethod
    def _streams() -> tuple[trio.abc.Stream, trio.abc.Stream]:
        return trio.testing.memory_stream_pair()

    # Called by the session

    async def receive(self) -> str | bytes:
        return await self._asked.receive()

    async def close(self, code: int, reason: str) -> None:
        assert self.closed is None
        await trio.lowlevel.checkpoint()
        self.closed = (code, reason)

    # Called by tests

    def ask(self, request: Any) -> None:
        """Send a request: text and bytes as they are, anything else as JSON."""
        is_raw = isinstance(request, str | bytes)
        self._ask.send_nowait(request if is_raw else json.dumps(request))

    async def read(self, count: int) -> list[Message]:
        """At least `count` messages, waiting for them."""
        got: list[Message] = []
        with trio.fail_after(60):
            while len(got) < count:
                got += self._reader.feed(bytes(await self._theirs.receive_some()))
        return got

    async def read_all(self) -> list[Message]:
        """All messages that have been sent so far."""
        got: list[Message] = []
        while True:
            with trio.move_on_after(0.01) as waiting:
                got += self._reader.feed(bytes(await self._theirs.receive_some()))
            if waiting.cancelled_caught:
                return got


class NonReadingClient(MemoryClient):
    """Reads only when the test does; each write waits for that."""

    @staticmethod
    def _streams() -> tuple[trio.abc.Stream, trio.abc.Stream]:
        return trio.testing.lockstep_stream_pair()


class NonClosingClient(MemoryClient):
    """Never completes the closing handshake."""

    async def close(self, code: int, reason: str) -> None:
        await super().close(code, reason)
        await trio.sleep_forever()
