"""Any sequence of events, against what each client must get."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smarttrade.market.candle import Candle
from smarttrade.market.series import Series
from smarttrade.session.legacy_order import LegacyOrder
from smarttrade.store.events import (
    CandlesPublished,
    FeedChanged,
    HubEvent,
    Published,
    Snapshot,
)
from smarttrade.store.feed import Feed, FeedStatus
from tests.fakes.candles import BTC, BTC_HOUR, ETH, candle
from tests.fakes.frames import Message
from tests.smarttrade.session.hub_clients import (
    ACK,
    Client,
    assert_nothing_left,
    closed,
    gone,
    new_hub,
    opened,
)

CLIENTS = 4
SERIES = (BTC, ETH, BTC_HOUR)
some_series = st.lists(st.sampled_from(SERIES), max_size=3, unique=True)
client_number = st.integers(0, CLIENTS - 1)
publications = st.lists(
    st.tuples(
        st.sampled_from(SERIES), st.integers(0, 3), st.booleans(), st.integers(0, 9), st.booleans()
    ),
    min_size=1,
    max_size=6,
)
acts = st.one_of(
    st.tuples(st.just("open"), client_number, some_series, st.booleans()),
    st.tuples(st.just("close"), client_number, some_series, st.booleans()),
    st.tuples(st.just("gone"), client_number),
    st.tuples(st.just("publish"), publications),
    st.tuples(st.just("publish"), publications),
    st.tuples(st.just("feed"), st.sampled_from(Feed)),
    st.tuples(st.just("end"), client_number),
    st.tuples(st.just("beat"), st.integers(0, 9)),
)


@dataclass
class Expected:
    """What one client must have got, in order, and what it has subscribed to."""

    legacy: bool
    known: bool = False
    ended: bool = False
    series: set[Series] = field(default_factory=set)
    got: list[tuple[object, ...]] = field(default_factory=list)
    orders: dict[Series, LegacyOrder] = field(default_factory=dict)
    """Of a legacy client: what is sent in which order."""

    def add(self, *message: object) -> None:
        if not self.ended:
            self.got.append(message)

    def add_spoken(self, *message: object) -> None:
        """What no legacy client may get."""
        if self.known and not self.legacy:
            self.add(*message)

    def add_candle(self, series: Series, state: Candle, *, corrected: bool) -> None:
        if series not in self.series:
            return
        if not self.legacy:
            key = (series.symbol, series.interval.value, state.open_time // 1000)
            self.add("candle", *key, state.volume, state.closed, corrected)
            return
        order = self.orders.setdefault(series, LegacyOrder(series.interval))
        for each in order.take(state, corrected=corrected):
            self.add("legacy", series.symbol, each.open_time, each.volume, each.closed)

    def forget(self) -> None:
        self.known = False
        self.series.clear()
        self.orders.clear()


class Model:
    """Gives a hub its events, and notes what every client must get: one method for each event."""

    def __init__(self) -> None:
        self.hub = new_hub()
        self.clients = [Client(legacy=number == 0) for number in range(CLIENTS)]
        self.expected = [Expected(legacy=number == 0) for number in range(CLIENTS)]
        self.feed_is = Feed.DOWN
        self.events: list[HubEvent] = []

    def hand_over(self) -> None:
        """Everything since the last time, in one batch."""
        events, self.events = self.events, []
        self.hub.handle(events)

    def open(self, number: int, series: list[Series], with_snapshots: bool) -> None:
        client, must = self.clients[number], self.expected[number]
        wanted = series if with_snapshots else []
        snapshots = [Snapshot(each, (candle(0, volume=5.0),), False) for each in wanted]
        ack = b"" if must.legacy else ACK
        self.events.append(opened(client, *series, ack=ack, snapshots=snapshots))
        if must.ended:
            return
        is_new, must.known = not must.known, True
        must.add_spoken("subscribed")
        begun: dict[Series, Candle] = {}
        if is_new:
            must.add_spoken("status", self.feed_is.value)
        for each in wanted:
            if must.legacy:
                order = must.orders.get(each)
                first = (order and order.last) or candle(0, volume=5.0)
                begun[each] = first
                must.add("legacy", each.symbol, first.open_time, first.volume, first.closed)
            must.add_spoken("snapshot", each.symbol, each.interval.value)
        must.series |= set(series)
        must.orders.clear()
        for each, first in begun.items():
            must.orders.setdefault(each, LegacyOrder(each.interval)).begin(first)

    def close(self, number: int, series: list[Series], with_ack: bool) -> None:
        must = self.expected[number]
        with_ack = with_ack and not must.legacy
        self.events.append(closed(self.clients[number], *series, ack=ACK if with_ack else b""))
        if with_ack:
            must.add_spoken("subscribed")
        must.series -= set(series)
        must.orders.clear()

    def gone(self, number: int) -> None:
        self.events.append(gone(self.clients[number]))
        self.expected[number].forget()

    def publish(self, publications: list[tuple[Series, int, bool, int, bool]]) -> None:
        published = []
        for series, minute, is_closed, volume, corrected in publications:
            state = candle(minute, closed=is_closed, volume=float(volume))
            published.append(Published(series, state, corrected))
            for must in self.expected:
                must.add_candle(series, state, corrected=corrected)
        self.events.append(CandlesPublished(published))

    def feed(self, feed: Feed) -> None:
        self.events.append(FeedChanged(FeedStatus(feed, 0.0)))
        for must in self.expected:
            if feed is not self.feed_is:
                must.add_spoken("status", feed.value)
        self.feed_is = feed

    def end(self, number: int) -> None:
        self.hand_over()
        self.clients[number].outbox.end()
        self.expected[number].ended = True

    def beat(self, time: int) -> None:
        self.hand_over()
        self.hub.beat(float(time))
        for must in self.expected:
            if must.ended:
                must.forget()
            must.add_spoken("heartbeat", float(time))

    def check(self) -> None:
        for client, must in zip(self.clients, self.expected, strict=True):
            assert [comparable(client, message) for message in client.outbox.got] == must.got
        counters = self.hub.counters
        assert counters.subscribers == sum(must.known for must in self.expected)
        assert counters.subscriptions == sum(len(must.series) for must in self.expected)
        groups = {(frozenset(m.series), m.legacy) for m in self.expected if m.series}
        assert {(each.series, each.legacy) for each in self.hub._groups} == groups


def comparable(client: Client, message: Message) -> tuple[object, ...]:
    if client.subscriber.legacy:
        names = ("symbol", "timestamp", "volume", "is_closed")
        return ("legacy", *(message[name] for name in names))
    match message["type"]:
        case "candle":
            values = message["candle"]
            corrected = message.get("corrected", False)
            key = (message["symbol"], message["interval"], values["time"])
            return ("candle", *key, values["volume"], message["closed"], corrected)
        case "status":
            return ("status", message["feed"])
        case "heartbeat":
            return ("heartbeat", message["time"])
        case "snapshot":
            return ("snapshot", message["symbol"], message["interval"])
        case kind:
            return (kind,)


@given(st.lists(st.lists(acts, max_size=6), max_size=8))
@settings(max_examples=200)
def test_every_client_gets_exactly_what_it_must_in_order(
    story: list[list[tuple[Any, ...]]],
) -> None:
    model = Model()
    for batch in story:
        for act, *details in batch:
            getattr(model, act)(*details)
        model.hand_over()
        model.check()
    model.hub.handle([gone(client) for client in model.clients])
    assert (model.hub.counters.subscribers, model.hub.counters.subscriptions) == (0, 0)
    assert_nothing_left(model.hub)
