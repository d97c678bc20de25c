"""What a client that follows series makes of messages and of lost connections."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade_client import (
    Candle,
    CandleEvent,
    Missed,
    SessionRefused,
    Status,
    SubscriptionRefused,
)
from smarttrade_client.following import MAX_HELD, Following

SERIES = {"symbol": "BTCUSDT", "interval": "1m"}


def bar(minute: int, close: float = 1.0) -> dict[str, float]:
    return {
        "time": 60 * minute,
        "open": 1.0,
        "high": 2.0,
        "low": 0.5,
        "close": close,
        "volume": 3.0,
    }


def candle(minute: int, close: float = 1.0, *, closed: bool = True) -> Candle:
    return Candle(60 * minute, 1.0, 2.0, 0.5, close, 3.0, closed)


def following() -> Following:
    return Following([("btcusdt", "1m")], snapshot=3)


def connect(following: Following, *, heartbeat: float = 25, simulated: bool = False) -> Any:
    """The server's greeting; what the client asks for."""
    receive(following, type="welcome", heartbeat=heartbeat, simulated=simulated)
    request = following.request()
    assert request is not None
    assert following.request() is None
    return json.loads(request)["subscriptions"]


def receive(following: Following, **message: Any) -> list[Any]:
    return following.receive(json.dumps(message))


def snapshot(
    following: Following, *bars: Any, closed: bool = False, truncated: bool = False
) -> list[Any]:
    message = {"type": "snapshot", **SERIES, "candles": bars, "closed": closed}
    return receive(following, **message, truncated=truncated)


def update(following: Following, bar: Any, *, closed: bool = False) -> list[Any]:
    return receive(following, type="candle", **SERIES, candle=bar, closed=closed)


def event(candle: Candle, *, corrected: bool = False) -> CandleEvent:
    return CandleEvent("BTCUSDT", "1m", candle, corrected)


def test_candles_come_as_they_are_sent() -> None:
    client = following()
    assert connect(client) == [{**SERIES, "snapshot": 3}]
    assert snapshot(client, bar(1), bar(2)) == [event(candle(1)), event(candle(2, closed=False))]
    assert update(client, bar(2, 1.5), closed=True) == [event(candle(2, 1.5))]
    assert update(client, bar(3)) == [event(candle(3, closed=False))]
    assert receive(client, type="news of a later server") == []


def test_series_are_named_as_the_server_names_them() -> None:
    client = Following([(" ethusdt ", "1D"), ("BTCUSDT", "1M")], snapshot=1)
    assert [(each["symbol"], each["interval"]) for each in connect(client)] == [
        ("ETHUSDT", "1d"),
        ("BTCUSDT", "1M"),
    ]


def test_after_a_reconnect_only_what_is_new_comes() -> None:
    client = following()
    connect(client)
    snapshot(client, bar(1), bar(2), bar(3))
    client.lost("gone", 1001, 60)
    assert connect(client) == [{**SERIES, "since": 180}]
    # It begins earlier than asked: candle 1 has been corrected meanwhile.
    assert snapshot(client, bar(1, 1.7), bar(2), bar(3, 1.5), bar(4)) == [
        event(candle(1, 1.7), corrected=True),
        event(candle(3, 1.5)),
        event(candle(4, closed=False)),
    ]


def test_what_the_window_no_longer_has_is_reported() -> None:
    client = following()
    connect(client)
    snapshot(client, bar(1), bar(2))
    client.lost("gone", None, 60)
    connect(client)
    assert snapshot(client, bar(90), truncated=True) == [
        Missed("BTCUSDT", "1m", after=120, before=5400),
        event(candle(90, closed=False)),
    ]


def test_final_state_that_comes_after_the_next_candle_is_a_correction() -> None:
    client = following()
    connect(client)
    snapshot(client, bar(1), bar(2))
    assert update(client, bar(3)) == [event(candle(3, closed=False))]
    client.lost("gone", 1001, 60)
    assert connect(client) == [{**SERIES, "since": 120}]
    assert snapshot(client, bar(2)) == []
    assert update(client, bar(2, 1.5), closed=True) == [event(candle(2, 1.5), corrected=True)]


