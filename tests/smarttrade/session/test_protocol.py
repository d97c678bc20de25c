from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.session.budget import Budget
from smarttrade.session.errors import CloseCode, RequestError
from smarttrade.session.protocol import (
    Action,
    End,
    Send,
    SessionCounters,
    SessionProtocol,
    Subscribe,
    Unsubscribe,
)
from smarttrade.session.requests import find_series, shown
from smarttrade.session.session_limits import BAD_REQUEST_INTERVAL, SessionLimits
from smarttrade.store.messages import Catalogue, SubscriptionSpec
from tests.fakes.candles import BTC, ETH
from tests.fakes.frames import Message, message

CATALOGUE = Catalogue(
    ("BTCUSDT", "ETHUSDT"),
    (Interval.MINUTE_1, Interval.HOUR_1, Interval.DAY_1, Interval.WEEK_1, Interval.MONTH_1),
)
BTC_DAY = Series("BTCUSDT", Interval.DAY_1)
ETH_DAY = Series("ETHUSDT", Interval.DAY_1)
BTC_1M = {"symbol": "BTCUSDT", "interval": "1m"}
ETH_1M = {"symbol": "ETHUSDT", "interval": "1m"}


def new_session(**limits: Any) -> SessionProtocol:
    allowed = SessionLimits(**limits)
    return SessionProtocol("s1", "smarttrade/9.9.9", 25, allowed, Budget(allowed))


def receive(session: SessionProtocol, request: object, now: float = 0.0) -> list[Action]:
    text = request if isinstance(request, str | bytes) else json.dumps(request)
    return session.receive(text, CATALOGUE, now)


def subscribe(
    session: SessionProtocol, request: object
) -> tuple[tuple[SubscriptionSpec, ...], Message]:
    (action,) = receive(session, request)
    assert isinstance(action, Subscribe)
    return action.wanted, message(action.acknowledgement)


def unsubscribe(session: SessionProtocol, request: object) -> tuple[tuple[Series, ...], Message]:
    (action,) = receive(session, request)
    assert isinstance(action, Unsubscribe)
    return action.series, message(action.acknowledgement)


def answer(session: SessionProtocol, request: object) -> Message:
    (action,) = receive(session, request)
    assert isinstance(action, Send)
    return message(action.frame)


def refusal(request: object, **limits: Any) -> Message:
    reply = answer(new_session(**limits), request)
    assert set(reply) == {"type", "id", "code", "message"}
    assert reply["type"] == "error"
    assert reply["message"]
    return reply


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


# Spelling


@pytest.mark.parametrize("symbol", ["btcusdt", "BtcUsdt", " BTCUSDT "])
def test_symbols_match_in_any_case(symbol: str) -> None:
    assert subscribe(new_session(), {"symbol": symbol, "interval": "1m"})[0] == (
        SubscriptionSpec(BTC),
    )


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("1m", Interval.MINUTE_1),
        ("1M", Interval.MONTH_1),
        ("1h", Interval.HOUR_1),
        ("1H", Interval.HOUR_1),
        ("1D", Interval.DAY_1),
        ("1W", Interval.WEEK_1),
    ],
)
def test_intervals_match_exactly_or_as_charts_write_them(text: str, interval: Interval) -> None:
    ((wanted, *_),) = [subscribe(new_session(), {"symbol": "BTCUSDT", "interval": text})[0]]
    assert wanted.series.interval is interval


def test_month_that_is_not_offered_does_not_become_a_minute() -> None:
    offered = Catalogue(("BTCUSDT",), (Interval.MINUTE_1,))
    with pytest.raises(RequestError) as caught:
        find_series("BTCUSDT", "1M", offered)
    assert caught.value.code == "unknown_interval"


def test_what_is_no_longer_on_offer_can_be_unsubscribed() -> None:
    session = new_session()
    subscribe(session, BTC_1M)
    left = Catalogue(("ETHUSDT",), CATALOGUE.intervals)
    message = json.dumps({"action": "unsubscribe", **BTC_1M})
    (action,) = session.receive(message, left, 0.0)
    assert isinstance(action, Unsubscribe)
    assert [series.symbol for series in action.series] == ["BTCUSDT"]


def test_symbol_that_is_left_out_is_refused_with_the_reason() -> None:
    details = {"NEWUSDT": SymbolDetails(state=SymbolState.UNKNOWN)}
    offered = Catalogue(("BTCUSDT",), (Interval.MINUTE_1,), details)
    with pytest.raises(RequestError, match=r"NEWUSDT is left out: .* does not list it") as caught:
        find_series("NEWUSDT", "1m", offered)
    assert caught.value.code == "unknown_symbol"


