"""The hub actor: owns the fan-out of candles to clients.

The order of its mailbox is the authoritative order: the store tells it of changes and of new
subscribers through the same one, so what was before a subscription is in its snapshot and what
comes after follows.

Clients with the same series are one group. What a group is to get is joined once per flush, and
the same bytes are posted to every member's outbox; posting never waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, assert_never

import trio

from actors import Mailbox

from ..market.series import Series
from ..store.events import (
    CandlesPublished,
    FeedChanged,
    HubEvent,
    Published,
    SeriesReturned,
    SeriesWithdrawn,
    Snapshot,
    SubscriptionsClosed,
    SubscriptionsOpened,
    SymbolChanged,
)
from ..store.feed import Feed, FeedStatus
from ..telemetry.histogram import Histogram
from .budget import Budget
from .candle_texts import CandleTexts
from .outbox import Batch, Outbox
from .wire import (
    Encoder,
    heartbeat_frame,
    legacy_frame,
    status_frame,
    symbol_frame,
    withdrawn_frame,
)

BATCH = 256  # events taken from the mailbox before a flush; whatever has come since the last one

SNAPSHOTS_PER_TURN = 16  # of 1000 candles; each takes 0.1 ms to encode and 0.05 ms to send

PING_INTERVAL = 20.0  # seconds; nginx closes a connection after 60 s of silence by default
PING_FRAME = b"\x89\x00"  # RFC 6455, 5.5.2; empty, and not masked

# A flush costs a system call for each client, whatever it carries. So flushes that follow each
# other keep a distance, the longer the more clients there are, and what comes meanwhile goes out
# together. After a pause nothing waits: the first update of a burst goes out at once.
FLUSH_CPU_SHARE = 0.1  # of the processor, as long as the distance that this takes is not too long
MAX_FLUSH_PAUSE = 0.025  # seconds; not visible on a chart, and a fifth of a network's delay

UNKNOWN_FEED = FeedStatus(Feed.DOWN, 0.0)


class _EncodedSnapshot(NamedTuple):
    snapshot: Snapshot
    frame: bytes


@dataclass(eq=False, slots=True)
class Subscriber:
    """One session, as the hub sees it."""

    outbox: Outbox
    budget: Budget
    """Charged for what is sent on request."""
    legacy: bool = False
    """Whether it uses the legacy single-symbol endpoint: it gets nothing but legacy candles."""


class _Group:
    """Subscribers of exactly the same series, in the same form."""

    __slots__ = ("frames", "legacy", "members", "series")

    def __init__(self, series: frozenset[Series], *, legacy: bool) -> None:
        self.series = series
        self.legacy = legacy
        self.members: set[Subscriber] = set()
        self.frames: dict[Hashable, bytes] = {}

    def post(self) -> None:
        frames = tuple(self.frames.items())
        self.frames = {}
        batch = Batch(b"".join([frame for _, frame in frames]), frames)
        for member in self.members:
            member.outbox.post(batch)


@dataclass(slots=True)
class HubCounters:
    """What the hub did since the process started; survives restarts of the actor."""

    published: int = 0
    """Candle states that the store has published."""
    delivered: int = 0
    """Candle frames posted, one for each client."""
    subscribers: int = 0
    """Sessions now."""
    subscriptions: int = 0
    """Series of all sessions now."""
    delays: Histogram = field(default_factory=Histogram)
    """Seconds from the exchange's event to its being posted to clients, of each candle from
    the stream. Compares two clocks: what this machine's is ahead of the exchange's is included, and
    what it is behind is missing."""


class Hub:
    """Who gets what, and the posting of it. Plain code but for the outboxes, which never wait."""

    def __init__(
        self,
        texts: CandleTexts,
        counters: HubCounters,
        wall_clock: Callable[[], float] = time.time,
        feed: FeedStatus = UNKNOWN_FEED,
    ) -> None:
        self.counters = counters
        self._wall_clock = wall_clock
        counters.subscribers = counters.subscriptions = 0  # of a hub before this one
        self._encoder = Encoder(texts)
        self._cache = texts.cache
        self._feed = feed
        self._series: dict[Subscriber, frozenset[Series]] = {}
        self._groups: dict[tuple[frozenset[Series], bool], _Group] = {}
        self._routes: dict[Series, list[_Group]] = {}

    def handle(self, events: Iterable[HubEvent]) -> None:
        """Carry out events in order; candles in a row are posted together."""
        for _ in self.steps(events):
            pass

    def steps(self, events: Iterable[HubEvent]) -> Iterator[None]:
        """The same in steps of at most `SNAPSHOTS_PER_TURN` snapshots, between which others run."""
        touched: set[_Group] = set()
        batches: list[Sequence[Published]] = []
        for event in events:
            if isinstance(event, CandlesPublished):
                self._collect(event.published, touched)
                batches.append(event.published)
                continue
            self._flush(touched)
            match event:
                case SubscriptionsOpened():
                    yield from self._open(event)
                case SubscriptionsClosed():
                    self._close(event)
                case SeriesWithdrawn(series, waiting):
                    self._report_withdrawn(series, waiting)
                case FeedChanged(status):
                    self._feed = status
                    self._broadcast("status", status_frame(status))
                case SeriesReturned(snapshot):
                    self._resume(snapshot)
                case SymbolChanged():
                    self._report_symbol(event)
                case _:
                    assert_never(event)
        self._flush(touched)
        if batches:
            self._observe(batches)

    def ping_legacy(self) -> None:
        """Show legacy clients, who get nothing but candles, that the connection is in use."""
        for group in self._groups.values():
            if group.legacy:
                for member in group.members:
                    if not member.outbox.pending_bytes:
                        member.outbox.post_once(PING_FRAME)

    def beat(self, wall: float) -> None:
        """Send every session a heartbeat; remove those that have ended."""
        for subscriber in [s for s in self._series if s.outbox.closed_reason is not None]:
            self._remove(subscriber)
        self._broadcast("heartbeat", heartbeat_frame(wall))

    # -- candles ---------------------------------------------------------------------------

    def _collect(self, published: Sequence[Published], touched: set[_Group]) -> None:
        self.counters.published += len(published)
        for series, candle, corrected in published:
            groups = self._routes.get(series)
            if not groups:
                continue
            key = (series, candle.open_time)
            frame = legacy = None
            for group in groups:
                if group.legacy:
                    if corrected:
                        continue  # such front ends append whatever comes
                    legacy = legacy or legacy_frame(series, candle)
                elif frame is None:
                    frame = self._encoder.update(series, candle, corrected=corrected)
                if key in group.frames:
                    self._post(group)  # two states of one candle are two messages
                group.frames[key] = legacy if group.legacy else frame  # type: ignore[assignment]
                touched.add(group)

    def _observe(self, batches: Iterable[Sequence[Published]]) -> None:
        """Once everything is posted, so that it delays no client."""
        now = self._wall_clock()
        observe = self.counters.delays.observe
        for published in batches:
            for _, candle, corrected in published:
                if candle.event_time and not (candle.read or corrected):
                    observe(max(0.0, now - candle.event_time / 1000))

    def _flush(self, touched: set[_Group]) -> None:
        for group in touched:
            self._post(group)
        touched.clear()

    def _post(self, group: _Group) -> None:
        self.counters.delivered += len(group.frames) * len(group.members)
        group.post()

    # -- subscribers -----------------------------------------------------------------------

    def _open(self, opened: SubscriptionsOpened[Subscriber]) -> Iterator[None]:
        subscriber = opened.subscriber
        outbox = subscriber.outbox
        if outbox.closed_reason is not None:
            return
        is_new = subscriber not in self._series
        if opened.acknowledgement:
            outbox.post_once(opened.acknowledgement)
        if is_new and not subscriber.legacy:
            outbox.post_once(status_frame(self._feed))
        if not subscriber.legacy:
            for symbol, details in opened.not_trading:
                outbox.post_once(symbol_frame(symbol, details))
        for number, snapshot in enumerate(opened.snapshots, 1):
            self._post_snapshot(subscriber, snapshot)
            if number % SNAPSHOTS_PER_TURN == 0 or number == len(opened.snapshots):
                yield
        self._move(subscriber, self._series.get(subscriber, frozenset()).union(opened.series))

    def _report_symbol(self, changed: SymbolChanged) -> None:
        """To all who get, or wait for, some series of the symbol."""
        groups = {
            group
            for series, routed in self._routes.items()
            if series.symbol == changed.symbol
            for group in routed
        }
        members = {member for group in groups for member in group.members}
        data = symbol_frame(changed.symbol, changed.details)
        batch = Batch(data, ((("symbol", changed.symbol), data),))
        for subscriber in members.union(changed.waiting):
            if not subscriber.legacy:
                subscriber.outbox.post(batch)

    def _post_snapshot(self, subscriber: Subscriber, snapshot: Snapshot) -> None:
        if subscriber.legacy:
            for candle in snapshot.candles:
                subscriber.outbox.post_once(legacy_frame(snapshot.series, candle))
        else:
            frame = self._snapshot_frame(snapshot)
            subscriber.budget.debit_bytes(len(frame))
            subscriber.outbox.post_once(frame)

    def _resume(self, snapshot: Snapshot) -> None:
        """What subscribers missed while the series was gone. They are not charged for it."""
        frame = self._snapshot_frame(snapshot)
        for group in self._routes.get(snapshot.series, ()):
            for member in group.members:
                if not member.legacy:
                    member.outbox.post_once(frame)
                    continue
                for candle in snapshot.candles:
                    member.outbox.post_once(legacy_frame(snapshot.series, candle))

    def _close(self, closed: SubscriptionsClosed[Subscriber]) -> None:
        subscriber = closed.subscriber
        if subscriber not in self._series:
            return
        if closed.series is None:
            self._remove(subscriber)
            return
        self._move(subscriber, self._series[subscriber].difference(closed.series))
        if closed.acknowledgement:
            subscriber.outbox.post_once(closed.acknowledgement)

    def _snapshot_frame(self, snapshot: Snapshot) -> bytes:
        """Clients that reconnect at the same time need the same one: the last of each is kept."""
        key = _EncodedSnapshot, snapshot.series
        cached = self._cache.get(key, _EncodedSnapshot)
        if cached is not None and cached.snapshot == snapshot:
            return cached.frame
        frame = self._encoder.snapshot(
            snapshot.series, snapshot.candles, truncated=snapshot.truncated
        )
        self._cache.put(key, _EncodedSnapshot(snapshot, frame), 2 * len(frame))
        return frame

    def _report_withdrawn(self, series: Series, waiting: Sequence[Subscriber]) -> None:
        message = withdrawn_frame(series)
        members = [member for group in self._routes.get(series, ()) for member in group.members]
        for subscriber in (*members, *waiting):
            if not subscriber.legacy:
                subscriber.outbox.post_once(message)

    def _remove(self, subscriber: Subscriber) -> None:
        self._leave(subscriber)
        del self._series[subscriber]
        self.counters.subscribers = len(self._series)

    def _move(self, subscriber: Subscriber, series: frozenset[Series]) -> None:
        self._leave(subscriber)
        self._series[subscriber] = series
        self.counters.subscribers = len(self._series)
        self.counters.subscriptions += len(series)
        if not series:
            return
        name = (series, subscriber.legacy)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(series, legacy=subscriber.legacy)
            for each in series:
                self._routes.setdefault(each, []).append(group)
        group.members.add(subscriber)
        self._series[subscriber] = group.series  # equal, and shared by the whole group

    def _leave(self, subscriber: Subscriber) -> None:
        series = self._series.get(subscriber)
        if not series:
            return
        self.counters.subscriptions -= len(series)
        name = (series, subscriber.legacy)
        group = self._groups[name]
        group.members.discard(subscriber)
        if group.members:
            return
        del self._groups[name]
        for each in series:
            self._routes[each].remove(group)

    def _broadcast(self, key: str, data: bytes) -> None:
        """A message outside any series, of which only the newest counts."""
        batch = Batch(data, ((key, data),))
        for subscriber in self._series:
            if not subscriber.legacy:
                subscriber.outbox.post(batch)


async def run_hub(
    mailbox: Mailbox[HubEvent],
    texts: CandleTexts,
    counters: HubCounters,
    *,
    heartbeat: float,
    wall_clock: Callable[[], float] = time.time,
    cost_clock: Callable[[], float] = lambda: 0.0,
    feed: Callable[[], FeedStatus] = lambda: UNKNOWN_FEED,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Fan out what the store tells, and a heartbeat every `heartbeat` seconds.

    What a flush has cost is read from `cost_clock`, in seconds: of the processor's time, as any
    other clock goes on while other programs run.

    `feed` says how the feed is when the hub starts, again perhaps; later changes are events.

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
