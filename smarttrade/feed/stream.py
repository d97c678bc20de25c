"""The stream actor: live candles from the exchange to the store."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
import trio

from actors import Mailbox

from ..store.feed import Feed, FeedStatus
from ..store.messages import GetListed, PutUpdates, ReportFeed, StoreMessage
from .budgets import AttemptBudget
from .dial import Dial
from .health import FeedHealth
from .hosts import Hosts
from .rest import RestClient
from .shards import plan_shards
from .stream_shard import StreamContext, StreamCounters, StreamShard
from .updates import Updates
from .venue import Venue

logger = structlog.get_logger("feed.stream")

BATCH = 1024  # candles handed to the store in one message
LOOK_EVERY = 1.0  # seconds between two looks at the feed's health
LOOK_FIRST = 0.05  # the same until the feed is live for the first time: clients wait for that


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
    """Keep every listed series connected, until cancelled; a lost connection is no failure here.

    `rest` confirms what silence seems to say. `hosts` and `attempts` outlive restarts of this
    actor. A connection is replaced after `rotate_after` seconds.
    """
    task_status.started()
    series = await store.ask(GetListed)
    # Owned by this actor: receiving, and with it the answer to pings, never waits for the store.
    updates = Updates(room=max(4096, 4 * len(series)))
    groups = plan_shards(series, venue.limits.max_streams)
    health = FeedHealth(len(groups))
    context = StreamContext(
        venue, hosts, dial, store, rest, updates, health, attempts, counters, rotate_after
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hand_over, updates, store)
        nursery.start_soon(_report_feed, health, store, wall_clock)
        for number, group in enumerate(groups):
            nursery.start_soon(StreamShard(number, group, context).keep_connected)


async def _hand_over(updates: Updates, store: Mailbox[StoreMessage]) -> None:
    while True:
        batch = await updates.receive_batch(BATCH)
        await store.tell(PutUpdates([(update.series, update.candle) for update in batch]))


async def _report_feed(
    health: FeedHealth, store: Mailbox[StoreMessage], wall_clock: Callable[[], float]
) -> None:
    reported: Feed | None = None
    pause = LOOK_FIRST
    while True:
        feed = health.feed(trio.current_time())
        if feed is not reported:
            reported = feed
            logger.info("feed", state=feed.value)
            await store.tell(ReportFeed(FeedStatus(feed, wall_clock())))
        if feed is Feed.LIVE:
            pause = LOOK_EVERY
        await trio.sleep(pause)