def test_message_for_an_unknown_symbol_names_twenty_at_most() -> None:
    """A thousand such entries would have an answer of megabytes with the whole exchange's."""
    offered = Catalogue(tuple(f"S{n}USDT" for n in range(1500)), (Interval.MINUTE_1,))
    with pytest.raises(RequestError, match=r"S18USDT, S19USDT and 1480 more$"):
        find_series("NOPEUSDT", "1m", offered)
    assert find_series("S1499USDT", "1m", offered) == Series("S1499USDT", Interval.MINUTE_1)


# Bad entries


def test_one_bad_entry_does_not_fail_the_others() -> None:
    wanted, reply = subscribe(
        new_session(),
        {
            "subscriptions": [
                {"symbol": "NOPE", "interval": "1m"},
                BTC_1M,
                {"symbol": "BTCUSDT", "interval": "7m"},
                {"symbol": "BTCUSDT", "interval": "1d", "snapshot": 0},
                5,
                None,
                {"symbol": "BTCUSDT"},
                {"symbol": ["BTCUSDT"], "interval": "1m"},
                {**ETH_1M, "since": -1},
                {"symbol": "ETHUSDT", "interval": "1D"},
            ]
        },
    )
    assert wanted == (SubscriptionSpec(BTC), SubscriptionSpec(ETH_DAY))
    assert reply["subscriptions"] == [BTC_1M, {"symbol": "ETHUSDT", "interval": "1d"}]
    assert [(each["symbol"], each["interval"], each["code"]) for each in reply["errors"]] == [
        ("NOPE", "1m", "unknown_symbol"),
        ("BTCUSDT", "7m", "unknown_interval"),
        ("BTCUSDT", "1d", "bad_snapshot"),
        (None, None, "bad_request"),
        (None, None, "bad_request"),
        ("BTCUSDT", None, "bad_request"),
        (None, "1m", "bad_request"),
        ("ETHUSDT", "1m", "bad_since"),
    ]
    for each in reply["errors"]:
        assert set(each) == {"symbol", "interval", "code", "message"}


def test_bad_entry_is_answered_with_what_is_allowed() -> None:
    _, reply = subscribe(
        new_session(),
        {"subscriptions": [{"symbol": "NOPE", "interval": "1m"}, {**BTC_1M, "interval": "7m"}]},
    )
    unknown_symbol, unknown_interval = (each["message"] for each in reply["errors"])
    assert "'NOPE'" in unknown_symbol
    assert "BTCUSDT, ETHUSDT" in unknown_symbol
    assert "'7m'" in unknown_interval
    assert "1m, 1h, 1d, 1w, 1M" in unknown_interval


def test_bad_entry_of_an_unsubscription_does_not_fail_the_others() -> None:
    session = new_session()
    subscribe(session, BTC_1M)
    series, reply = unsubscribe(
        session, {"action": "unsubscribe", "subscriptions": [{"symbol": "NOPE"}, 7, BTC_1M]}
    )
    assert (series, reply["subscriptions"]) == ((BTC,), [])
    assert [each["code"] for each in reply["errors"]] == ["bad_request", "bad_request"]


@pytest.mark.parametrize("snapshot", [1, 500, WINDOW_SIZE])
def test_snapshot_from_one_candle_to_a_window(snapshot: int) -> None:
    wanted, _ = subscribe(new_session(), {**BTC_1M, "snapshot": snapshot})
    assert wanted == (SubscriptionSpec(BTC, snapshot),)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("snapshot", 0, "bad_snapshot"),
        ("snapshot", -1, "bad_snapshot"),
        ("snapshot", WINDOW_SIZE + 1, "bad_snapshot"),
        ("snapshot", 10**400, "bad_snapshot"),
        ("snapshot", "5", "bad_request"),
        ("snapshot", 5.5, "bad_request"),
        ("snapshot", True, "bad_request"),
        ("since", -1, "bad_since"),
        ("since", -0.001, "bad_since"),
        ("since", 10**11, "bad_since"),
        ("since", 1733007600000, "bad_since"),  # milliseconds
        ("since", 1e308, "bad_since"),
        ("since", 10**400, "bad_since"),
        ("since", "yesterday", "bad_request"),
        ("since", [], "bad_request"),
    ],
)
def test_bad_option_is_named_in_the_error(field: str, value: object, code: str) -> None:
    session = new_session()
    wanted, reply = subscribe(session, {"subscriptions": [{**BTC_1M, field: value}]})
    assert (wanted, reply["subscriptions"], session.subscribed) == ((), [], {})
    (error,) = reply["errors"]
    assert (error["code"], error["symbol"], error["interval"]) == (code, "BTCUSDT", "1m")
    assert field in error["message"]


