"""The WebSocket endpoint: requests, snapshots and updates."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from smarttrade.session.session_limits import SessionLimits
from smarttrade.store.feed import Feed
from smarttrade.store.messages import ListSymbols
from smarttrade.web.services import _random_name
from tests.fakes.candles import BTC, ETH, at, candle, rows
from tests.fakes.chart import Charts
from tests.smarttrade.web.backend import HEARTBEAT, WALL, backend
from tests.smarttrade.web.websocket_messages import (
    BTC_1M,
    ETH_1M,
    began,
    opened,
    rows_with_a_hole,
    updates,
)

# The beginning


async def test_welcome_comes_first_then_how_the_feed_is() -> None:
    async with backend(limits=SessionLimits(subscriptions=7)) as server:
        await server.feed(Feed.STALE)
        async with server.session() as session:
            welcome, status = await session.hear(), await session.hear()
            assert await session.pending() == []
    assert welcome["type"] == "welcome"
    assert welcome["server"] == "smarttrade/test"
    assert welcome["session"] == "a-session"
    assert welcome["heartbeat"] == HEARTBEAT
    assert welcome["limits"]["subscriptions"] == 7
    assert status == {"type": "status", "feed": "stale", "since": pytest.approx(WALL)}


async def test_every_session_has_a_name_of_its_own() -> None:
    assert len({_random_name() for _ in range(100)}) == 100


# Requests


@pytest.mark.parametrize(
    ("request_", "subscribed"),
    [
        (BTC_1M, [BTC_1M]),
        ({"symbol": "btcusdt", "interval": "1m"}, [BTC_1M]),
        (
            {"subscriptions": [BTC_1M, {"symbol": "ETHUSDT", "interval": "1D"}]},
            [BTC_1M, {"symbol": "ETHUSDT", "interval": "1d"}],
        ),
        ({"action": "subscribe", "subscriptions": [ETH_1M]}, [ETH_1M]),
        ({"action": "subscribe", "subscriptions": [ETH_1M, ETH_1M]}, [ETH_1M]),
        ({"action": "subscribe", "subscriptions": []}, []),
        (
            {"symbol": "EthUsdt", "interval": "4H", "color": "red"},
            [{"symbol": "ETHUSDT", "interval": "4h"}],
        ),
    ],
)
async def test_each_form_of_a_subscription_is_acknowledged(
    request_: dict[str, Any], subscribed: list[dict[str, str]]
) -> None:
    async with backend() as server, server.session() as session:
        await began(session)
        await session.say(**request_)
        assert await session.hear() == {
            "type": "subscribed",
            "id": None,
            "subscriptions": subscribed,
            "errors": [],
        }


async def test_every_update_of_what_is_subscribed_comes_in_order_and_no_other() -> None:
    async with backend() as server:
        for series in (BTC, ETH):
            await server.history(series, rows(0, 9))
        async with server.session() as session:
            await session.say(**BTC_1M)
            await session.pending()
            for one in (
                candle(9, closed=False, close=101, volume=11),
                candle(9, closed=False, close=102, volume=12, event=4),
                candle(9, close=103, volume=13),
                candle(10, closed=False, close=104),
            ):
                await server.live(BTC, one)  # not at once: that is what a client is behind with
            await server.live(ETH, candle(9, close=200))
            heard = await session.pending()
    assert updates(heard) == [
        ("BTCUSDT", 9, 101, False),
        ("BTCUSDT", 9, 102, False),
        ("BTCUSDT", 9, 103, True),
        ("BTCUSDT", 10, 104, False),
    ]
    assert set(heard[0]) == {"type", "symbol", "interval", "candle", "closed"}
    assert set(heard[0]["candle"]) == {"time", "open", "high", "low", "close", "volume"}


async def test_first_form_gets_no_snapshot() -> None:
    """Front ends that send it load the history over REST."""
    async with backend() as server:
        await server.history(BTC, rows(0, 9))
        async with server.session() as session:
            await began(session)
            await session.say(**BTC_1M)
            assert [one["type"] for one in await session.pending()] == ["subscribed"]


@pytest.mark.parametrize(("size", "first"), [(1, 999), (500, 500), (1000, 0)])
async def test_snapshot_has_the_newest_and_updates_go_on_from_there(size: int, first: int) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 999))
        async with server.session() as session:
            await began(session)
            wanted = [{**BTC_1M, "snapshot": size}]
            await session.say(action="subscribe", id=7, subscriptions=wanted)
            await server.live(BTC, candle(999))
            subscribed, snapshot, update = await session.pending()
    assert (subscribed["id"], subscribed["subscriptions"]) == (7, [BTC_1M])
    assert snapshot["type"] == "snapshot"
    assert opened(snapshot["candles"]) == list(range(first, 1000))
    assert (snapshot["closed"], snapshot["truncated"]) == (False, False)
    assert updates([update]) == [("BTCUSDT", 999, 100, True)]


async def test_snapshot_that_ends_with_a_closed_candle_says_so() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 9, closed=True))
        async with server.session() as session:
            await session.say(**BTC_1M, snapshot=3)
            snapshot = await session.hear("snapshot")
    assert snapshot["closed"] is True


@pytest.mark.parametrize(
    ("since", "first", "truncated"),
    [
        (at(990) // 1000, 990, False),
        (at(990) // 1000 + 1, 991, False),
        (at(999) // 1000, 999, False),
        (at(0) // 1000, 0, False),
        (at(-1) // 1000, 0, True),
        (0, 0, True),
    ],
)
async def test_since_brings_every_candle_from_there_on(
    since: int, first: int, truncated: bool
) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 999))
        async with server.session() as session:
            await session.say(action="subscribe", subscriptions=[{**BTC_1M, "since": since}])
            snapshot = await session.hear("snapshot")
    assert opened(snapshot["candles"]) == list(range(first, 1000))
    assert snapshot["truncated"] is truncated


async def test_since_the_future_brings_an_empty_snapshot() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 9))
        async with server.session() as session:
            await session.say(**BTC_1M, since=at(10) // 1000)
            snapshot = await session.hear("snapshot")
    assert (snapshot["candles"], snapshot["truncated"]) == ([], False)


async def test_client_that_comes_back_ends_up_with_what_it_would_have_had() -> None:
    stayed, came_back = Charts(), Charts()
    async with backend() as server:
        await server.history(BTC, rows(0, 9))
        async with server.session() as steady:
            await steady.say(**BTC_1M, snapshot=5)
            async with server.session() as session:
                await session.say(**BTC_1M, snapshot=5)
                await server.live(BTC, candle(9, closed=False, close=101, volume=11))
                for message in await session.pending():
                    came_back.receive(message)
            await server.live(BTC, candle(9, close=102), candle(10), candle(11, closed=False))
            async with server.session() as session:
                await session.say(**BTC_1M, since=came_back.by_series[BTC].newest)
                await server.live(BTC, candle(11, close=99), candle(12, closed=False))
                for message in await session.pending():
                    came_back.receive(message)
            for message in await steady.pending():
                stayed.receive(message)
    one, other = stayed.by_series[BTC], came_back.by_series[BTC]
    assert one.candles == other.candles
    assert one.closed == other.closed
    assert one.faults == other.faults == []


async def test_subscription_before_there_is_history_begins_with_it() -> None:
    async with backend() as server, server.session() as session:
        await session.say(subscriptions=[{**BTC_1M, "snapshot": 3}, ETH_1M])
        await server.live(BTC, candle(9, closed=False, close=101))
        before = await session.pending()
        await server.history(BTC, rows(0, 9))
        await server.live(BTC, candle(9, close=102))
        snapshot, *after = await session.pending()
    assert [one["type"] for one in before] == ["welcome", "status", "subscribed"]
    assert opened(snapshot["candles"]) == [7, 8, 9]
    assert updates(after) == [("BTCUSDT", 9, 102, True)]


async def test_subscribing_adds_and_again_is_harmless() -> None:
    async with backend() as server:
        for series in (BTC, ETH):
            await server.history(series, rows(0, 9, closed=True))
        async with server.session() as session:
            await began(session)
            for request in (BTC_1M, ETH_1M, BTC_1M, BTC_1M):
                await session.say(**request)
            answers = await session.pending()
            await server.live(BTC, candle(10))
            await server.live(ETH, candle(10))
            heard = updates(await session.pending())
    assert [one["subscriptions"] for one in answers] == [[BTC_1M]] + [[BTC_1M, ETH_1M]] * 3
    assert heard == [("BTCUSDT", 10, 100, True), ("ETHUSDT", 10, 100, True)]


async def test_nothing_comes_after_the_answer_to_an_unsubscription() -> None:
    async with backend() as server:
        for series in (BTC, ETH):
            await server.history(series, rows(0, 9, closed=True))
        async with server.session() as session:
            await session.say(subscriptions=[BTC_1M, ETH_1M])
            await session.say(action="unsubscribe", id="x", subscriptions=[BTC_1M])
            answer = (await session.pending())[-1]
            await server.live(BTC, candle(10))
            await server.live(ETH, candle(10))
            heard = updates(await session.pending())
    assert (answer["type"], answer["id"], answer["subscriptions"]) == ("subscribed", "x", [ETH_1M])
    assert heard == [("ETHUSDT", 10, 100, True)]


async def test_list_and_ping_are_answered_with_their_id() -> None:
    async with backend() as server, server.session() as session:
        await began(session)
        await session.say(**ETH_1M)
        await session.say(action="list")
        await session.say(action="ping", id=8)
        await session.say(action="ping")
        _, listed, pong, nameless = await session.pending()
    expected = {"type": "subscribed", "id": None, "subscriptions": [ETH_1M], "errors": []}
    assert listed == expected
    assert pong == {"type": "pong", "id": 8}
    assert nameless == {"type": "pong", "id": None}


async def test_one_bad_entry_does_not_fail_the_others() -> None:
    bad = [
        {"symbol": "NOPE", "interval": "1m"},
        {"symbol": "BTCUSDT", "interval": "1M"},
        {"symbol": "BTCUSDT", "interval": "1m", "snapshot": 1001},
        {"symbol": "BTCUSDT", "interval": "1m", "since": -1},
        {"symbol": "BTCUSDT"},
        "BTCUSDT",
    ]
    async with backend() as server, server.session() as session:
        await began(session)
        await session.say(action="subscribe", id=1, subscriptions=[*bad, ETH_1M])
        answer = await session.hear()
    assert (answer["type"], answer["id"]) == ("subscribed", 1)
    assert answer["subscriptions"] == [ETH_1M]
    assert [(one["symbol"], one["interval"], one["code"]) for one in answer["errors"]] == [
        ("NOPE", "1m", "unknown_symbol"),
        ("BTCUSDT", "1M", "unknown_interval"),
        ("BTCUSDT", "1m", "bad_snapshot"),
        ("BTCUSDT", "1m", "bad_since"),
        ("BTCUSDT", None, "bad_request"),
        (None, None, "bad_request"),
    ]
    assert "NOPE" in answer["errors"][0]["message"]
    assert "BTCUSDT, ETHUSDT" in answer["errors"][0]["message"]


# What comes unasked


async def test_status_of_the_feed_is_sent_when_it_changes() -> None:
    async with backend() as server, server.session() as session:
        await began(session)
        for feed in (Feed.LIVE, Feed.STALE, Feed.DOWN):
            await server.feed(feed)
        heard = await session.pending()
    assert [(one["type"], one["feed"]) for one in heard] == [
        ("status", "live"),
        ("status", "stale"),
        ("status", "down"),
    ]
    assert all(float(one["since"]) == WALL for one in heard)


async def test_heartbeat_shows_that_the_server_lives(autojump_clock: MockClock) -> None:
    async with backend() as server, server.session() as session:
        await began(session)
        times = []
        for _ in range(3):
            assert await session.hear() == {"type": "heartbeat", "time": pytest.approx(WALL)}
            times.append(trio.current_time())
    assert times[1] - times[0] == pytest.approx(HEARTBEAT, abs=0.1)
    assert times[2] - times[1] == pytest.approx(HEARTBEAT, abs=0.1)


async def test_correction_is_sent_again_as_one() -> None:
    """A gap that was published over is filled in later."""
    async with backend() as server:
        await server.history(BTC, rows_with_a_hole())
        async with server.session() as session:
            await session.say(**BTC_1M)
            await session.pending()
            await server.history(BTC, rows(3, 7), first=at(3))
            heard = [one for one in await session.pending() if one["type"] == "candle"]
    corrected = [opened([one["candle"]])[0] for one in heard if one.get("corrected")]
    assert corrected == [4, 5]
    assert all(one["closed"] for one in heard if one.get("corrected"))


# Stopping


async def test_sessions_are_closed_with_1001_when_the_server_stops() -> None:
    async with (
        backend() as server,
        server.session() as session,
        server.session("/ws/candles/BTCUSDT") as legacy,
    ):
        await began(session)
        server.draining.set()
        assert await session.close_code() == (1001, "shutting down")
        assert await legacy.close_code() == (1001, "shutting down")


async def test_no_session_is_left_in_the_hub_when_its_client_went() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 9, closed=True))
        for _ in range(3):
            async with server.session() as session:
                await session.say(**BTC_1M)
                await session.pending()
            async with server.session("/ws/candles/btcusdt") as session:
                await session.pending()
        await server.settle()
        assert server.hub_counters.subscribers == 0
        assert server.hub_counters.subscriptions == 0
        assert server.counters.open == 0


# Series that are not served any more


async def test_client_of_a_symbol_that_is_left_out_is_informed_and_can_unsubscribe() -> None:
    """One series has history, the other waits for it."""
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        async with server.session() as session:
            await session.say(**BTC_1M)
            await session.say(**ETH_1M, snapshot=5)
            await session.pending()
            await server.tell(ListSymbols([]))
            received = await session.pending()
            await session.say(action="unsubscribe", **ETH_1M)
            answered = await session.hear("subscribed")
    assert [one["code"] for one in received] == ["series_withdrawn"] * 2
    assert {one["message"].split()[0] for one in received} == {"BTCUSDT", "ETHUSDT"}
    assert (answered["subscriptions"], answered["errors"]) == ([BTC_1M], [])
