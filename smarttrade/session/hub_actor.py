"""The hub actor: owns the fan-out of candles to clients.

The order of its mailbox is the authoritative order: the store reports changes and new subscribers
through the same one, so what was before a subscription is in its snapshot and what comes after
follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import trio

from actors import Child, Mailbox

from ..store.events import HubEvent
from ..store.feed import FeedReport
from .candle_texts import CandleTexts
from .hub import Hub
from .hub_counters import HubCounters

BATCH = 256  # events taken from the mailbox before a flush; whatever has come since the last one

PING_INTERVAL = 20.0  # seconds; nginx closes a connection after 60 s of silence by default

# A flush costs a system call for each client, whatever it carries. So flushes that follow each
# other keep a distance, the longer the more clients there are, and what comes meanwhile goes out
# together. After a pause nothing waits: the first update of a burst goes out at once.
FLUSH_CPU_SHARE = 0.1  # of the processor, as long as the distance that this takes is not too long
MAX_FLUSH_PAUSE = 0.025  # seconds; not visible on a chart, and a fifth of a network's delay


async def run_hub(
    mailbox: Mailbox[HubEvent],
    texts: CandleTexts,
    counters: HubCounters,
    *,
    heartbeat: float,
    wall_clock: Callable[[], float] = time.time,
    cost_clock: Callable[[], float] = lambda: 0.0,
    feed: Callable[[], FeedReport] = FeedReport,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Fan out what the store reports, and a heartbeat every `heartbeat` seconds.

    What a flush has cost is read from `cost_clock`, in seconds: of the processor's time, as any
    other clock goes on while other programs run.

    `feed` returns how the feed is when the hub starts, again perhaps; later changes are events.

    Who is subscribed is known only here: when it restarts, the sessions must too. They come back
    with `since` and miss nothing.
    """
    hub = Hub(texts, counters, wall_clock, feed())

    async def beat() -> None:
        while True:
            await trio.sleep(heartbeat)
            hub.beat(wall_clock())

    async def ping() -> None:
        while True:
            await trio.sleep(PING_INTERVAL)
            hub.ping_legacy()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        nursery.start_soon(ping)
        task_status.started()
        while True:
            events = await mailbox.receive_batch(BATCH)
            delivered, began = counters.delivered, cost_clock()
            for _ in hub.steps(events):
                await trio.lowlevel.checkpoint()
            if counters.delivered > delivered:
                await trio.sleep(flush_pause(cost_clock() - began))


def flush_pause(cost: float) -> float:
    """How long to gather after a flush that has cost so much, both in seconds."""
    return min(cost * (1 / FLUSH_CPU_SHARE - 1), MAX_FLUSH_PAUSE)


def build_hub(
    mailbox: Mailbox[HubEvent] | None,
    texts: CandleTexts,
    counters: HubCounters,
    *,
    heartbeat: float,
    wall_clock: Callable[[], float],
    cost_clock: Callable[[], float],
    feed: Callable[[], FeedReport],
) -> list[Child]:
    """The actor `hub`, not running yet; none in a process without clients."""
    if mailbox is None:
        return []
    hub = partial(
        run_hub,
        mailbox,
        texts,
        counters,
        heartbeat=heartbeat,
        wall_clock=wall_clock,
        cost_clock=cost_clock,
        feed=feed,
    )
    return [Child("hub", hub, mailbox=mailbox)]
