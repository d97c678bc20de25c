"""Keeps the series of one connection delivered, over one connection after the other.

A connection is replaced before it ends: when it is old, when the exchange announces that it will
shut down, and when it is found to be stalled. The old one is closed only after the new one
delivers, so nothing is lost and nothing has to be read again; the windows drop what arrives twice.
Only after a connection that ended by itself must the candles in between be read over REST.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import structlog
import trio

from actors import Backoff

from ..market.series import Series
from ..store.messages import FindMissing
from .errors import StreamDown
from .hints import error_hint
from .hosts import FailureKind, Host
from .stall_detector import StallDetector
from .stall_watch import StallWatch
from .stream_connection import StreamConnection
from .stream_context import StreamContext
from .venue import HostFailure

logger = structlog.get_logger("feed.stream")

RECONNECT_BACKOFF = Backoff(first=0.5, max_pause=10.0)  # seconds between two attempts to connect
HEALTHY_AFTER = 60.0  # seconds of connection after which the next failure counts as the first

DELIVERY_TIMEOUT = 10.0
"""Seconds that a new connection has to deliver an update, while the old one still does."""
OVERLAP = 3.0
"""Seconds for which both are kept after that: more than the 2 s in which the exchange sends every
series that is traded, so the new one has delivered them all."""


class StreamShard:
    """Keeps some series connected. `number` distinguishes it from the other shards."""

    def __init__(self, number: int, series: Sequence[Series], context: StreamContext) -> None:
        self._number = number
        self._series = series
        self._context = context
        self._detector = StallDetector(series, trio.current_time())
        self._open: set[StreamConnection] = set()
        self._is_finding_missing = False
        self._failures = 0

    async def keep_connected(self) -> None:
        """Run until cancelled. There are two connections only while one replaces the other."""
        current: StreamConnection | None = None
        async with trio.open_nursery() as nursery:
            watch = StallWatch(self._detector, self._context)
            nursery.start_soon(watch.run, self._is_connected, self._replace)
            while True:
                successor = StreamConnection(self._series, self._context, self._detector)
                nursery.start_soon(self._run, successor, nursery)
                if not await self._takes_over(successor, current):
                    await trio.sleep(self._pause_after(successor))
                    continue
                if current is not None and not current.ended.is_set():
                    await trio.sleep(OVERLAP)
                    current.scope.cancel()
                    self._context.counters.rotations += 1
                current = successor
                await self._until_replaceable(current)
                if current.ended.is_set():
                    await trio.sleep(self._pause_after(current))

    async def _takes_over(
        self, successor: StreamConnection, current: StreamConnection | None
    ) -> bool:
        """Wait until `successor` can replace `current`; False if it cannot, and is closed.

        It can when it delivers, or when neither does: then there may be no trades.
        """
        while successor.opened_at is None and not successor.ended.is_set():
            await successor.wait_for_change()
        if successor.ended.is_set():
            return False
        if current is None:
            return True
        before = current.updates
        with trio.move_on_after(DELIVERY_TIMEOUT):
            while not (successor.updates or successor.ended.is_set()):
                await successor.wait_for_change()
        delivers = successor.updates > 0 or current.updates == before
        if successor.ended.is_set() or not delivers:
            successor.scope.cancel()
            return False
        return True

    async def _until_replaceable(self, current: StreamConnection) -> None:
        """Wait until a connection has ended or should be replaced."""
        while not (current.ended.is_set() or current.needs_replacement):
            with trio.CancelScope(deadline=current.rotate_at) as waiting:
                await current.wait_for_change()
            if waiting.cancelled_caught:
                logger.info("stream_rotates", series=len(self._series), reason="age")
                current.request_replacement()

    # -- one connection --------------------------------------------------------------------

    async def _run(self, connection: StreamConnection, nursery: trio.Nursery) -> None:
        """Run a connection until it ends or its scope is cancelled.

        `nursery` is for `_find_missing`, which must not delay its messages.
        """
        try:
            with connection.scope:
                host = await self._next_host()
                await self._connect(connection, host, nursery)
        finally:
            self._open.discard(connection)
            if not self._open:
                self._context.health.connected.discard(self._number)
            connection.end()

    async def _connect(
        self, connection: StreamConnection, host: Host, nursery: trio.Nursery
    ) -> None:
        hosts = self._context.hosts
        started_at = trio.current_time()

        def on_open() -> None:
            self._note_open(connection, nursery)
            hosts.answered(host)

        try:
            await connection.run(host, on_open)
        except StreamDown as down:
            self._context.counters.failures += 1
            connection.failure = down
            if connection.opened_at is None or connection.is_from_wrong_server:
                self._note_failure(host, down, started_at)
        finally:
            if connection.opened_at is None and connection.failure is None:
                hosts.abandoned(host)

    def _note_open(self, connection: StreamConnection, nursery: trio.Nursery) -> None:
        if not self._open and not self._is_finding_missing:
            self._is_finding_missing = True
            nursery.start_soon(self._find_missing)
        self._open.add(connection)
        self._context.health.connected.add(self._number)
        self._detector.restart(trio.current_time())

    async def _next_host(self) -> Host:
        """Wait for a host that may be asked, and for an attempt."""
        context = self._context
        while True:
            now = trio.current_time()
            wait = context.hosts.wait(now) or context.attempts.reserve(now)
            if not wait and (host := context.hosts.take(now)) is not None:
                return host
            await trio.sleep(wait)

    def _note_failure(self, host: Host, down: StreamDown, started_at: float) -> None:
        kind = down.kind or FailureKind.FAILING
        if down.status is not None:
            failure = self._context.venue.failure(down.status, {}, b"")
            if isinstance(failure, HostFailure) and failure.kind is not None:
                kind = failure.kind
        self._context.hosts.failed(
            host, kind, trio.current_time(), asked_at=started_at, retry_after=down.retry_after
        )

    async def _find_missing(self) -> None:
        """Have the candles from before this moment read over REST, shortest intervals first.

        A task of its own, and at most one, so that a busy store does not delay messages.
        """
        shortest_first = sorted(self._series, key=lambda each: each.interval.typical_length)
        await self._context.store.tell(FindMissing(tuple(shortest_first)))
        self._is_finding_missing = False

    # -- replacing it ----------------------------------------------------------------------

    def _is_connected(self) -> bool:
        return bool(self._open)

    def _replace(self) -> None:
        """Connect to another host: this one may be what does not deliver."""
        for connection in self._open:
            if connection.host is not None:
                self._context.hosts.open_circuit(
                    connection.host.url, FailureKind.SILENT, trio.current_time()
                )
            connection.request_replacement()

    def _pause_after(self, connection: StreamConnection) -> float:
        """Seconds until the next attempt, after a connection that failed or did not take over."""
        now = trio.current_time()
        if connection.opened_at is not None and now > connection.opened_at + HEALTHY_AFTER:
            self._failures = 0
        self._failures += 1
        pause = RECONNECT_BACKOFF.pause(self._failures, random.random())
        if connection.failure is not None:
            self._log(connection.failure, max(pause, self._context.hosts.wait(now) or 0.0))
        return pause

    def _log(self, failure: StreamDown, pause: float) -> None:
        venue = self._context.venue
        hint = failure.hint or (
            error_hint(failure, venue.stream_variable)
            if failure.status is None
            else venue.status_hint(failure.status, venue.stream_variable)
        )
        fields = {} if hint is None else {"hint": hint}
        logger.warning("stream_down", reason=str(failure), again_in=round(pause, 1), **fields)
