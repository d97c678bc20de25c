"""`/ws/candles` and `/ws/candles/{symbol}` as their clients see them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.session.session_limits import SessionLimits
from smarttrade.store.feed import Feed
from smarttrade.store.messages import ListSymbols
from smarttrade.web.services import _random_name
from tests.fakes.candles import BASE, BTC, ETH, MINUTE, at, candle, rows
from tests.fakes.chart import Charts
from tests.fakes.schemas import checked
from tests.smarttrade.web.backend import HEARTBEAT, WALL, Session, backend

BTC_1M = {"symbol": "BTCUSDT", "interval": "1m"}
ETH_1M = {"symbol": "ETHUSDT", "interval": "1m"}
ETH_DAY = Series("ETHUSDT", Interval.DAY_1)


def opened(candles: list[dict[str, Any]]) -> list[int]:
    return [(int(one["time"]) * 1000 - BASE) // MINUTE for one in candles]


def updates(messages: list[dict[str, Any]]) -> list[tuple[str, int, float, bool]]:
    """Symbol, minute, close and whether closed, of each candle message."""
    return [
        (
            one["symbol"],
            opened([one["candle"]])[0],
            float(one["candle"]["close"]),
            one["closed"],
        )
        for one in messages
        if one["type"] == "candle"
    ]


async def began(session: Session) -> None:
    """Past the welcome and the first status."""
    assert (await session.hear())["type"] == "welcome"
    assert (await session.hear())["type"] == "status"


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


# Bad input


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_json"),
        ("hello", "bad_json"),
        ('{"symbol": ', "bad_json"),
        ("[]", "bad_request"),
        ("null", "bad_request"),
        ("17", "bad_request"),
        ("{}", "bad_request"),
        ('{"action": 5}', "bad_request"),
        ('{"action": "dance"}', "unknown_action"),
        ('{"action": "subscribe"}', "bad_request"),
        ('{"subscriptions": {}}', "bad_request"),
        ('{"action": "ping", "id": []}', "bad_request"),
        (b"\x00\xff", "binary_message"),
        (b'{"action": "ping"}', "binary_message"),
    ],
)
async def test_bad_request_gets_an_error_and_the_session_goes_on(text: str, code: str) -> None:
    async with backend() as server, server.session() as session:
        await began(session)
        await session.say_text(text)
        error = await session.hear()
        await session.say(action="ping", id=1)
        assert await session.hear() == {"type": "pong", "id": 1}
    assert (error["type"], error["id"], error["code"]) == ("error", None, code)
    assert error["message"]


async def test_too_many_subscriptions_are_refused_one_by_one() -> None:
    async with (
        backend(limits=SessionLimits(subscriptions=1)) as server,
        server.session() as session,
    ):
        await began(session)
        await session.say(**BTC_1M)
        await session.say(**ETH_1M)
        first, second = await session.pending()
    assert first["errors"] == []
    assert second["subscriptions"] == [BTC_1M]
    assert [one["code"] for one in second["errors"]] == ["too_many_subscriptions"]


async def test_flood_of_bad_requests_ends_the_session() -> None:
    async with backend() as server, server.session() as session:
        for _ in range(30):
            await session.say_text("nonsense")
        assert (await session.close_code())[0] == 1008


async def test_flood_of_good_requests_ends_the_session() -> None:
    async with (
        backend(limits=SessionLimits(burst=10, requests_per_second=0.1)) as server,
        server.session() as session,
    ):
        for _ in range(11):
            await session.say(action="ping")
        assert (await session.close_code())[0] == 1008


async def test_message_over_64_kib_ends_the_session() -> None:
    async with backend() as server, server.session() as session:
        await session.say_text(json.dumps({"action": "ping", "x": "x" * 65_000}))
        assert (await session.hear("pong"))["type"] == "pong"
        await session.say_text("x" * 65_537)
        assert (await session.close_code())[0] == 1009


async def test_bad_client_costs_the_others_nothing() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 9, closed=True))
        async with server.session() as good, server.session() as bad:
            await good.say(**BTC_1M)
            await good.pending()
            for _ in range(30):
                await bad.say_text("nonsense")
            await bad.close_code()
            await server.live(BTC, candle(10))
            assert updates(await good.pending()) == [("BTCUSDT", 10, 100, True)]


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


def rows_with_a_hole() -> Any:
    return [one for one in rows(0, 9) if one.open_time not in (at(4), at(5))]


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


# Front ends of the first hour


async def flat_messages(session: Session) -> list[dict[str, Any]]:
    await wait_all_tasks_blocked()
    heard = []
    while session.connection._recv_channel.statistics().current_buffer_used:
        heard.append(json.loads(checked(await session.connection.get_message())))
    return heard


async def test_flat_form_begins_with_the_newest_and_then_every_update() -> None:
    async with backend() as server:
        await server.feed(Feed.LIVE)
        for series in (BTC, ETH):
            await server.history(series, rows(0, 9))
        async with server.session("/ws/candles/btcUSDT") as session:
            first = await flat_messages(session)
            await server.live(BTC, candle(9, close=103, volume=13), candle(10, closed=False))
            await server.live(ETH, candle(9))
            await server.feed(Feed.DOWN)
            later = await flat_messages(session)
    fields = {"symbol": "BTCUSDT", "open": 100.0, "low": 100.0}
    assert first == [
        {
            **fields,
            "timestamp": at(9),
            "high": 100.0,
            "close": 100.0,
            "volume": 10.0,
            "is_closed": False,
        }
    ]
    assert later == [
        {
            **fields,
            "timestamp": at(9),
            "high": 103.0,
            "close": 103.0,
            "volume": 13.0,
            "is_closed": True,
        },
        {
            **fields,
            "timestamp": at(10),
            "high": 100.0,
            "close": 100.0,
            "volume": 1.0,
            "is_closed": False,
        },
    ]


async def test_nothing_but_candles_comes_to_the_flat_form(autojump_clock: MockClock) -> None:
    async with backend() as server:
        await server.history(BTC, rows_with_a_hole())
        async with server.session("/ws/candles/BTCUSDT") as session:
            await trio.sleep(3 * HEARTBEAT)
            await server.feed(Feed.LIVE)
            await server.history(BTC, rows(3, 7), first=at(3))
            for text in ("hello", '{"action": "list"}', '{"symbol": "ETHUSDT", "interval": "1m"}'):
                await session.say_text(text)
            await session.say_text(b"\x00")
            heard = await flat_messages(session)
    assert [one["timestamp"] for one in heard] == [at(9)]


async def test_flat_form_before_there_is_history_begins_with_it() -> None:
    async with backend() as server, server.session("/ws/candles/BTCUSDT") as session:
        assert await flat_messages(session) == []
        await server.history(BTC, rows(0, 9))
        assert [one["timestamp"] for one in await flat_messages(session)] == [at(9)]


@pytest.mark.parametrize("spelling", ["1d", "1D"])
async def test_flat_form_of_another_interval(spelling: str) -> None:
    row = candle(0)._replace(open_time=BASE // 86_400_000 * 86_400_000, from_rest=True)
    async with backend() as server:
        await server.history(ETH, rows(0, 9))
        await server.history(ETH_DAY, [row])
        async with server.session(f"/ws/candles/ETHUSDT?interval={spelling}") as session:
            heard = await flat_messages(session)
    assert [one["timestamp"] for one in heard] == [row.open_time]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/ws/candles/NOPE", "unknown_symbol"),
        ("/ws/candles/%00", "unknown_symbol"),
        ("/ws/candles/BTCUSDT?interval=1M", "unknown_interval"),
        ("/ws/candles/BTCUSDT?interval=", "unknown_interval"),
        ("/ws/candles/BTCUSDT?interval=7m", "unknown_interval"),
    ],
)
async def test_unknown_series_of_the_flat_form_is_refused_at_the_handshake(
    path: str, code: str
) -> None:
    async with backend() as server:
        refusal = await server.refused(path)
    assert refusal.status_code == 404
    assert refusal.body is not None
    assert json.loads(refusal.body)["code"] == code


@pytest.mark.parametrize("path", ["/ws", "/ws/", "/ws/candles/", "/ws/candles/BTCUSDT/1m", "/"])
async def test_other_paths_are_no_websockets(path: str) -> None:
    async with backend() as server:
        refusal = await server.refused(path)
    assert refusal.status_code in (400, 404, 405)


async def test_handshake_is_refused_when_stopping() -> None:
    """One whose connection was open before the listeners closed."""
    async with backend() as server, server.session():
        stream = await server.listener.connect()
        head = (
            b"GET /ws/candles HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        )
        await stream.send_all(head)
        await server.settle()
        server.draining.set()
        await stream.send_all(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        await server.settle()
        answer = await stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 503")


async def test_plain_request_to_a_websocket_is_no_failure_of_ours() -> None:
    async with backend() as server:
        answers = [await server.get(path) for path in ("/ws/candles", "/ws/candles/BTCUSDT")]
    for answer in answers:
        assert 400 <= answer.status_code < 500
        assert answer.headers["Content-Type"] == "application/problem+json"


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