@pytest.mark.parametrize(
    "request_",
    [
        {"symbol": 5, "interval": "1m"},
        {"symbol": "BTCUSDT"},
        {"symbol": "BTCUSDT", "interval": None},
        {**BTC_1M, "since": "yesterday"},
    ],
)
def test_single_request_of_wrong_types_is_an_error(request_: object) -> None:
    """In a list it is one bad entry among others; alone it is a request not understood."""
    (action,) = receive(new_session(), request_)
    assert isinstance(action, Send)
    reply = message(action.frame)
    assert (reply["type"], reply["code"]) == ("error", "bad_request")


@pytest.mark.parametrize("value", [0, 0.0, 1733007600, 10**11 - 1])
def test_any_time_in_seconds_is_a_since(value: float) -> None:
    wanted, _ = subscribe(new_session(), {**BTC_1M, "since": value})
    assert wanted == (SubscriptionSpec(BTC, since=int(value * 1000)),)


def test_long_words_of_a_client_are_cut() -> None:
    _, reply = subscribe(new_session(), {"symbol": "A" * 5000, "interval": "b" * 5000})
    (error,) = reply["errors"]
    assert (error["symbol"], error["interval"]) == ("A" * 50, "b" * 50)
    assert len(error["message"]) < 200
    assert len(refusal({"action": "x" * 5000})["message"]) < 200


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


# Bad requests


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "hello",
        "{",
        '{"action":}',
        "{'action': 'ping'}",
        '{"action":"ping"} trailing',
        "NaN",
        '{"id": 1e999, "action": "ping"}',
        '{"action":"ping","id":' + "9" * 5000 + "}",
        "[" * 60_000,
        '{"a":' * 10_000,
        '"\\ud800"',
        "\ud800",
        '{"action":"ping","id":"\udfff"}',
        "\0",
    ],
)
def test_what_is_not_json_is_refused(text: str) -> None:
    assert refusal(text)["code"] == "bad_json"


@pytest.mark.parametrize("request_", [[], [BTC_1M], 5, None, True, "ping", 1.5])
def test_what_is_no_object_is_refused(request_: object) -> None:
    assert refusal(json.dumps(request_))["code"] == "bad_request"


@pytest.mark.parametrize("data", [b"", b'{"action":"ping"}', b"\xff\x00"])
def test_binary_message_is_refused(data: bytes) -> None:
    assert refusal(data)["code"] == "binary_message"


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"action": "subscribe"},
        {"action": "unsubscribe"},
        {"action": 5},
        {"action": None},
        {"action": ["ping"]},
        {"subscriptions": {}},
        {"subscriptions": "BTCUSDT"},
        {"subscriptions": 5},
        {"subscriptions": None},
        {"snapshot": 5},
        {"action": "ping", "id": True},
        {"action": "ping", "id": 1.5},
        {"action": "ping", "id": [1]},
        {"action": "ping", "id": {"a": 1}},
        {"action": "list", "subscriptions": 5},
    ],
)
def test_wrong_types_and_missing_fields_are_refused(request_: object) -> None:
    reply = refusal(request_)
    assert (reply["code"], reply["id"]) == ("bad_request", None)


@pytest.mark.parametrize("action", ["", "Subscribe", "SUBSCRIBE", "sub", "publish", "ä"])
def test_unknown_action_is_refused_by_name(action: str) -> None:
    reply = refusal({"action": action, "id": 9, **BTC_1M})
    assert (reply["code"], reply["id"]) == ("unknown_action", 9)
    assert repr(action) in reply["message"]
    assert "subscribe, unsubscribe, list or ping" in reply["message"]


def test_id_of_a_refused_request_is_given_back() -> None:
    assert refusal({"id": 6, "subscriptions": 5})["id"] == 6
    assert refusal({"id": "six", "action": 5})["id"] == "six"


def test_session_goes_on_after_a_bad_request() -> None:
    session = new_session()
    assert answer(session, "nonsense")["type"] == "error"
    assert subscribe(session, BTC_1M)[0] == (SubscriptionSpec(BTC),)


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


# Anything at all

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
    | st.sampled_from(["BTCUSDT", "ethusdt", "1m", "1D", "subscribe", "unsubscribe", "list"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "symbol": st.sampled_from(["BTCUSDT", "ethusdt", "NOPE"]) | json_values,
        "interval": st.sampled_from(["1m", "1D", "1M", "7m"]) | json_values,
        "snapshot": st.integers(-2, 1100) | json_values,
        "since": st.integers(0, 2 * 10**9) | json_values,
    },
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["subscribe", "unsubscribe", "list", "ping"]) | json_values,
        "id": json_values,
        "subscriptions": st.lists(entries | json_values, max_size=5) | json_values,
        "symbol": st.sampled_from(["BTCUSDT"]) | json_values,
        "interval": st.sampled_from(["1m"]) | json_values,
    },
).map(json.dumps)
anything = st.text() | st.binary() | json_values.map(json.dumps) | requests


