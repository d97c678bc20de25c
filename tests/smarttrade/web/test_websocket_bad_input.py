"""What is no request, on the WebSocket endpoint."""

from __future__ import annotations

import json

import pytest

from smarttrade.session.session_limits import SessionLimits
from tests.fakes.candles import BTC, candle, rows
from tests.smarttrade.web.backend import backend
from tests.smarttrade.web.websocket_messages import BTC_1M, ETH_1M, began, updates


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
