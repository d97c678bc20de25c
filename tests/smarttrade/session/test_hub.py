"""What the hub sends to whom, and in which order."""

from __future__ import annotations

import pytest

from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.frame_queue import ClosedReason
from smarttrade.session.hub import Hub
from smarttrade.session.hub_counters import HubCounters
from smarttrade.store.events import (
    FeedChanged,
    SeriesReturned,
    SeriesWithdrawn,
    Snapshot,
    SubscriptionsOpened,
    SymbolChanged,
)
from smarttrade.store.feed import Feed, FeedReport, FeedStatus
from tests.fakes.candles import BTC, BTC_HOUR, ETH, at, candle, rows
from tests.smarttrade.session.hub_clients import (
    ACK,
    Client,
    assert_nothing_left,
    closed,
    gone,
    kinds,
    new_hub,
    opened,
    published,
)

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


# Beginning and ending


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


# Series that go and come back


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


def test_delay_is_that_of_what_the_exchange_has_just_sent() -> None:
    """Not of a row of its history, nor of a correction."""
    counters = HubCounters()
    hub = Hub(CandleTexts(), counters, wall_clock=lambda: at(5) / 1000)
    read = candle(3)._replace(from_rest=True)
    hub.handle([published(BTC, read), published(BTC, candle(2), corrected=True)])
    assert counters.delays.count == 0
    live = candle(4)
    hub.handle([published(BTC, live)])
    assert (counters.delays.count, counters.delays.sum) == (1, (at(5) - live.event_time) / 1000)
