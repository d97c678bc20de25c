"""One connection of a shard, from the attempt to connect to its end."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import structlog
import trio

from ..market.series import Series
from .errors import Malformed, StreamDown
from .hints import wrong_server_hint
from .hosts import Host
from .send_limiter import SendLimiter
from .stall_detector import StallDetector
from .stream_context import StreamContext
from .venue import (
    CandleUpdate,
    ServerShutdown,
    StreamMessage,
    Subscribed,
    SubscribeFailed,
)
from .websocket_client import WebSocket, run_connection

logger = structlog.get_logger("feed.stream")

SUBSCRIBE_TIMEOUT = 10.0
"""Seconds for the reply to a subscription. Binance ignores one that is too long without a reply."""

MAX_MALFORMED = 20
"""Malformed messages without an update among them that end a connection: another server answers
there."""

ROTATE_JITTER = 3600.0
"""Seconds by which a connection is at most replaced earlier, at random, so that connections that
were opened together are not replaced together."""


class StreamConnection:
    """Subscribes to some series and passes on what arrives.

    `run` connects once. Its state is for the shard, which awaits `wait_for_change`, replaces the
    connection when `needs_replacement`, and cancels `scope` to end it.
    """

    def __init__(
        self, series: Sequence[Series], context: StreamContext, detector: StallDetector
    ) -> None:
        self.scope = trio.CancelScope()
        self.host: Host | None = None
        """Where it connects to, once that is decided."""
        self.opened_at: float | None = None
        """When all subscriptions were confirmed, in seconds of the loop's time."""
        self.rotate_at = float("inf")
        """When it is old enough to be replaced."""
        self.updates = 0
        """Candles received."""
        self.needs_replacement = False
        self.failure: StreamDown | None = None
        self.ended = trio.Event()
        self._series = series
        self._context = context
        self._detector = detector
        self._request = context.venue.stream_request(series)
        self._decoder = context.venue.stream_decoder(series)
        self._malformed = 0  # before the first update
        self._changed = trio.Event()

    @property
    def is_from_wrong_server(self) -> bool:
        return self._malformed >= MAX_MALFORMED

    async def wait_for_change(self) -> None:
        """Wait until it is open, delivers its first update, needs a replacement, or has ended."""
        await self._changed.wait()
        self._changed = trio.Event()

    def request_replacement(self) -> None:
        """Ask the shard to open another connection, which takes over from this one."""
        self.needs_replacement = True
        self._changed.set()

    def end(self) -> None:
        self.ended.set()
        self._changed.set()

    async def run(self, host: Host, on_open: Callable[[], None]) -> None:
        """Connect to `host`, subscribe, call `on_open`, and take updates until cancelled.

        Raises:
            StreamDown: the connection could not be opened or has ended.
        """

        async def handle(websocket: WebSocket) -> None:
            await self._subscribe(websocket)
            self._open(on_open)
            while True:
                await self._handle(await websocket.receive())

        self.host = host
        limits = self._context.venue.limits
        limiter = SendLimiter(limits.max_messages, limits.message_period)
        await run_connection(
            host.url + self._request.path, self._context.dial, handle, limiter=limiter
        )

    async def _subscribe(self, websocket: WebSocket) -> None:
        """Send what the URL did not carry: each request when the one before it is confirmed.

        Raises:
            StreamDown: a request was refused, or not answered within `SUBSCRIBE_TIMEOUT` seconds.
        """
        for request in self._request.messages:
            await websocket.send(request)
            if not await self._handle_until_reply(websocket):
                raise StreamDown(f"no reply to a subscription in {SUBSCRIBE_TIMEOUT:.0f} s")

    async def _handle_until_reply(self, websocket: WebSocket) -> bool:
        """Handle messages up to the reply to a subscription; False if none arrives in time."""
        deadline = trio.current_time() + SUBSCRIBE_TIMEOUT
        while True:
            message = None
            with trio.move_on_at(deadline):  # around `receive` only: nothing else is cancelled
                message = await websocket.receive()
            if message is None:
                return False
            if await self._handle(message):
                return True

    def _open(self, on_open: Callable[[], None]) -> None:
        context = self._context
        context.counters.connects += 1
        logger.info("stream_connected", series=len(self._series))
        on_open()
        self.opened_at = now = trio.current_time()
        jitter = random.random() * min(ROTATE_JITTER, context.rotate_after / 10)
        self.rotate_at = now + context.rotate_after - jitter
        self._changed.set()

    # -- messages --------------------------------------------------------------------------

    async def _handle(self, message: str | bytes) -> bool:
        """Carry out a message; return whether it was the reply to a subscription."""
        match self._decode(message):
            case CandleUpdate() as update:
                await self._take(update)
            case ServerShutdown():
                logger.info("stream_rotates", series=len(self._series), reason="shutdown")
                self.request_replacement()
            case Subscribed():
                return True
            case SubscribeFailed(detail):
                raise StreamDown(f"subscription refused: {detail}")
            case None:
                pass
        return False

    async def _take(self, update: CandleUpdate) -> None:
        context = self._context
        now = trio.current_time()
        context.counters.updates += 1
        context.health.received_at = now
        self._detector.note_update(update.series, update.candle, now)
        self.updates += 1
        if self.updates == 1:
            self._changed.set()
        try:
            context.updates.put_nowait(update)
        except trio.WouldBlock:
            await context.updates.put(update)

    def _decode(self, message: str | bytes) -> StreamMessage | None:
        try:
            return self._decoder.decode(message)
        except Malformed as error:
            counters = self._context.counters
            counters.malformed += 1
            logger.warning("malformed_message", error=str(error), total=counters.malformed)
            if not self.updates:
                self._malformed += 1
            if self.is_from_wrong_server:
                down = StreamDown(f"{MAX_MALFORMED} messages, and none of them is the exchange's")
                down.hint = wrong_server_hint(self._context.venue.stream_variable)
                raise down from error
            return None
