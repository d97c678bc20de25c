"""Anything that a client may send."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.series import Series
from smarttrade.session.errors import CloseCode
from smarttrade.session.protocol import (
    End,
    Send,
    Subscribe,
    Unsubscribe,
)
from tests.fakes.frames import Message, message
from tests.smarttrade.session.requests_of_clients import (
    CATALOGUE,
    new_session,
)

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
