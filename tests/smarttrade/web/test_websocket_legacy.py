"""The legacy single-symbol endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from smarttrade.store.feed import Feed
from tests.fakes.candles import BASE, BTC, ETH, at, candle, rows
from tests.fakes.schemas import checked
from tests.smarttrade.web.backend import HEARTBEAT, Session, backend
from tests.smarttrade.web.websocket_messages import ETH_DAY, rows_with_a_hole


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
