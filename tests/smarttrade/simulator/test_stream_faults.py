"""Faults of single events and of single connections; those of whole connections: test_faults.py."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
import trio

from smarttrade.simulator.calendar import Interval
from smarttrade.simulator.subscriptions import MAX_REQUEST_SIZE

from .clients import MINUTE, START, close_code, exchange, receive_for, stream_client

STREAM = "/stream?streams=btcusdt@kline_1m"


def klines(received: list[Any]) -> list[dict[str, Any]]:
    return [message["data"]["k"] for message in received]


def request_of_size(size: int) -> str:
    """A SUBSCRIBE to btcusdt@kline_1m and to streams that do not exist."""
    request: dict[str, Any] = {"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m", ""], "id": 1}
    request["params"][1] = "x" * (size - len(json.dumps(request)))
    return json.dumps(request)


async def test_a_request_that_is_too_long_is_ignored(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, "/stream") as connection:
        await connection.send_message(request_of_size(MAX_REQUEST_SIZE + 1))
        assert await receive_for(connection, 60) == []
        assert venue.stats.ignored == 1
        await connection.send_message(request_of_size(MAX_REQUEST_SIZE))
        reply, *events = await receive_for(connection, 60)
    assert reply == {"result": None, "id": 1}
    assert {event["stream"] for event in events} == {"btcusdt@kline_1m"}


async def test_too_many_requests_cost_two_minutes_without_new_streams(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, "/stream") as connection:
        for _ in range(6):
            await connection.send_message('{"method": "LIST_SUBSCRIPTIONS", "id": 1}')
        assert await close_code(connection) == 1008
    await trio.sleep(100)
    refused = pytest.RaisesExc(Exception, match="429")
    with pytest.RaisesGroup(refused, allow_unwrapped=True):
        async with stream_client(venue, STREAM):
            pass
    async with stream_client(venue, STREAM, peer="elsewhere"):
        pass
    await trio.sleep(20)
    async with stream_client(venue, STREAM):
        pass


async def test_closing_events_come_after_the_next_kline_has_begun(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.late_close.on(30.0)
    async with stream_client(venue, STREAM) as connection:
        received = klines(await receive_for(connection, 600))
    closed = [index for index, kline in enumerate(received) if kline["x"]]
    assert len(closed) in (9, 10)
    assert sum(received[index]["t"] < received[index - 1]["t"] for index in closed) >= 8
    for index in closed:
        row = venue.klines("BTCUSDT", Interval.MINUTE_1, received[index]["t"], limit=1)[0]
        assert received[index]["c"] == row[4]


async def test_delayed_closing_events_come_although_the_fault_is_over(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as connection:
        venue.faults.late_close.on(30.0, seconds=31)  # past the end of the minute
        received = klines(await receive_for(connection, 61))
    assert [kline["t"] for kline in received if kline["x"]] == [START - 30_000]


async def test_one_address_is_late_or_receives_nothing(autojump_clock: Any) -> None:
    venue = exchange()
    async with (
        stream_client(venue, STREAM, peer="one") as one,
        stream_client(venue, STREAM, peer="other") as other,
    ):
        venue.faults.peer_late.on({"one": 7.0}, seconds=30)
        received = await receive_for(other, 20)
        assert len(received) >= 8
        late = await receive_for(one, 0.5)
        assert 5 <= len(late) <= 7
        assert late == received[: len(late)]
        await trio.sleep(10)
        venue.faults.peer_stall.on(frozenset({"one"}), seconds=60)
        await receive_for(one, 1)
        assert await receive_for(one, 50) == []
        assert len(await receive_for(other, 1)) > 20


async def test_event_times_go_backwards_by_milliseconds(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.jitter.on(15)
    async with stream_client(venue, "/stream?streams=btcusdt@kline_1m/btcusdt@kline_5m") as client:
        received = await receive_for(client, 300)
    times = [message["data"]["E"] for message in received]
    assert any(after < before for before, after in pairwise(times))
    assert all(after > before - 15 for before, after in pairwise(times))
    assert all(message["data"]["E"] > message["data"]["k"]["t"] for message in received)


async def test_a_field_may_be_missing(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.without_b.on(0.5)
    async with stream_client(venue, STREAM) as connection:
        received = klines(await receive_for(connection, 60))
    assert {"B" in kline for kline in received} == {True, False}
    assert all("Q" in kline for kline in received)


async def test_klines_may_open_long_after_their_event(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.impossible.on(1.0)
    async with stream_client(venue, STREAM) as connection:
        received = await receive_for(connection, 60)
    impossible, real = received[::2], received[1::2]
    assert all(message["data"]["k"]["t"] > message["data"]["E"] + MINUTE for message in impossible)
    assert all(message["data"]["k"]["t"] < message["data"]["E"] for message in real)
    assert {message["data"]["k"]["x"] for message in impossible} == {True, False}


async def test_a_symbol_may_have_letters_of_any_script(autojump_clock: Any) -> None:
    venue = exchange(symbols=["币安人生USDT", "币安人生"])
    names = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9F"
    resource = f"/stream?streams={names}usdt@kline_1m/{names}@kline_1m"
    async with stream_client(venue, resource) as connection:
        received = await receive_for(connection, 20)
    assert {message["data"]["s"] for message in received} == {"币安人生USDT", "币安人生"}
    assert {message["stream"] for message in received} == {
        "币安人生usdt@kline_1m",
        "币安人生@kline_1m",
    }
