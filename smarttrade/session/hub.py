"""Which session gets which frames. Plain code but for the outboxes, which never wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import assert_never

from ..market.candle import Candle
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
from ..store.feed import FeedReport
from .candle_texts import CandleTexts
from .frames import FrameBatch
from .groups import Groups, SubscriberGroup
from .hub_counters import HubCounters
from .snapshots import SnapshotFrames
from .subscriber import Subscriber
from .wire import (
    Encoder,
    heartbeat_frame,
    legacy_frame,
    status_frame,
    symbol_frame,
    withdrawn_frame,
)

EVENTS_PER_TURN = 4  # other than candles; eight snapshots of 1000 candles take 1.6 ms

PING_FRAME = b"\x89\x00"  # RFC 6455, 5.5.2; empty, and not masked

UNKNOWN = FeedReport()


class Hub:
    def __init__(
        self,
        texts: CandleTexts,
        counters: HubCounters,
        wall_clock: Callable[[], float] = time.time,
        feed: FeedReport = UNKNOWN,
    ) -> None:
        self.counters = counters
        self._wall_clock = wall_clock
        counters.subscribers = counters.subscriptions = 0  # of a hub before this one
        self._encoder = Encoder(texts)
        self._snapshots = SnapshotFrames(self._encoder, texts.cache)
        self._feed = feed
        self._series: dict[Subscriber, frozenset[Series]] = {}
        self._groups = Groups()

    def handle(self, events: Iterable[HubEvent]) -> None:
        """Carry out events in order; candles in a row are posted together."""
        for _ in self.steps(events):
            pass

    def steps(self, events: Iterable[HubEvent]) -> Iterator[None]:
        """The same in steps of at most `EVENTS_PER_TURN`, between which others run."""
        touched: dict[SubscriberGroup, None] = {}
        batches: list[Sequence[Published]] = []
        others = 0
        for event in events:
            if isinstance(event, CandlesPublished):
                self._collect(event.published, touched)
                batches.append(event.published)
                continue
            self._flush(touched)
            self._carry_out(event)
            others += 1
            if others % EVENTS_PER_TURN == 0:
                yield
        self._flush(touched)
        if batches:
            self._observe(batches)

    def ping_legacy(self) -> None:
        """Show legacy clients, who get nothing but candles, that the connection is in use."""
        for group in self._groups:
            if group.legacy:
                for member in group.members:
                    if not member.outbox.pending_bytes:
                        member.outbox.post_once(PING_FRAME)

    def beat(self, wall: float) -> None:
        """Send every session a heartbeat; remove those that have ended."""
        for subscriber in [s for s in self._series if s.outbox.closed_reason is not None]:
            self._remove(subscriber)
        self._broadcast("heartbeat", heartbeat_frame(wall))

    def _carry_out(self, event: HubEvent) -> None:
        match event:
            case SubscriptionsOpened():
                self._open(event)
                if event.reply is not None:
                    event.reply.set(None)
            case SubscriptionsClosed():
                self._close(event)
            case SeriesWithdrawn(series, waiting):
                self._report_withdrawn(series, waiting)
            case FeedChanged(status, shards):
                self._feed = FeedReport(status, shards)
                self._report_feed()
            case SeriesReturned(snapshot):
                self._return(snapshot)
            case SymbolChanged():
                self._report_symbol(event)
            case CandlesPublished():
                raise AssertionError("candles are collected")
            case _:
                assert_never(event)

    # -- candles ---------------------------------------------------------------------------

    def _collect(
        self, published: Sequence[Published], touched: dict[SubscriberGroup, None]
    ) -> None:
        self.counters.published += len(published)
        for series, candle, corrected in published:
            groups = self._groups.of(series)
            if not groups:
                continue
            frame = None
            for group in groups:
                if not group.legacy:
                    frame = frame or self._encoder.update(series, candle, corrected=corrected)
                    self._add(group, series, candle, frame)
                elif sent := group.legacy_orders[series].take(candle, corrected=corrected):
                    for each in sent:
                        self._add(group, series, each, legacy_frame(series, each))
                else:
                    continue
                touched[group] = None

    def _add(self, group: SubscriberGroup, series: Series, candle: Candle, frame: bytes) -> None:
        key = (series, candle.open_time)
        if key in group.frames:
            self._post(group)  # two states of one candle are two messages
        group.frames[key] = frame

    def _observe(self, batches: Iterable[Sequence[Published]]) -> None:
        """Once everything is posted, so that it delays no client."""
        now = self._wall_clock()
        observe = self.counters.delays.observe
        for published in batches:
            for _, candle, corrected in published:
                if candle.event_time and not (candle.from_rest or corrected):
                    observe(max(0.0, now - candle.event_time / 1000))

    def _flush(self, touched: dict[SubscriberGroup, None]) -> None:
        for group in touched:
            self._post(group)
        touched.clear()

    def _post(self, group: SubscriberGroup) -> None:
        self.counters.delivered += len(group.frames) * len(group.members)
        group.post()

    # -- subscribers -----------------------------------------------------------------------

    def _open(self, opened: SubscriptionsOpened[Subscriber]) -> None:
        subscriber = opened.subscriber
        outbox = subscriber.outbox
        if outbox.closed_reason is not None:
            return
        if opened.acknowledgement:
            outbox.post_once(opened.acknowledgement)
        series = self._series.get(subscriber, frozenset()).union(opened.series)
        if subscriber.legacy:
            self._open_legacy(subscriber, opened.snapshots, series)
            return
        self._send_status(subscriber, series)
        for symbol, details in opened.not_trading:
            outbox.post_once(symbol_frame(symbol, details))
        for snapshot in opened.snapshots:
            subscriber.budget.debit_bytes(_post(subscriber, self._frames(snapshot)))
        self._subscribe(subscriber, series)

    def _open_legacy(
        self, subscriber: Subscriber, snapshots: Iterable[Snapshot], wanted: frozenset[Series]
    ) -> None:
        """Begin where the others of its series are, who may wait for a close."""
        begun: dict[Series, Candle] = {}
        for series, candles, *_ in snapshots:
            order = self._groups.legacy_order(series)
            if first := (order and order.last) or (candles[-1] if candles else None):
                begun[series] = first
                subscriber.budget.debit_bytes(_post(subscriber, [legacy_frame(series, first)]))
        self._subscribe(subscriber, wanted)
        for series, first in begun.items():
            if order := self._groups.legacy_order(series):
                order.begin(first)

    def _return(self, snapshot: Snapshot) -> None:
        series, legacy = snapshot.series, []
        if order := self._groups.legacy_order(series):
            for candle in (*snapshot.candles, *snapshot.following):
                legacy += order.take(candle, corrected=False)
        members = self._groups.members([series])
        shown = self._frames(snapshot) if members else []
        appended = [legacy_frame(series, candle) for candle in legacy]
        for member in members:
            _post(member, appended if member.legacy else shown)

    def _frames(self, snapshot: Snapshot) -> list[bytes]:
        update = partial(self._encoder.update, snapshot.series, corrected=False)
        return [self._snapshots.frame(snapshot), *map(update, snapshot.following)]

    def _close(self, closed: SubscriptionsClosed[Subscriber]) -> None:
        subscriber = closed.subscriber
        if subscriber not in self._series:
            return
        if closed.series is None:
            self._remove(subscriber)
            return
        self._subscribe(subscriber, self._series[subscriber].difference(closed.series))
        if closed.acknowledgement:
            subscriber.outbox.post_once(closed.acknowledgement)
        if not subscriber.legacy:
            self._send_status(subscriber, self._series[subscriber])

    def _subscribe(self, subscriber: Subscriber, series: frozenset[Series]) -> None:
        """To exactly these series."""
        self._unsubscribe(subscriber)
        if series:
            series = self._groups.join(subscriber, series)
        self._series[subscriber] = series
        self.counters.subscribers = len(self._series)
        self.counters.subscriptions += len(series)

    def _unsubscribe(self, subscriber: Subscriber) -> None:
        series = self._series.get(subscriber)
        if series:
            self.counters.subscriptions -= len(series)
            self._groups.leave(subscriber, series)

    def _remove(self, subscriber: Subscriber) -> None:
        self._unsubscribe(subscriber)
        del self._series[subscriber]
        subscriber.feed = None
        self.counters.subscribers = len(self._series)

    # -- messages outside any series -------------------------------------------------------

    def _report_feed(self) -> None:
        for subscriber, series in self._series.items():
            if not subscriber.legacy:
                self._send_status(subscriber, series)

    def _send_status(self, subscriber: Subscriber, series: frozenset[Series]) -> None:
        """How the stream of these series is doing, if that is another than it was sent last."""
        status = self._feed.of(each.symbol for each in series)
        if status == subscriber.feed:
            return
        data, is_first = status_frame(status), subscriber.feed is None
        subscriber.feed = status
        if is_first:
            subscriber.outbox.post_once(data)
        else:
            subscriber.outbox.post(FrameBatch(data, (("status", data),)))

    def _report_symbol(self, changed: SymbolChanged) -> None:
        """To all who get, or wait for, some series of the symbol."""
        members = self._groups.members(self._groups.served(changed.symbol))
        data = symbol_frame(changed.symbol, changed.details)
        batch = FrameBatch(data, ((("symbol", changed.symbol), data),))
        for subscriber in dict.fromkeys((*members, *changed.waiting)):
            if not subscriber.legacy:
                subscriber.outbox.post(batch)

    def _report_withdrawn(self, series: Series, waiting: Sequence[Subscriber]) -> None:
        message = withdrawn_frame(series)
        for subscriber in (*self._groups.members([series]), *waiting):
            if not subscriber.legacy:
                subscriber.outbox.post_once(message)

    def _broadcast(self, key: str, data: bytes) -> None:
        """Only the newest of a key counts."""
        batch = FrameBatch(data, ((key, data),))
        for subscriber in self._series:
            if not subscriber.legacy:
                subscriber.outbox.post(batch)


def _post(subscriber: Subscriber, frames: Iterable[bytes]) -> int:
    """How many bytes they have."""
    size = 0
    for frame in frames:
        subscriber.outbox.post_once(frame)
        size += len(frame)
    return size
