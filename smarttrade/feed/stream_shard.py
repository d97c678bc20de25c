"""One connection's worth of series: always connected, and twice for a moment when it must change.

A connection is replaced before it ends: when it is old, when the exchange says that it will shut
down, and when it is found to keep something back. The next one is up and delivering before the last
one goes, so nothing is lost and nothing need be read again; what both of them tell is sorted out by
the windows. Only when a connection ended by itself is there something to be read over REST.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
import trio

from actors import Backoff, Mailbox

from ..market.candle import Candle
from ..market.series import Series
from ..store.messages import FindMissing, PutHistory, StoreMessage
from .budgets import AttemptBudget
from .connection import Connection, run_connection
from .dial import Dial
from .errors import ExchangeRefused, ExchangeUnavailable, Malformed, StreamDown
from .health import FeedHealth
from .hints import error_hint, wrong_server_hint
from .hosts import Host, Hosts, Trouble
from .rest import RestClient
from .silence import SETTLE, Silence
from .updates import Updates
from .venue import (
    CandleUpdate,
    HostTrouble,
    ServerShutdown,
    StreamDecoder,
    StreamMessage,
    Subscribed,
    SubscribeFailed,
    Venue,
)
from .weight import Purpose

logger = structlog.get_logger("feed.stream")

PAUSE = Backoff(first=0.5, max_pause=10.0)  # seconds between two attempts to connect
HEALTHY_AFTER = 60.0  # seconds of connection after which the next failure is the first again

ROTATE_JITTER = 3600.0
"""Seconds, by which each connection goes earlier at random: not all at the same moment."""
DELIVER_TIMEOUT = 10.0
"""Seconds that a new connection has to deliver something before it is preferred to the old one."""
OVERLAP = 3.0
"""Seconds for which both are kept then: more than the cadence of 2 s, so every series that is
trading has been updated by the new one."""

REPLACEMENT_BACKOFF = Backoff(first=30.0, max_pause=600.0)
"""Seconds between two replacements because of silence: if the exchange itself is mute, another
connection does not help, and REST reads bring what there is."""
SUBSCRIBE_TIMEOUT = 10.0
"""Seconds for the reply to a subscription. The exchange ignores some without a word."""

LOOK_EVERY = 2.0  # seconds between two looks for silence
PROOF_TIMEOUT = 20.0
"""Seconds for a REST read that shows whether a silent series has traded. Hosts may have to be left
alone for longer than that, and silence is not to wait for them."""
STRANGE_AFTER = 20
"""Messages that make no sense, and none that does, by which a connection is somebody else's."""
COMPLAIN_EVERY = 60.0  # seconds between two log lines about malformed messages


@dataclass(slots=True)
class StreamCounters:
    """What the stream did since the process started; survives restarts of the actor."""

    updates: int = 0
    """Candles received."""
    malformed: int = 0
    """Messages skipped because they were not the exchange's."""
    connects: int = 0
    """Connections opened."""
    failures: int = 0
    """Connections that ended by themselves, or could not be opened."""
    rotations: int = 0
    """Connections replaced by another before they ended."""
    mute: int = 0
    """Series found to be kept back by their connection."""


@dataclass(slots=True)
class StreamContext:
    """What all shards of the stream actor share."""

    venue: Venue
    hosts: Hosts
    dial: Dial
    store: Mailbox[StoreMessage]
    rest: RestClient
    updates: Updates
    health: FeedHealth
    attempts: AttemptBudget
    counters: StreamCounters
    rotate_after: float
    complained_at: float = float("-inf")


class StreamConnection:
    """One connection of a shard, from the attempt to its end."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.host: Host | None = None
        self.opened_at: float | None = None
        self.rotate_at = float("inf")
        self.failure: StreamDown | None = None
        self.heard = False
        self.strange = 0
        """Messages that were not the exchange's, until one was."""
        self._changed = trio.Event()
        self.over = trio.Event()
        self.is_due = False
        """Whether another connection should take its place."""

    def changed(self) -> None:
        self._changed.set()

    async def change(self) -> None:
        """Wait until something about it has changed."""
        await self._changed.wait()
        self._changed = trio.Event()


