from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from smarttrade.session.errors import CloseCode
from smarttrade.session.protocol import (
    End,
    Send,
    SessionCounters,
    Unsubscribe,
)
from smarttrade.session.session_limits import BAD_REQUEST_INTERVAL
from smarttrade.store.messages import Catalogue, SubscriptionSpec
from tests.fakes.candles import BTC, ETH
from tests.fakes.frames import message
from tests.smarttrade.session.requests_of_clients import (
    BTC_1M,
    CATALOGUE,
    ETH_1M,
    ETH_DAY,
    answer,
    new_session,
    receive,
    refusal,
    subscribe,
    unsubscribe,
)

# The welcome


def test_welcome_says_who_serves_and_what_is_allowed() -> None:
    assert message(new_session().welcome()) == {
        "type": "welcome",
        "server": "smarttrade/9.9.9",
        "session": "s1",
        "heartbeat": 25,
        "limits": {
            "subscriptions": 1024,
            "message_bytes": 65536,
            "requests_per_second": 10.0,
            "burst": 200,
            "snapshot": 1000,
        },
        "simulated": False,
    }


# Every form of request


def test_single_subscription_as_front_ends_send_it() -> None:
    wanted, reply = subscribe(new_session(), {"symbol": "BTCUSDT", "interval": "1m"})
    assert wanted == (SubscriptionSpec(BTC),)
    assert reply == {"type": "subscribed", "id": None, "subscriptions": [BTC_1M], "errors": []}


def test_list_of_subscriptions_as_front_ends_send_it() -> None:
    wanted, reply = subscribe(
        new_session(), {"subscriptions": [BTC_1M, {"symbol": "ETHUSDT", "interval": "1D"}]}
    )
    assert wanted == (SubscriptionSpec(BTC), SubscriptionSpec(ETH_DAY))
    assert reply["subscriptions"] == [BTC_1M, {"symbol": "ETHUSDT", "interval": "1d"}]


def test_subscription_with_snapshot_and_id() -> None:
    wanted, reply = subscribe(
        new_session(),
        {"action": "subscribe", "id": 7, "subscriptions": [{**BTC_1M, "snapshot": 500}]},
    )
    assert wanted == (SubscriptionSpec(BTC, snapshot=500),)
    assert reply["id"] == 7


def test_subscription_since_a_time() -> None:
    wanted, _ = subscribe(
        new_session(),
        {"action": "subscribe", "subscriptions": [{**BTC_1M, "since": 1733007600}]},
    )
    assert wanted == (SubscriptionSpec(BTC, since=1733007600000),)


def test_single_form_takes_options_too() -> None:
    wanted, reply = subscribe(
        new_session(), {**BTC_1M, "snapshot": 1, "since": 1733007600.5, "id": "a"}
    )
    assert wanted == (SubscriptionSpec(BTC, 1, 1733007600500),)
    assert reply["id"] == "a"


def test_unsubscription() -> None:
    session = new_session()
    subscribe(session, {"subscriptions": [BTC_1M, ETH_1M]})
    series, reply = unsubscribe(
        session, {"action": "unsubscribe", "id": 3, "subscriptions": [BTC_1M]}
    )
    assert series == (BTC,)
    assert reply == {"type": "subscribed", "id": 3, "subscriptions": [ETH_1M], "errors": []}


def test_unsubscription_in_the_single_form() -> None:
    session = new_session()
    subscribe(session, BTC_1M)
    assert unsubscribe(session, {"action": "unsubscribe", **BTC_1M})[1]["subscriptions"] == []


def test_unsubscription_of_what_was_not_subscribed_is_no_error() -> None:
    series, reply = unsubscribe(new_session(), {"action": "unsubscribe", **BTC_1M})
    assert (series, reply["errors"]) == ((BTC,), [])


def test_list_names_all_subscriptions() -> None:
    session = new_session()
    subscribe(session, ETH_1M)
    subscribe(session, BTC_1M)
    assert answer(session, {"action": "list", "id": 4}) == {
        "type": "subscribed",
        "id": 4,
        "subscriptions": [ETH_1M, BTC_1M],
        "errors": [],
    }


