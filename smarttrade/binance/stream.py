"""The stream actor: live candles from the exchange to the store."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import structlog
import trio

from actors import Backoff, Mailbox, Overflow

from ..market.series import Series
from ..store.messages import (
    Feed,
    FeedStatus,
    FindMissing,
    GetListed,
    PutUpdates,
    ReportFeed,
    StoreMessage,
)
from .connection import Connection, converse
from .dial import Dial
from .errors import StreamDown
from .limits import AttemptBudget
from .protocol import REQUEST_EVERY, FeedHealth, plan_connections, stream_request
from .wire import (
    Malformed,
    Message,
    ServerShutdown,
    StreamDecoder,
    SubscribeFailed,
    Told,
    subscribe_request,
)

logger = structlog.get_logger("binance.stream")

PAUSE = Backoff(first=0.5, most=30.0)  # seconds between two attempts to connect
HEALTHY_AFTER = 60.0  # seconds of connection after which the next failure is the first again

BATCH = 1024  # candles handed to the store in one message
LOOK_EVERY = 1.0  # seconds between two looks at the feed's health
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
    """Connections that ended, or could not be opened."""
    attempts: AttemptBudget = field(default_factory=AttemptBudget)


async def run_stream(
    store: Mailbox[StoreMessage],
    endpoints: Sequence[str],
    *,
    dial: Dial,
    counters: StreamCounters,
    wall_clock: Callable[[], float] = time.time,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Keep every listed series connected, for ever; losing a connection is no failure here.

    `endpoints` are base URLs, tried in turn.
    """
    task_status.started()
    series = await store.ask(GetListed)
    # Owned by this actor. It takes whatever the exchange says while the store is busy, so that
    # receiving, and with it the answer to pings, never waits; newer states replace older ones only
    # when it is full, and there is room for several candles of every series.
    updates = Mailbox[Told](
        "updates", capacity=max(4096, 4 * len(series)), overflow=Overflow.NEWEST, key=_key
    )
    groups = plan_connections(series)
    health = FeedHealth(len(groups))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hand_over, updates, store)
        nursery.start_soon(_report_feed, health, store, wall_clock)
        for number, group in enumerate(groups):
            line = _Line(number, group, endpoints, dial, store, updates, health, counters, nursery)
            nursery.start_soon(line.keep_connected)


def _key(told: Told) -> Hashable:
    return told.series, told.candle.open_time


async def _hand_over(updates: Mailbox[Told], store: Mailbox[StoreMessage]) -> None:
    while True:
        batch = await updates.receive_batch(BATCH)
        await store.tell(PutUpdates([(told.series, told.candle) for told in batch]))


async def _report_feed(
    health: FeedHealth, store: Mailbox[StoreMessage], wall_clock: Callable[[], float]
) -> None:
    told: Feed | None = None
    while True:
        feed = health.feed(trio.current_time())
        if feed is not told:
            told = feed
            logger.info("feed", state=feed.value)
            await store.tell(ReportFeed(FeedStatus(feed, wall_clock())))
        await trio.sleep(LOOK_EVERY)


@dataclass(slots=True)
class _Line:
    """One connection's worth of series, connected again and again."""

    number: int
    series: Sequence[Series]
    endpoints: Sequence[str]
    dial: Dial
    store: Mailbox[StoreMessage]
    updates: Mailbox[Told]
    health: FeedHealth
    counters: StreamCounters
    nursery: trio.Nursery
    """The actor's, for what must not hold up the receiving."""
    searching: bool = False
    complained_at: float = float("-inf")

    async def keep_connected(self) -> None:
        request = stream_request(self.series)
        failures = turn = 0
        while True:
            await self._wait_for_attempt()
            endpoint = self.endpoints[turn % len(self.endpoints)].rstrip("/")
            began = trio.current_time()
            try:
                await converse(endpoint + request.path, self.dial, self._listen)
            except StreamDown as down:
                self.counters.failures += 1
                healthy_for = trio.current_time() - began
                if self.number not in self.health.connected:
                    turn += 1  # it never opened: another endpoint may do better
                failures = 1 if healthy_for > HEALTHY_AFTER else failures + 1
                pause = max(PAUSE.pause(failures, random.random()), down.retry_after)
                logger.warning(
                    "stream_down", endpoint=endpoint, reason=str(down), again_in=round(pause, 1)
                )
            else:
                pause = 0.0
            finally:
                self.health.connected.discard(self.number)
            await trio.sleep(pause)

    async def _wait_for_attempt(self) -> None:
        while wait := self.counters.attempts.reserve(trio.current_time()):
            await trio.sleep(wait)

    async def _listen(self, connection: Connection) -> None:
        """Take what the exchange says, until the connection ends or is about to."""
        self.counters.connects += 1
        self.health.connected.add(self.number)
        logger.info("stream_connected", series=len(self.series))
        await self._subscribe_rest(connection)
        if not self.searching:
            self.searching = True
            self.nursery.start_soon(self._find_missing)
        decoder = StreamDecoder(self.series)
        while True:
            match self._decode(decoder, await connection.receive()):
                case Told() as told:
                    self.counters.updates += 1
                    self.health.heard_at = trio.current_time()
                    try:
                        self.updates.tell_nowait(told)
                    except trio.WouldBlock:
                        await self.updates.tell(told)
                case ServerShutdown():
                    logger.info("server_shutdown")
                    return
                case SubscribeFailed(detail):
                    logger.error("subscribe_failed", detail=detail)
                case None:
                    pass

    async def _find_missing(self) -> None:
        """What was told before this moment is lost, and is read over REST.

        A task of its own, and one at most: a busy store is no reason not to receive.
        """
        await self.store.tell(FindMissing(self.series))
        self.searching = False

    async def _subscribe_rest(self, connection: Connection) -> None:
        for number, names in enumerate(stream_request(self.series).later, start=1):
            await connection.send(subscribe_request(names, number))
            await trio.sleep(REQUEST_EVERY)

    def _decode(self, decoder: StreamDecoder, message: str | bytes) -> Message | None:
        try:
            return decoder.decode(message)
        except Malformed as error:
            self.counters.malformed += 1
            now = trio.current_time()
            if now >= self.complained_at + COMPLAIN_EVERY:
                self.complained_at = now
                logger.warning("malformed_message", error=str(error), total=self.counters.malformed)
            return None