class StreamShard:
    """Keeps some series connected. `number` tells it from the others."""

    def __init__(self, number: int, series: Sequence[Series], context: StreamContext) -> None:
        self._number = number
        self._series = series
        self._context = context
        self._request = context.venue.stream_request(series)
        self._silence = Silence(series, trio.current_time())
        self._open: set[StreamConnection] = set()
        self._searching = False
        self._failures = 0
        self._is_unproven = False
        """Whether the last suspects could not be read over REST, not one of them."""

    async def keep_connected(self) -> None:
        """For ever; never two connections for longer than it takes to hand over."""
        current: StreamConnection | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_silence)
            while True:
                successor = StreamConnection()
                nursery.start_soon(self._run, successor, nursery)
                if not await self._delivers(successor, current):
                    await trio.sleep(self._pause_after(successor))
                    continue
                if current is not None and not current.over.is_set():
                    await trio.sleep(OVERLAP)
                    current.scope.cancel()
                    self._context.counters.rotations += 1
                current = successor
                await self._until_due(current)
                if current.over.is_set():
                    await trio.sleep(self._pause_after(current))

    async def _delivers(
        self, successor: StreamConnection, current: StreamConnection | None
    ) -> bool:
        """Whether `successor` may take over: it delivers, or there is none to replace."""
        while successor.opened_at is None and not successor.over.is_set():
            await successor.change()
        if successor.over.is_set():
            return False
        if current is None:
            return True
        current.heard = False
        with trio.move_on_after(DELIVER_TIMEOUT):
            while not (successor.heard or successor.over.is_set()):
                await successor.change()
        takes_over = not successor.over.is_set() and (successor.heard or not current.heard)
        if not takes_over:
            successor.scope.cancel()
        return takes_over

    async def _until_due(self, current: StreamConnection) -> None:
        """Wait until a connection has ended, or should be replaced."""
        while not (current.over.is_set() or current.is_due):
            with trio.CancelScope(deadline=current.rotate_at) as young:
                await current.change()
            if young.cancelled_caught:
                logger.info("stream_rotates", series=len(self._series), reason="age")
                current.is_due = True

    def _pause_after(self, leg: StreamConnection) -> float:
        """Seconds until the next attempt, after a connection that failed or was not wanted."""
        now = trio.current_time()
        if leg.opened_at is not None and now > leg.opened_at + HEALTHY_AFTER:
            self._failures = 0
        self._failures += 1
        pause = PAUSE.pause(self._failures, random.random())
        if leg.failure is not None:
            self._complain(leg.failure, max(pause, self._context.hosts.wait(now) or 0.0))
        return pause

    def _complain(self, failure: StreamDown, pause: float) -> None:
        venue = self._context.venue
        advice = failure.advice or (
            error_hint(failure, venue.stream_variable)
            if failure.status is None
            else venue.status_hint(failure.status, venue.stream_variable)
        )
        fields = {} if advice is None else {"advice": advice}
        logger.warning("stream_down", reason=str(failure), again_in=round(pause, 1), **fields)

    # -- one connection --------------------------------------------------------------------

    async def _run(self, leg: StreamConnection, nursery: trio.Nursery) -> None:
        """Connect and listen until the connection ends or is cancelled.

        `nursery` is for what must not hold up the receiving.
        """
        context = self._context
        try:
            with leg.scope:
                leg.host = host = await self._next_host()
                asked_at = trio.current_time()

                async def listen(connection: Connection) -> None:
                    await self._listen(leg, connection, nursery)

                await run_connection(host.url + self._request.path, context.dial, listen)
        except StreamDown as down:
            context.counters.failures += 1
            leg.failure = down
            if leg.opened_at is None or leg.strange >= STRANGE_AFTER:
                self._note_failure(host, down, asked_at)
        finally:
            if leg.host is not None and leg.opened_at is None and leg.failure is None:
                context.hosts.dropped(leg.host)
            self._open.discard(leg)
            if not self._open:
                context.health.connected.discard(self._number)
            leg.over.set()
            leg.changed()

    async def _next_host(self) -> Host:
        """Wait for a host that may be asked, and for an attempt."""
        context = self._context
        while True:
            now = trio.current_time()
            wait = context.hosts.wait(now) or context.attempts.reserve(now)
            if not wait and (host := context.hosts.take(now)) is not None:
                return host
            await trio.sleep(wait)

    def _note_failure(self, host: Host, down: StreamDown, asked_at: float) -> None:
        """Another host may do better, or this one wants to be left alone for longer."""
        trouble = down.trouble or Trouble.FAILING
        if down.status is not None:
            failure = self._context.venue.failure(down.status, {}, b"")
            if isinstance(failure, HostTrouble) and failure.trouble is not None:
                trouble = failure.trouble
        self._context.hosts.failed(
            host, trouble, trio.current_time(), asked_at=asked_at, retry_after=down.retry_after
        )

    async def _find_missing(self) -> None:
        """What was sent before this moment is lost, and is read over REST.

        A task of its own, and one at most: a busy store is no reason not to receive. Short
        intervals first, as the first ones are read as they come.
        """
        shortest_first = sorted(self._series, key=lambda s: s.interval.typical_length)
        await self._context.store.tell(FindMissing(tuple(shortest_first)))
        self._searching = False

    async def _listen(
        self, leg: StreamConnection, connection: Connection, nursery: trio.Nursery
    ) -> None:
        context = self._context
        decoder = context.venue.stream_decoder(self._series)
        await self._subscribe(leg, connection, decoder)
        context.counters.connects += 1
        logger.info("stream_connected", series=len(self._series))
        if not self._open and not self._searching:
            self._searching = True
            nursery.start_soon(self._find_missing)
        self._open.add(leg)
        context.health.connected.add(self._number)
        self._silence.begin_anew(trio.current_time())
        if leg.host is not None:
            context.hosts.answered(leg.host)
        leg.opened_at = now = trio.current_time()
        jitter = random.random() * min(ROTATE_JITTER, context.rotate_after / 10)
        leg.rotate_at = now + context.rotate_after - jitter
        leg.changed()
        while True:
            await self._handle(await connection.receive(), leg, decoder)

    def _retire(self, leg: StreamConnection) -> None:
        leg.is_due = True
        leg.changed()

    async def _subscribe(
        self, leg: StreamConnection, connection: Connection, decoder: StreamDecoder
    ) -> None:
        """Send what the URL did not carry, one request after the other has been confirmed.

        Raises:
            StreamDown: a request was refused, or not answered within `SUBSCRIBE_TIMEOUT` seconds.
        """
        for request in self._request.messages:
            await connection.send(request)
            sent_at = trio.current_time()
            if not await self._handle_until(
                sent_at + SUBSCRIBE_TIMEOUT, leg, connection, decoder, for_reply=True
            ):
                raise StreamDown(f"no reply to a subscription in {SUBSCRIBE_TIMEOUT:.0f} s")
            interval = self._context.venue.limits.request_interval
            await self._handle_until(sent_at + interval, leg, connection, decoder, for_reply=False)

    async def _handle_until(
        self,
        deadline: float,
        leg: StreamConnection,
        connection: Connection,
        decoder: StreamDecoder,
        *,
        for_reply: bool,
    ) -> bool:
        """Handle messages until then, or until a reply came when waiting `for_reply`."""
        while True:
            message = None
            with trio.move_on_at(deadline):  # around nothing that could lose an update
                message = await connection.receive()
            if message is None:
                return False
            if await self._handle(message, leg, decoder) and for_reply:
                return True

    async def _handle(
        self, message: str | bytes, leg: StreamConnection, decoder: StreamDecoder
    ) -> bool:
        """Whether it was a reply to a subscription."""
        match self._decode(decoder, message, leg):
            case CandleUpdate() as update:
                await self._take(update, leg)
            case ServerShutdown():
                logger.info("stream_rotates", series=len(self._series), reason="shutdown")
                self._retire(leg)
            case Subscribed():
                return True
            case SubscribeFailed(detail):
                raise StreamDown(f"subscription refused: {detail}")
            case None:
                pass
        return False

    async def _take(self, update: CandleUpdate, leg: StreamConnection) -> None:
        context = self._context
        now = trio.current_time()
        context.counters.updates += 1
        context.health.heard_at = now
        self._silence.note_update(update.series, update.candle, now)
        if not leg.heard:
            leg.heard = True
            leg.strange = 0
            leg.changed()
        try:
            context.updates.put_nowait(update)
        except trio.WouldBlock:
            await context.updates.put(update)

    def _decode(
        self, decoder: StreamDecoder, message: str | bytes, leg: StreamConnection
    ) -> StreamMessage | None:
        context = self._context
        try:
            return decoder.decode(message)
        except Malformed as error:
            context.counters.malformed += 1
            now = trio.current_time()
            if now >= context.complained_at + COMPLAIN_EVERY:
                context.complained_at = now
                logger.warning(
                    "malformed_message", error=str(error), total=context.counters.malformed
                )
            if not leg.heard:
                leg.strange += 1
            if leg.strange >= STRANGE_AFTER:
                down = StreamDown("nothing that comes is the exchange's")
                down.advice = wrong_server_hint(context.venue.stream_variable)
                raise down from error
            return None

    # -- silence ---------------------------------------------------------------------------

    async def _watch_silence(self) -> None:
        """Look at suspects over REST; replace the connection that keeps something back."""
        replaced = 0
        quiet_until = float("-inf")
        while True:
            await trio.sleep(LOOK_EVERY)
            now = trio.current_time()
            if not self._open:
                continue
            mute = await self._mute(self._silence.suspects(now))
            is_silent = self._is_unproven and self._silence.is_all_silent(trio.current_time())
            if not (mute or is_silent):
                continue
            self._context.counters.mute += len(mute)
            if now > quiet_until + REPLACEMENT_BACKOFF.max_pause:
                replaced = 0
            if now < quiet_until:
                continue
            replaced += 1
            quiet_until = now + REPLACEMENT_BACKOFF.pause(replaced, random.random())
            names = ", ".join(str(series) for series in mute) or "all, and REST does not answer"
            logger.warning("stream_mute", series=names, action="another connection")
            for leg in self._open:
                if leg.host is not None:  # it may be what is mute
                    self._context.hosts.leave_alone(leg.host.url, Trouble.SILENT, now)
                self._retire(leg)

    async def _mute(self, suspects: Sequence[Series]) -> list[Series]:
        """Which of `suspects` the stream keeps back; whatever was read goes to the store."""
        context = self._context
        read = []
        is_answered = not suspects
        for series in suspects:
            rows: list[Candle] = []
            with suppress(ExchangeUnavailable), trio.move_on_after(PROOF_TIMEOUT):
                with suppress(ExchangeRefused):
                    rows = await context.rest.klines(series, limit=2, purpose=Purpose.CHECK)
                is_answered = True
            if rows:
                await context.store.tell(PutHistory(series, rows, rows[0].open_time))
                read.append((series, rows[-1], trio.current_time()))
        if suspects:
            self._is_unproven = not is_answered
        if not read:
            return []
        await trio.sleep(SETTLE)
        return [series for series, row, at in read if self._silence.is_mute(series, row, at)]