def test_ping_is_answered() -> None:
    assert answer(new_session(), {"action": "ping", "id": 8}) == {"type": "pong", "id": 8}
    assert answer(new_session(), {"action": "ping"}) == {"type": "pong", "id": None}


@pytest.mark.parametrize("identifier", [0, -1, 10**30, "", "ä€", "x" * 1000, 2**64])
def test_ids_are_given_back_as_they_were(identifier: object) -> None:
    request = {"action": "ping", "id": identifier}
    assert answer(new_session(), request)["id"] == identifier
    assert subscribe(new_session(), {**BTC_1M, "id": identifier})[1]["id"] == identifier
    assert refusal({"action": "dance", "id": identifier})["id"] == identifier


def test_deep_json_is_an_entry_like_any_other() -> None:
    deep = "[" * 500 + "]" * 500
    text = '{"subscriptions":[' + deep + "," + json.dumps(BTC_1M) + "]}"
    wanted, reply = subscribe(new_session(), text)
    assert wanted == (SubscriptionSpec(BTC),)
    assert [each["code"] for each in reply["errors"]] == ["bad_request"]


def test_unknown_fields_are_ignored() -> None:
    wanted, _ = subscribe(new_session(), {**BTC_1M, "colour": "red", "n": [1, {"a": None}]})
    assert wanted == (SubscriptionSpec(BTC),)


# Subscribing adds, and is idempotent


def test_subscribing_adds() -> None:
    session = new_session()
    subscribe(session, BTC_1M)
    assert subscribe(session, ETH_1M)[1]["subscriptions"] == [BTC_1M, ETH_1M]


def test_subscribing_again_changes_nothing_but_brings_another_snapshot() -> None:
    session = new_session()
    subscribe(session, BTC_1M)
    wanted, reply = subscribe(session, {**BTC_1M, "snapshot": 5})
    assert wanted == (SubscriptionSpec(BTC, 5),)
    assert reply["subscriptions"] == [BTC_1M]


def test_series_named_twice_in_one_request_is_wanted_once() -> None:
    wanted, reply = subscribe(
        new_session(), {"subscriptions": [BTC_1M, {**BTC_1M, "symbol": "btcusdt", "snapshot": 2}]}
    )
    assert wanted == (SubscriptionSpec(BTC, 2),)
    assert reply["subscriptions"] == [BTC_1M]


def test_subscribing_to_nothing_names_what_there_is() -> None:
    wanted, reply = subscribe(new_session(), {"subscriptions": []})
    assert (wanted, reply["subscriptions"], reply["errors"]) == ((), [], [])


# Too many


def test_too_many_subscriptions_are_refused_one_by_one() -> None:
    session = new_session(subscriptions=2)
    hour = {"symbol": "BTCUSDT", "interval": "1h"}
    wanted, _ = subscribe(session, BTC_1M)
    wanted, reply = subscribe(session, {"subscriptions": [ETH_1M, hour]})
    assert wanted == (SubscriptionSpec(ETH),)
    assert reply["subscriptions"] == [BTC_1M, ETH_1M]
    (error,) = reply["errors"]
    assert (error["code"], error["interval"]) == ("too_many_subscriptions", "1h")
    assert "2" in error["message"]


def test_full_session_may_subscribe_again_to_what_it_has() -> None:
    session = new_session(subscriptions=1)
    subscribe(session, BTC_1M)
    assert subscribe(session, {**BTC_1M, "snapshot": 3})[0] == (SubscriptionSpec(BTC, 3),)


def test_unsubscribing_makes_room() -> None:
    session = new_session(subscriptions=1)
    subscribe(session, BTC_1M)
    unsubscribe(session, {"action": "unsubscribe", **BTC_1M})
    assert subscribe(session, ETH_1M)[1]["errors"] == []


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
def test_request_for_more_than_a_session_may_have_is_refused_as_a_whole(action: str) -> None:
    """Each bad entry would be answered: a few bytes of request for a hundred of answer."""
    reply = refusal({"action": action, "id": 5, "subscriptions": [0] * 4}, subscriptions=3)
    assert (reply["code"], reply["id"]) == ("too_many_subscriptions", 5)
    assert "3" in reply["message"]
    assert "4" in reply["message"]


