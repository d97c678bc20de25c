from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import Mailbox
from smarttrade.market.candle import Candle
from smarttrade.market.series import Series
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.session.budget import Budget
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.frame_queue import ClosedReason
from smarttrade.session.frames import FrameBatch
from smarttrade.session.hub import PING_FRAME, Hub
from smarttrade.session.hub_actor import FLUSH_CPU_SHARE, MAX_FLUSH_PAUSE, run_hub
from smarttrade.session.hub_counters import HubCounters
from smarttrade.session.legacy_order import LegacyOrder
from smarttrade.session.messages import SubscribedMessage
from smarttrade.session.session_limits import SessionLimits
from smarttrade.session.subscriber import Subscriber
from smarttrade.session.wire import message_frame
from smarttrade.store.events import (
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
from smarttrade.store.feed import Feed, FeedReport, FeedStatus
from tests.fakes.candles import BTC, BTC_HOUR, ETH, at, candle, rows
from tests.fakes.frames import Message
from tests.fakes.outboxes import RecordingOutbox

ACK = message_frame(SubscribedMessage(1, [], []))


class Client:
    """A session as the hub sees it."""

    def __init__(self, *, legacy: bool = False) -> None:
        self.outbox = RecordingOutbox()
        self.subscriber = Subscriber(self.outbox, Budget(SessionLimits()), legacy=legacy)

    def drain(self) -> list[Message]:
        return self.outbox.drain()

    def took(self) -> list[tuple[str, int, bool]]:
        """The candles since the last time: symbol, minute, closed."""
        return [
            (m["symbol"], (m["candle"]["time"] - at(0) // 1000) // 60, m["closed"])
            for m in self.drain()
            if m["type"] == "candle"
        ]


def opened(
    client: Client, *series: Series, ack: bytes = b"", snapshots: Sequence[Snapshot] = ()
) -> SubscriptionsOpened[Subscriber]:
    return SubscriptionsOpened(client.subscriber, ack, series, tuple(snapshots))


def closed(client: Client, *series: Series, ack: bytes = b"") -> SubscriptionsClosed[Subscriber]:
    return SubscriptionsClosed(client.subscriber, series, ack)


def gone(client: Client) -> SubscriptionsClosed[Subscriber]:
    return SubscriptionsClosed(client.subscriber, None, b"")


def published(series: Series, *candles: Candle, corrected: bool = False) -> CandlesPublished:
    return CandlesPublished([Published(series, each, corrected) for each in candles])


def new_hub() -> Hub:
    return Hub(CandleTexts(), HubCounters())


def kinds(messages: Iterable[Message]) -> list[str]:
    return [each["type"] for each in messages]


# Who gets what


def test_change_of_a_symbol_is_sent_to_its_subscribers_and_to_those_waiting_for_it() -> None:
    hub, btc, eth, waiting, legacy = new_hub(), Client(), Client(), Client(), Client(legacy=True)
    hub.handle([opened(btc, BTC), opened(eth, BTC, ETH), opened(legacy, ETH)])
    for client in (btc, eth, legacy):
        client.drain()
    halted = SymbolDetails("BREAK", state=SymbolState.HALTED, since=5.0)
    hub.handle([SymbolChanged("ETHUSDT", halted, (waiting.subscriber,))])
    message = {
        "type": "symbol",
        "symbol": "ETHUSDT",
        "state": "halted",
        "since": 5.0,
        "reason": "the exchange has halted it (BREAK)",
    }
    assert eth.drain() == waiting.drain() == [message]
    assert btc.drain() == legacy.drain() == []


def test_subscriber_of_a_halted_symbol_gets_its_state_before_the_snapshot() -> None:
    hub, client = new_hub(), Client()
    halted = SymbolDetails("BREAK", state=SymbolState.HALTED, since=5.0)
    snapshot = Snapshot(ETH, (candle(1),), truncated=False)
    event = SubscriptionsOpened(client.subscriber, ACK, (ETH,), (snapshot,), (("ETHUSDT", halted),))
    hub.handle([event])
    assert kinds(client.drain()) == ["subscribed", "status", "symbol", "snapshot"]


def test_update_goes_to_its_subscribers_only() -> None:
    hub, btc, eth, both = new_hub(), Client(), Client(), Client()
    hub.handle([opened(btc, BTC), opened(eth, ETH), opened(both, BTC, ETH)])
    for client in (btc, eth, both):
        client.drain()
    hub.handle(
        [published(BTC, candle(1)), published(ETH, candle(2)), published(BTC_HOUR, candle(0))]
    )
    assert btc.took() == [("BTCUSDT", 1, True)]
    assert eth.took() == [("ETHUSDT", 2, True)]
    assert both.took() == [("BTCUSDT", 1, True), ("ETHUSDT", 2, True)]


def test_clients_with_the_same_series_share_the_bytes() -> None:
    hub, one, two = new_hub(), Client(), Client()
    hub.handle([opened(one, BTC, ETH), opened(two, ETH), opened(two, BTC)])
    hub.handle([published(BTC, candle(1), candle(2, closed=False)), published(ETH, candle(1))])
    (batch,) = one.outbox.batches
    assert two.outbox.batches == [batch]
    assert two.outbox.batches[0] is batch
    assert [key for key, _ in batch.frames] == [(BTC, at(1)), (BTC, at(2)), (ETH, at(1))]


def test_update_is_encoded_once_for_groups_of_different_series() -> None:
    hub, one, two = new_hub(), Client(), Client()
    hub.handle([opened(one, BTC), opened(two, BTC, ETH)])
    hub.handle([published(BTC, candle(1))])
    assert one.outbox.batches[0].frames[0][1] is two.outbox.batches[0].frames[0][1]


def test_updates_keep_their_order() -> None:
    hub, client = new_hub(), Client()
    hub.handle([opened(client, BTC, ETH)])
    hub.handle(
        [
            published(BTC, candle(1, closed=False), candle(1), candle(2, closed=False)),
            published(ETH, candle(1)),
            published(BTC, candle(2)),
        ]
    )
    assert client.took() == [
        ("BTCUSDT", 1, False),
        ("BTCUSDT", 1, True),
        ("BTCUSDT", 2, False),
        ("ETHUSDT", 1, True),
        ("BTCUSDT", 2, True),
    ]


def test_two_states_of_one_candle_in_one_batch_are_two_messages() -> None:
    hub, client = new_hub(), Client()
    hub.handle([opened(client, BTC)])
    states = [candle(1, closed=False, event=2 * n, volume=n) for n in (1, 2, 3)]
    hub.handle([published(BTC, *states), published(BTC, candle(1))])
    volumes = [m["candle"]["volume"] for m in client.drain() if m["type"] == "candle"]
    assert volumes == [1, 2, 3, 10]
    assert len(client.outbox.batches) == 4


def test_correction_says_so() -> None:
    hub, client = new_hub(), Client()
    hub.handle([opened(client, BTC)])
    client.drain()
    hub.handle([published(BTC, candle(1), corrected=True), published(BTC, candle(2))])
    first, second = client.drain()
    assert (first["closed"], first["corrected"]) == (True, True)
    assert "corrected" not in second


# CachedPrefix and ending


def test_acknowledgement_comes_before_the_snapshot_and_that_before_updates() -> None:
    hub, client = new_hub(), Client()
    snapshot = Snapshot(BTC, tuple(rows(0, 2)), False)
    hub.handle(
        [
            published(BTC, candle(2, closed=False)),
            opened(client, BTC, ack=ACK, snapshots=[snapshot]),
            published(BTC, candle(2)),
        ]
    )
    got = client.drain()
    assert kinds(got) == ["subscribed", "status", "snapshot", "candle"]
    assert [each["time"] for each in got[2]["candles"]] == [at(m) // 1000 for m in range(3)]
    assert got[3]["closed"]


def test_what_came_before_a_subscription_in_the_same_batch_is_not_repeated() -> None:
    hub, old, new = new_hub(), Client(), Client()
    hub.handle([opened(old, BTC)])
    hub.handle([published(BTC, candle(1)), opened(new, BTC), published(BTC, candle(2))])
    assert old.took() == [("BTCUSDT", 1, True), ("BTCUSDT", 2, True)]
    assert new.took() == [("BTCUSDT", 2, True)]


def test_nothing_comes_after_the_acknowledged_end() -> None:
    hub, client = new_hub(), Client()
    hub.handle([opened(client, BTC, ETH)])
    client.drain()
    hub.handle(
        [
            published(BTC, candle(1)),
            closed(client, BTC, ack=ACK),
            published(BTC, candle(2)),
            published(ETH, candle(2)),
        ]
    )
    got = client.drain()
    assert kinds(got) == ["candle", "subscribed", "candle"]
    assert (got[0]["symbol"], got[2]["symbol"]) == ("BTCUSDT", "ETHUSDT")


def test_client_that_is_gone_gets_nothing() -> None:
    hub, client = new_hub(), Client()
    hub.handle([opened(client, BTC), gone(client), published(BTC, candle(1))])
    hub.beat(0.0)
    hub.handle([FeedChanged(FeedStatus(Feed.LIVE, 0.0)), closed(client, BTC, ack=ACK)])
    assert kinds(client.drain()) == ["status"]


def test_end_of_an_unknown_client_is_no_failure() -> None:
    hub = new_hub()
    hub.handle([gone(Client()), closed(Client(), BTC, ack=ACK)])
    assert hub.counters.subscribers == 0


def test_subscribing_twice_brings_updates_once() -> None:
    hub, client = new_hub(), Client()
    hub.handle([opened(client, BTC, ack=ACK), opened(client, BTC, ack=ACK)])
    hub.handle([published(BTC, candle(1))])
    assert kinds(client.drain()) == ["subscribed", "status", "subscribed", "candle"]
    assert hub.counters.subscriptions == 1


def test_unsubscribing_from_what_was_not_subscribed_is_acknowledged() -> None:
    hub, client = new_hub(), Client()
    hub.handle([opened(client, BTC)])
    client.drain()
    hub.handle([closed(client, ETH, ack=ACK), published(BTC, candle(1))])
    assert kinds(client.drain()) == ["subscribed", "candle"]


def test_client_without_subscriptions_gets_feed_status_and_heartbeats() -> None:
    hub, client = new_hub(), Client()
    hub.handle([FeedChanged(FeedStatus(Feed.LIVE, 12.0)), opened(client, ack=ACK)])
    hub.beat(30.0)
    got = client.drain()
    assert kinds(got) == ["subscribed", "status", "heartbeat"]
    assert (got[1]["feed"], got[1]["since"]) == ("live", 12.0)
    assert got[2]["time"] == 30.0


def test_change_of_the_feed_is_sent_in_order() -> None:
    hub, client = new_hub(), Client()
    hub.handle([opened(client, BTC)])
    client.drain()
    hub.handle(
        [
            published(BTC, candle(1)),
            FeedChanged(FeedStatus(Feed.STALE, 1.0)),
            published(BTC, candle(2)),
        ]
    )
    assert kinds(client.drain()) == ["candle", "status", "candle"]


LIVE, STALE = FeedStatus(Feed.LIVE, 1.0), FeedStatus(Feed.STALE, 2.0)
ETH_IS_STALE = FeedChanged(STALE, (STALE, LIVE))
"""Of two shards; BTCUSDT is in the second one."""


def feeds(client: Client) -> list[tuple[str, float]]:
    messages = [each for each in client.drain() if each["type"] == "status"]
    return [(each["feed"], each["since"]) for each in messages]


def test_silence_of_a_shard_concerns_only_those_who_have_series_of_it() -> None:
    hub, btc, eth, both, none = new_hub(), Client(), Client(), Client(), Client()
    hub.handle([FeedChanged(LIVE, (LIVE, LIVE))])
    hub.handle([opened(btc, BTC), opened(eth, ETH), opened(both, BTC, ETH), opened(none, ack=ACK)])
    assert [feeds(each) for each in (btc, eth, both, none)] == [[("live", 1.0)]] * 4
    hub.handle([ETH_IS_STALE])
    assert feeds(btc) == []
    assert feeds(eth) == feeds(both) == feeds(none) == [("stale", 2.0)]
    hub.handle([FeedChanged(LIVE, (LIVE, LIVE))])
    assert feeds(btc) == []
    assert feeds(eth) == feeds(both) == feeds(none) == [("live", 1.0)]


def test_status_follows_what_a_client_is_subscribed_to() -> None:
    hub, client = new_hub(), Client()
    hub.handle([ETH_IS_STALE, opened(client, BTC, ack=ACK)])
    assert feeds(client) == [("live", 1.0)]
    hub.handle([opened(client, ETH, ack=ACK)])
    assert feeds(client) == [("stale", 2.0)]
    hub.handle([closed(client, ETH, ack=ACK)])
    assert feeds(client) == [("live", 1.0)]
    hub.handle([closed(client, BTC, ack=ACK)])
    assert feeds(client) == [("stale", 2.0)], "without any series, it is that of all"


def test_status_that_is_known_is_not_sent_again() -> None:
    hub, client = new_hub(), Client()
    hub.handle([FeedChanged(LIVE), opened(client, BTC), FeedChanged(LIVE)])
    assert feeds(client) == [("live", 1.0)]


def test_same_snapshot_is_encoded_once_and_another_is_not_mistaken_for_it() -> None:
    hub = new_hub()
    same = [Client() for _ in range(3)]
    for client in same:
        hub.handle([opened(client, BTC, snapshots=[Snapshot(BTC, tuple(rows(0, 2)), False)])])
    assert len({client.outbox.data for client in same}) == 1
    variants = [
        Snapshot(BTC, tuple(rows(0, 2)), True),
        Snapshot(BTC, tuple(rows(1, 2)), False),
        Snapshot(BTC, (*rows(0, 1, closed=True), candle(2, close=7.0)), False),
        Snapshot(ETH, tuple(rows(0, 2)), False),
    ]
    for snapshot in variants:
        client = Client()
        hub.handle([opened(client, snapshot.series, snapshots=[snapshot])])
        got = client.drain()[-1]
        assert got["symbol"] == snapshot.series.symbol
        assert got["truncated"] is snapshot.truncated
        assert [each["close"] for each in got["candles"]] == [c.close for c in snapshot.candles]


# The legacy endpoint


def test_legacy_client_gets_legacy_candles_and_nothing_else() -> None:
    hub, legacy = new_hub(), Client(legacy=True)
    hub.handle(
        [
            opened(legacy, BTC, snapshots=[Snapshot(BTC, (candle(1, closed=False),), False)]),
            published(BTC, candle(0), corrected=True),
            published(BTC, candle(1)),
            published(ETH, candle(1)),
            FeedChanged(FeedStatus(Feed.STALE, 0.0)),
        ]
    )
    hub.beat(1.0)
    got = legacy.drain()
    assert [(each["timestamp"], each["is_closed"]) for each in got] == [
        (at(1), False),
        (at(1), True),
    ]
    assert all("type" not in each and each["symbol"] == "BTCUSDT" for each in got)


def test_legacy_and_other_clients_of_one_series_get_their_own_form() -> None:
    hub, legacy, other = new_hub(), Client(legacy=True), Client()
    hub.handle([opened(legacy, BTC), opened(other, BTC)])
    other.drain()
    hub.handle([published(BTC, candle(1))])
    (one,), (two,) = legacy.drain(), other.drain()
    assert (one["timestamp"], two["candle"]["time"]) == (at(1), at(1) // 1000)
    assert one["close"] == two["candle"]["close"]


# Ends and counts


@pytest.mark.parametrize("because", ClosedReason)
def test_closed_outboxes_are_forgotten_at_the_next_beat(because: ClosedReason) -> None:
    hub, client, other = new_hub(), Client(), Client()
    hub.handle([opened(client, BTC, ETH), opened(other, BTC)])
    assert (hub.counters.subscribers, hub.counters.subscriptions) == (2, 3)
    client.outbox.end(because)
    hub.beat(0.0)
    assert (hub.counters.subscribers, hub.counters.subscriptions) == (1, 1)
    hub.handle([gone(client), opened(client, BTC, ack=ACK), gone(other)])
    assert (hub.counters.subscribers, hub.counters.subscriptions) == (0, 0)
    assert_nothing_left(hub)


def test_counts_follow_what_happens() -> None:
    hub, one, two = new_hub(), Client(), Client()
    counters = hub.counters
    hub.handle([opened(one), opened(one, BTC, ETH), opened(two, BTC)])
    assert (counters.subscribers, counters.subscriptions) == (2, 3)
    hub.handle(
        [
            published(BTC, candle(1), candle(2)),
            published(ETH, candle(1)),
            published(BTC_HOUR, candle(0)),
        ]
    )
    assert (counters.published, counters.delivered) == (4, 5)
    hub.handle([closed(one, BTC)])
    assert (counters.subscribers, counters.subscriptions) == (2, 2)
    hub.handle([closed(one, ETH), published(ETH, candle(2))])
    assert (counters.subscribers, counters.subscriptions) == (2, 1)
    assert (counters.published, counters.delivered) == (5, 5)
    hub.handle([gone(one), gone(two), gone(two)])
    assert (counters.subscribers, counters.subscriptions) == (0, 0)
    assert_nothing_left(hub)


def test_restarted_hub_begins_without_clients_and_keeps_counting() -> None:
    counters = HubCounters()
    hub, client = Hub(CandleTexts(), counters), Client()
    hub.handle([opened(client, BTC), published(BTC, candle(1))])
    hub = Hub(CandleTexts(), counters)
    assert (counters.subscribers, counters.subscriptions) == (0, 0)
    hub.handle([opened(Client(), ETH)])
    assert (counters.subscribers, counters.subscriptions) == (1, 1)
    assert (counters.published, counters.delivered) == (1, 1)


def assert_nothing_left(hub: Hub) -> None:
    assert not hub._series
    assert not list(hub._groups)
    assert not hub._groups._of_series


# Any sequence at all, against what each client must get

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


# The actor


async def test_heartbeat_comes_every_25_seconds_exactly(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    mailbox, client = Mailbox[HubEvent]("hub", capacity=8), Client()
    await nursery.start(run_hub_every_25_seconds, mailbox)
    await mailbox.tell(opened(client, BTC))
    heard = []
    for _ in range(100):
        await trio.sleep(1)
        await wait_all_tasks_blocked()
        heard += [m["time"] - 1000 for m in client.drain() if m["type"] == "heartbeat"]
    assert heard == [25, 50, 75, 100]
    assert trio.current_time() == 100
    nursery.cancel_scope.cancel()


async def run_hub_every_25_seconds(
    mailbox: Mailbox[HubEvent], *, task_status: trio.TaskStatus[None]
) -> None:
    await run_hub(
        mailbox,
        CandleTexts(),
        HubCounters(),
        heartbeat=25,
        wall_clock=lambda: 1000 + trio.current_time(),
        cost_clock=trio.current_time,
        task_status=task_status,
    )


async def test_everything_that_is_queued_is_sent_at_once_and_in_order(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    mailbox, client = Mailbox[HubEvent]("hub", capacity=100), Client()
    mailbox.tell_nowait(opened(client, BTC))
    for minute in range(50):
        mailbox.tell_nowait(published(BTC, candle(minute)))
    await nursery.start(run_hub_every_25_seconds, mailbox)
    await wait_all_tasks_blocked()
    assert [minute for _, minute, _ in client.took()] == list(range(50))
    assert len(client.outbox.batches) == 1
    nursery.cancel_scope.cancel()


class LongOutbox(RecordingOutbox):
    """Posting takes a while, in the clock's time; remembers when it ended."""

    def __init__(self, clock: MockClock, seconds: float) -> None:
        super().__init__()
        self.times: list[float] = []
        self._clock = clock
        self._seconds = seconds

    def post(self, batch: FrameBatch) -> None:
        super().post(batch)
        self._clock.jump(self._seconds)
        self.times.append(trio.current_time())


@pytest.mark.parametrize("took", [0.0, 0.001, 0.002, 0.1])
async def test_flushes_that_follow_each_other_keep_a_distance(
    took: float, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """And nothing that comes after a pause waits, nor does anything get lost meanwhile."""
    mailbox, client = Mailbox[HubEvent]("hub", capacity=100), Client()
    client.outbox = client.subscriber.outbox = outbox = LongOutbox(autojump_clock, took)
    await nursery.start(run_hub_every_25_seconds, mailbox)
    await mailbox.tell(opened(client, BTC))
    await trio.sleep(1)
    began = trio.current_time()
    for minute in range(10):
        await mailbox.tell(published(BTC, candle(minute)))
        await wait_all_tasks_blocked()
    await trio.sleep(1)
    first, *others = outbox.times
    assert first == began + took
    distance = min(took * (1 / FLUSH_CPU_SHARE - 1), MAX_FLUSH_PAUSE)
    if took:
        assert [at - first for at in others] == [pytest.approx(distance + took)]
    assert [minute for _, minute, _ in client.took()] == list(range(10))
    at_rest = trio.current_time()
    await mailbox.tell(published(BTC, candle(10)))
    await wait_all_tasks_blocked()
    assert outbox.times[-1] == at_rest + took
    nursery.cancel_scope.cancel()


async def test_subscriptions_are_not_gathered(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Only candles wait: a client that connects is answered at once."""
    mailbox, client = Mailbox[HubEvent]("hub", capacity=100), Client()
    client.outbox = client.subscriber.outbox = LongOutbox(autojump_clock, 0.01)
    await nursery.start(run_hub_every_25_seconds, mailbox)
    began = trio.current_time()
    for _ in range(3):
        await mailbox.tell(opened(client, BTC, ack=ACK))
        await wait_all_tasks_blocked()
    assert len(client.drain()) == 4
    assert trio.current_time() == began
    nursery.cancel_scope.cancel()


# Signs of life, and series that are not served any more


async def test_legacy_client_gets_a_ping_every_20_seconds(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    mailbox, legacy, other = Mailbox[HubEvent]("hub", capacity=9), Client(legacy=True), Client()
    await nursery.start(run_hub_every_25_seconds, mailbox)
    await mailbox.tell(opened(legacy, BTC))
    await mailbox.tell(opened(other, BTC))
    times = []
    for _ in range(65):
        await trio.sleep(1)
        await wait_all_tasks_blocked()
        times += [trio.current_time()] * legacy.outbox.data.count(PING_FRAME)
        legacy.outbox.data = b""
    assert times == [20, 40, 60]
    assert PING_FRAME not in other.outbox.data
    nursery.cancel_scope.cancel()


def test_clients_of_a_withdrawn_series_are_informed() -> None:
    hub, subscribed, waiting, other, legacy = (
        new_hub(), Client(), Client(), Client(), Client(legacy=True)
    )  # fmt: skip
    hub.handle([opened(subscribed, BTC, ETH), opened(waiting), opened(other, ETH)])
    hub.handle([opened(legacy, BTC)])
    for client in (subscribed, waiting, other, legacy):
        client.drain()
    hub.handle([SeriesWithdrawn(BTC, (waiting.subscriber,))])
    for client in (subscribed, waiting):
        (message,) = client.drain()
        assert (message["type"], message["code"]) == ("error", "series_withdrawn")
        assert "BTCUSDT 1m" in message["message"]
    assert other.drain() == legacy.drain() == []


# What goes and comes back


def test_subscribers_of_a_series_that_returns_get_what_they_missed() -> None:
    hub, client, other, legacy = new_hub(), Client(), Client(), Client(legacy=True)
    hub.handle([opened(client, BTC, ETH), opened(other, ETH), opened(legacy, BTC)])
    for each in (client, other, legacy):
        each.drain()
    hub.handle([SeriesReturned(Snapshot(BTC, (candle(3), candle(4, closed=False)), False))])
    [message] = client.drain()
    assert (message["type"], message["symbol"], message["closed"]) == ("snapshot", "BTCUSDT", False)
    assert len(message["candles"]) == 2
    assert other.drain() == []
    assert [each["timestamp"] for each in legacy.drain()] == [at(3), at(4)]


def test_hub_that_begins_again_knows_how_the_feed_is() -> None:
    hub = Hub(CandleTexts(), HubCounters(), feed=FeedReport(FeedStatus(Feed.LIVE, 5.0)))
    client = Client()
    hub.handle([opened(client, BTC)])
    [status] = [each for each in client.drain() if each["type"] == "status"]
    assert (status["feed"], status["since"]) == ("live", 5.0)
