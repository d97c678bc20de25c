"""What clients may write, and what they are answered when it is something else."""

from __future__ import annotations

import json

import pytest

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.session.errors import RequestError
from smarttrade.session.protocol import (
    Send,
)
from smarttrade.session.requests import find_series
from smarttrade.store.messages import Catalogue, SubscriptionSpec
from tests.fakes.candles import BTC
from tests.fakes.frames import message
from tests.smarttrade.session.requests_of_clients import (
    BTC_1M,
    ETH_1M,
    ETH_DAY,
    answer,
    new_session,
    receive,
    refusal,
    subscribe,
    unsubscribe,
)

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
    _, reply = subscribe(new_session(), {"subscriptions": [{"symbol": "x" * 51, "interval": "1m"}]})
    (error,) = reply["errors"]
    assert error["symbol"] == "x" * 50
    assert repr("x" * 50 + "...") in error["message"]
    _, reply = subscribe(new_session(), {"subscriptions": [{"symbol": "x" * 50, "interval": "1m"}]})
    assert repr("x" * 50) in reply["errors"][0]["message"]


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
