"""`/asyncapi.json` against what is sent and understood.

That every message which the tests see is what the schema says is checked where they are received:
`tests/fakes/schemas.py`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.candle import Candle
from smarttrade.session.budget import Budget
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.errors import CloseCode
from smarttrade.session.protocol import End, Send, SessionProtocol
from smarttrade.session.requests import ACTIONS
from smarttrade.session.session_limits import SessionLimits
from smarttrade.session.wire import Encoder, legacy_frame
from smarttrade.store.messages import Catalogue
from smarttrade.web.schemas.asyncapi import CLOSES, EXAMPLES
from tests.fakes.application import websocket_document
from tests.fakes.candles import BTC, candle, rows
from tests.fakes.frames import messages
from tests.fakes.schemas import check_references, check_request, checked
from tests.smarttrade.web.backend import INTERVALS, SYMBOLS, backend

CATALOGUE = Catalogue(SYMBOLS, INTERVALS)


def protocol() -> SessionProtocol:
    return SessionProtocol(
        "a-session", "smarttrade/test", 25.0, SessionLimits(), Budget(SessionLimits())
    )


async def test_every_websocket_route_is_a_channel() -> None:
    async with backend() as server:
        rules = [rule.rule for rule in server.app.url_map.iter_rules() if rule.websocket]
        document = (await server.get("/asyncapi.json")).json()
    written = {re.sub(r"<(\w+)>", r"{\1}", rule) for rule in rules}
    assert written == {channel["address"] for channel in document["channels"].values()}
    assert document["asyncapi"] == "3.0.0"


def test_every_reference_leads_somewhere() -> None:
    check_references(websocket_document())


def test_operations_name_messages_of_their_channel() -> None:
    document = websocket_document()
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"].rpartition("/")[2]
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"#/channels/{channel}/messages/")


def test_every_close_code_is_explained() -> None:
    assert set(CLOSES) == set(CloseCode)


# What is put together by hand

numbers = st.floats(min_value=0, max_value=1e12, allow_nan=False)


@given(
    st.lists(st.tuples(numbers, numbers, numbers, numbers, numbers), min_size=1, max_size=5),
    st.booleans(),
    st.booleans(),
)
def test_hand_made_messages_are_what_the_schema_says(
    values: list[tuple[float, float, float, float, float]], closed: bool, flag: bool
) -> None:
    candles = [
        Candle(minute * 60_000, *each, closed or minute + 1 < len(values))
        for minute, each in enumerate(values)
    ]
    encoder = Encoder(CandleTexts())
    frames = [
        encoder.update(BTC, candles[-1], corrected=flag),
        encoder.snapshot(BTC, candles, truncated=flag),
        encoder.snapshot(BTC, [], truncated=flag),
        legacy_frame(BTC, candles[-1]),
    ]
    for frame in frames:
        assert len(messages(frame)) == 1  # which checks it


def test_what_is_no_message_of_ours_is_found() -> None:
    encoder = Encoder(CandleTexts())
    [update] = messages(encoder.update(BTC, candle(), corrected=False))
    [snapshot] = messages(encoder.snapshot(BTC, rows(0, 1), truncated=False))
    wrong = [
        {**update, "candle": {**update["candle"], "close": "100"}},
        {**update, "closed": None},
        {name: value for name, value in update.items() if name != "interval"},
        {**snapshot, "candles": [1]},
        {"type": "status", "feed": "asleep", "since": 1.0},
    ]
    for message in wrong:
        with pytest.raises(jsonschema_rs.ValidationError):
            checked(json.dumps(message))


# What is understood


@pytest.mark.parametrize(("name", "request_"), EXAMPLES)
def test_examples_are_of_the_schema_and_are_understood(name: str, request_: Any) -> None:
    check_request(request_)
    for action in protocol().receive(json.dumps(request_), CATALOGUE, 0.0):
        assert not isinstance(action, End)
        if isinstance(action, Send):
            [answer] = messages(action.frame)
            assert answer["type"] != "error", name
        else:
            [answer] = messages(action.acknowledgement)
            assert answer["errors"] == [], name


@pytest.mark.parametrize(
    "request_",
    [
        {"action": "dance"},
        {"action": 5},
        {"subscriptions": {}},
        {"subscriptions": ["BTCUSDT"]},
        {"subscriptions": [{"symbol": "BTCUSDT"}]},
        {"subscriptions": [{"symbol": "BTCUSDT", "interval": "1m", "snapshot": 1001}]},
        {"symbol": "BTCUSDT", "interval": "1m", "since": -1},
        {"action": "ping", "id": []},
    ],
)
def test_requests_that_are_refused_are_not_of_the_schema(request_: Any) -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        check_request(request_)


def test_actions_of_the_schema_are_those_that_are_carried_out() -> None:
    for action in ACTIONS:
        session = protocol()
        request = {"action": action, "symbol": "BTCUSDT", "interval": "1m"}
        [done] = session.receive(json.dumps(request), CATALOGUE, 0.0)
        assert not isinstance(done, Send) or messages(done.frame)[0]["type"] != "error"
