"""The stream actor: live candles from the exchange to the store."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
import trio

from actors import Mailbox

from ..market.series import Series
from ..store.feed import Feed, FeedStatus
from ..store.messages import GetListed, PutUpdates, ReportFeed, StoreMessage
from .budgets import AttemptBudget
from .dial import Dial
from .health import FeedHealth
from .hosts import Hosts
from .rest import RestClient
from .shards import plan_shards
from .stream_context import StreamContext, StreamCounters
from .stream_shard import StreamShard
from .update_queue import UpdateQueue
from .venue import Venue

logger = structlog.get_logger("feed.stream")

BATCH_SIZE = 1024  # candles in one message to the store
HEALTH_INTERVAL = 1.0  # seconds between two checks of the feed's health
FIRST_HEALTH_INTERVAL = 0.05  # the same until the feed is live once: clients wait for that

START_TIMEOUT = 5.0
"""Seconds for the first candle, before it is logged that there is none: every start is down, and
stale for up to the 2 s in which the exchange sends each series."""

LISTING_INTERVAL = 5.0  # seconds between two looks whether more series are listed


async def run_stream(
    store: Mailbox[StoreMessage],
    rest: RestClient,
    venue: Venue,
    hosts: Hosts,
    *,
    dial: Dial,
    attempts: AttemptBudget,
    counters: StreamCounters,
    rotate_after: float,
    wall_clock: Callable[[], float] = time.time,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Keep every listed series connected until cancelled; a lost connection is not an error.

    `rest` confirms that a series is stalled. `hosts` and `attempts` outlive restarts of this
    actor. A connection is replaced after `rotate_after` seconds.
    """
    task_status.started()
    series = await store.ask(GetListed)
    # Between the connections and the store, so that receiving, and with it answering pings, does
    # not wait for a busy store.
    updates = UpdateQueue(capacity=max(4096, 4 * len(series)))
    shards = plan_shards(series, venue.limits.max_streams)
    health = FeedHealth(len(shards))
    context = StreamContext(
        venue, hosts, dial, store, rest, updates, health, attempts, counters, rotate_after
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_forward, updates, store, rest)
        nursery.start_soon(_report_feed, health, store, wall_clock)
        for number, shard in enumerate(shards):
            nursery.start_soon(StreamShard(number, shard, context).keep_connected)
        await _add_shards(set(series), store, context, nursery)


async def _add_shards(
    connected: set[Series],
    store: Mailbox[StoreMessage],
    context: StreamContext,
    nursery: trio.Nursery,
) -> None:
    """Open another connection for series that are listed later on, until cancelled."""
    health = context.health
    while True:
        await trio.sleep(LISTING_INTERVAL)
        added = [each for each in await store.ask(GetListed) if each not in connected]
        connected.update(added)
        for shard in plan_shards(added, context.venue.limits.max_streams):
            number, health.shards = health.shards, health.shards + 1
            nursery.start_soon(StreamShard(number, shard, context).keep_connected)


async def _forward(updates: UpdateQueue, store: Mailbox[StoreMessage], rest: RestClient) -> None:
    while True:
        batch = await updates.receive_batch(BATCH_SIZE)
        rest.note_time(batch[-1].candle.event_time)
        await store.tell(PutUpdates([(update.series, update.candle) for update in batch]))


async def _report_feed(
    health: FeedHealth, store: Mailbox[StoreMessage], wall_clock: Callable[[], float]
) -> None:
    reported: Feed | None = None
    logged: Feed | None = None
    log_from = trio.current_time() + START_TIMEOUT
    interval = FIRST_HEALTH_INTERVAL
    while True:
        now = trio.current_time()
        feed = health.feed(now)
        if feed is not reported:
            reported = feed
            await store.tell(ReportFeed(FeedStatus(feed, wall_clock())))
        if feed is Feed.LIVE:
            interval, log_from = HEALTH_INTERVAL, now
        if feed is not logged and now >= log_from:
            logged = feed
            logger.info("feed", state=feed.value)
        await trio.sleep(interval)