# Floods


def test_flood_of_bad_requests_ends_the_session() -> None:
    session = new_session(bad_requests=20)
    for _ in range(20):
        (action,) = receive(session, "nonsense")
        assert isinstance(action, Send)
    reply, end = receive(session, "nonsense")
    assert isinstance(reply, Send)
    assert message(reply.frame)["code"] == "bad_json"
    assert end == End(CloseCode.POLICY, "too many bad requests")


def test_bad_requests_are_forgiven_with_time() -> None:
    session = new_session(bad_requests=3)
    now = 0.0
    for _ in range(3):
        receive(session, "nonsense", now)
    for _ in range(50):
        now += BAD_REQUEST_INTERVAL * 1.001
        assert len(receive(session, "nonsense", now)) == 1
    assert len(receive(session, "nonsense", now + BAD_REQUEST_INTERVAL / 2)) == 2


def test_good_requests_do_not_count_as_bad_ones() -> None:
    session = new_session(bad_requests=1)
    for _ in range(50):
        assert answer(session, {"action": "ping"})["type"] == "pong"
    assert answer(session, "nonsense")["type"] == "error"


def test_flood_of_good_requests_ends_the_session() -> None:
    session = new_session()
    for _ in range(200):
        assert answer(session, {"action": "ping"})["type"] == "pong"
    assert receive(session, {"action": "ping"}) == [End(CloseCode.POLICY, "too many requests")]


def test_requests_at_the_sustained_rate_go_on_for_ever() -> None:
    session = new_session(burst=2, requests_per_second=10.0)
    for number in range(1000):
        (action,) = receive(session, {"action": "ping"}, 5.0 + number * 0.1001)
        assert isinstance(action, Send)


# What is counted


def test_requests_and_refusals_are_counted() -> None:
    session = new_session()
    assert session.counters == SessionCounters()
    receive(session, BTC_1M)
    receive(session, "{")
    receive(session, {"action": "ping"})
    assert session.counters == SessionCounters(requests=3, bad_requests=1)


def test_counting_begins_at_zero() -> None:
    assert set(asdict(SessionCounters()).values()) == {0}


def test_session_that_is_closed_for_its_requests_is_counted() -> None:
    flooding = new_session(burst=1)
    for _ in range(2):
        receive(flooding, {"action": "ping"})
    assert flooding.counters == SessionCounters(requests=2, closed_flooding=1)
    faulty = new_session(bad_requests=1)
    for _ in range(2):
        receive(faulty, "{")
    assert faulty.counters == SessionCounters(requests=2, bad_requests=2, closed_faulty=1)


def test_series_over_the_limit_are_counted_one_by_one() -> None:
    session = new_session(subscriptions=1)
    receive(session, {"subscriptions": [BTC_1M, ETH_1M]})
    assert session.counters.refused_subscriptions == 2
    receive(session, BTC_1M)
    receive(session, ETH_1M)
    assert session.counters.refused_subscriptions == 3


# Series that are not served any more


def test_series_that_is_not_served_any_more_can_be_unsubscribed() -> None:
    session = new_session()
    subscribe(session, {"subscriptions": [BTC_1M, ETH_1M]})
    without = Catalogue(("ETHUSDT",), CATALOGUE.intervals)
    request = json.dumps({"action": "unsubscribe", "subscriptions": [BTC_1M]})
    (action,) = session.receive(request, without, 0.0)
    assert isinstance(action, Unsubscribe)
    assert action.series == (BTC,)
    assert message(action.acknowledgement)["subscriptions"] == [ETH_1M]
    assert message(action.acknowledgement)["errors"] == []
    (again,) = session.receive(request, without, 0.0)
    assert isinstance(again, Unsubscribe)
    assert message(again.acknowledgement)["errors"][0]["code"] == "unknown_symbol"