@given(st.lists(st.tuples(anything, st.floats(0, 1)), max_size=30))
def test_anything_is_answered_and_nothing_is_raised(reply: list[tuple[str | bytes, float]]) -> None:
    session, now = new_session(subscriptions=3, bad_requests=5, burst=20), 0.0
    subscribed: set[Series] = set()
    for text, pause in reply:
        now += pause
        actions = session.receive(text, CATALOGUE, now)
        assert actions
        for number, action in enumerate(actions):
            match action:
                case Send(frame):
                    assert message(frame)["type"] in {"error", "pong", "subscribed"}
                case Subscribe(wanted, acknowledgement):
                    subscribed |= {each.series for each in wanted}
                    assert all(each.series.symbol in CATALOGUE.symbols for each in wanted)
                    assert all(
                        each.snapshot is None or 1 <= each.snapshot <= 1000 for each in wanted
                    )
                    check_acknowledged(message(acknowledgement), subscribed)
                case Unsubscribe(series, acknowledgement):
                    subscribed -= set(series)
                    check_acknowledged(message(acknowledgement), subscribed)
                case End(code, reason):
                    assert number == len(actions) - 1
                    assert code is CloseCode.POLICY
                    assert len(reason.encode()) <= 123  # RFC 6455, 5.5.1
                    return
        assert set(session.subscribed) == subscribed
        assert len(subscribed) <= 3


def check_acknowledged(reply: Message, subscribed: set[Series]) -> None:
    assert set(reply) == {"type", "id", "subscriptions", "errors"}
    named = [(each["symbol"], each["interval"]) for each in reply["subscriptions"]]
    assert sorted(named) == sorted((s.symbol, s.interval.value) for s in subscribed)
    for each in reply["errors"]:
        assert set(each) == {"symbol", "interval", "code", "message"}


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


# What a refusal says


@pytest.mark.parametrize(
    ("request_", "lacks"),
    [({"symbol": "BTCUSDT"}, "`interval`"), ({"interval": "1m"}, "`symbol`")],
)
def test_half_a_series_is_answered_with_the_missing_half(
    request_: dict[str, str], lacks: str
) -> None:
    assert lacks in refusal(request_)["message"]


def test_request_without_any_series_is_answered_with_what_it_may_hold() -> None:
    assert "subscriptions" in refusal({})["message"]


def test_words_of_a_client_are_given_back_cut() -> None:
    _, reply = subscribe(new_session(), {"subscriptions": [{"symbol": "x" * 60, "interval": "1m"}]})
    (error,) = reply["errors"]
    assert error["symbol"] == "x" * 50
    assert repr("x" * 50 + "...") in error["message"]
    _, reply = subscribe(new_session(), {"subscriptions": [{"symbol": "x" * 50, "interval": "1m"}]})
    assert repr("x" * 50) in reply["errors"][0]["message"]


def test_client_s_words_are_cut_only_when_they_are_long() -> None:
    assert shown("x" * 50) == repr("x" * 50)
    assert shown("x" * 51) == repr("x" * 50 + "...")


# Numbers as JSON has them


def test_whole_numbers_may_have_a_point() -> None:
    request = '{"symbol": "BTCUSDT", "interval": "1m", "snapshot": 3.0, "id": 7.0}'
    wanted, answered = subscribe(new_session(), request)
    assert wanted == (SubscriptionSpec(BTC, snapshot=3),)
    assert answered["id"] == 7


@pytest.mark.parametrize("number", ["3.5", "1e300", "-1.0", "0.0", "1001.0"])
def test_other_numbers_are_no_snapshot(number: str) -> None:
    entry = f'{{"symbol": "BTCUSDT", "interval": "1m", "snapshot": {number}}}'
    wanted, answered = subscribe(new_session(), f'{{"subscriptions": [{entry}]}}')
    assert wanted == ()
    assert answered["errors"][0]["code"] in ("bad_snapshot", "bad_request")


@pytest.mark.parametrize("number", ["7.5", "1e300"])
def test_other_numbers_are_no_id(number: str) -> None:
    answered = answer(new_session(), f'{{"action": "ping", "id": {number}}}')
    assert (answered["type"], answered["code"]) == ("error", "bad_request")


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