def test_candle_that_was_missing_is_a_correction() -> None:
    client = following()
    connect(client)
    snapshot(client, bar(1), bar(3))
    assert update(client, bar(2), closed=True) == [event(candle(2), corrected=True)]


def test_closed_candle_never_forms_again() -> None:
    client = following()
    connect(client)
    snapshot(client, bar(1), closed=True)
    assert update(client, bar(1, 1.9)) == []


def test_feed_heartbeats_and_origin_are_reported() -> None:
    client = following()
    connect(client, simulated=True)
    live = Status(connected=True, feed="live", simulated=True)
    assert receive(client, type="status", feed="live", since=1) == [live]
    assert live.is_live
    assert receive(client, type="heartbeat", time=1) == [live]
    (stale,) = receive(client, type="status", feed="stale", since=2)
    assert not stale.is_live
    lost, _ = client.lost("gone", None, 1)
    assert lost == Status(connected=False, feed="stale", simulated=True, reason="gone")


def test_silence_is_bounded_before_and_after_the_welcome() -> None:
    client = following()
    assert client.silence_timeout == 10
    connect(client, heartbeat=20)
    assert client.silence_timeout == 50
    client.lost("gone", None, 1)
    assert client.silence_timeout == 10


def test_pauses_double_are_bounded_and_begin_again_after_a_stable_connection() -> None:
    client = following()
    pauses = [client.lost("gone", None, 0)[1] for _ in range(1100)]
    for attempt, pause in enumerate(pauses):
        longest = min(30, 0.5 * 2 ** min(attempt, 10))
        assert longest / 2 <= pause <= longest
    assert client.lost("gone", None, 11)[1] <= 0.5


def test_overloaded_server_is_left_alone_for_longer() -> None:
    assert following().lost("overloaded", 1013, 0)[1] >= 5


@pytest.mark.parametrize("code", [1008, 1009])
def test_server_that_forbids_another_connection_is_obeyed(code: int) -> None:
    with pytest.raises(SessionRefused, match="too many"):
        following().lost("too many requests", code, 60)


def test_series_that_the_server_does_not_have() -> None:
    client = Following([("NOPE", "1m")], snapshot=1)
    connect(client)
    error = {"symbol": "NOPE", "interval": "1m", "code": "unknown_symbol", "message": "no NOPE"}
    with pytest.raises(SubscriptionRefused, match="no NOPE") as raised:
        receive(client, type="subscribed", subscriptions=[], errors=[error])
    assert raised.value.code == "unknown_symbol"


def test_memory_is_bounded() -> None:
    client = following()
    connect(client)
    for minute in range(3 * MAX_HELD):
        update(client, bar(minute), closed=True)
    assert len(client._series["BTCUSDT", "1m"].candles) == MAX_HELD


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=60))
def test_whatever_is_lost_events_add_up_to_what_the_server_has(
    steps: list[tuple[int, bool, bool]],
) -> None:
    """A server whose candles change and close, and a connection that is lost in between."""
    client = following()
    server: dict[int, tuple[float, bool]] = {0: (0.0, False)}
    seen: dict[int, Candle] = {}
    is_connected = False
    for number, (change, closes, is_lost) in enumerate(steps):
        newest = max(server)
        if is_lost and is_connected:
            client.lost("gone", None, 60)
            is_connected = False
        if change == 0:
            first = next(iter(server))
            server[first] = (number + 0.5, server[first][1])  # a correction
        elif server[newest][1]:
            newest += 1
            server[newest] = (float(number), False)
        else:
            server[newest] = (float(number), closes)
        if not is_connected:
            (wanted,) = connect(client)
            is_connected = True
            assert "since" in wanted or not seen
            bars = [bar(minute, close) for minute, (close, _) in server.items()]
            events = snapshot(client, *bars, closed=server[newest][1])
        else:
            minute = next(iter(server)) if change == 0 else newest
            events = update(client, bar(minute, server[minute][0]), closed=server[minute][1])
        for each in events:
            seen[each.candle.time] = each.candle
        expected = {
            60 * m: candle(m, close, closed=closed) for m, (close, closed) in server.items()
        }
        assert seen == expected
