from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionRejected

from smarttrade.simulator import (
    Alter,
    Cut,
    Delist,
    Expire,
    HalfOpen,
    Hole,
    Rename,
    ServerShutdown,
)
from smarttrade.simulator.calendar import Interval

from .clients import (
    MINUTE,
    START,
    bare_client,
    close_code,
    exchange,
    get,
    http_client,
    receive_for,
    stream_client,
)

STREAM = "/stream?streams=btcusdt@kline_1m"
KLINES = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=200"


def times(received: list[Any]) -> list[int]:
    return [message["data"]["E"] for message in received]


async def raw_messages(connection: Any, seconds: float) -> list[str]:
    received = []
    with trio.move_on_after(seconds):
        while True:
            received.append(await connection.get_message())
    return received


@pytest.mark.parametrize(("how", "code"), [("rst", 1006), ("fin", 1006), ("close", 1001)])
async def test_a_cut_ends_every_stream(how: Any, code: int, autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as one, stream_client(venue, STREAM) as other:
        await receive_for(one, 10)
        Cut(how).apply(venue)
        assert await close_code(one) == code
        assert await close_code(other) == code


async def test_a_cut_of_one_leaves_the_other(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as one, stream_client(venue, STREAM) as other:
        Cut(which=min(venue.connections.streams)).apply(venue)
        assert await close_code(one) == 1006
        assert len(await receive_for(other, 10)) >= 5


async def test_a_cut_of_all_reaches_rest_too(autojump_clock: Any) -> None:
    venue = exchange()
    async with http_client(venue) as client:
        await client.ask("GET", "/api/v3/ping")
        Cut(which="all").apply(venue)
        assert await client._stream.receive_some() == b""


async def test_half_open_is_silence_without_an_end(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as connection:
        await receive_for(connection, 10)
        HalfOpen().apply(venue)
        assert await receive_for(connection, 3600) == []
        assert connection.closed is None
        assert venue.connections.streams


async def test_expiry_is_the_24_hours_early(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as connection:
        Expire().apply(venue)
        assert await close_code(connection) == 1001


@pytest.mark.parametrize("resource", [STREAM, "/ws/btcusdt@kline_1m"])
async def test_server_shutdown_is_announced(resource: str, autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, resource) as connection:
        ServerShutdown(seconds=30).apply(venue)
        first = json.loads(await connection.get_message())
        event = {"e": "serverShutdown", "E": START}
        assert first in (event, {"stream": "!serverShutdown", "data": event})
        assert ("stream" in first) == (resource == STREAM)
        began = trio.current_time()
        assert await close_code(connection) == 1001
        assert trio.current_time() - began == pytest.approx(30)


async def test_a_stall_of_one_stream_or_of_all(autojump_clock: Any) -> None:
    venue = exchange()
    resource = "/stream?streams=btcusdt@kline_1m/ethusdt@kline_1m"
    async with stream_client(venue, resource) as connection:
        venue.faults.stall.on(frozenset({"btcusdt@kline_1m"}), 20)
        assert {one["stream"] for one in await receive_for(connection, 20)} == {"ethusdt@kline_1m"}
        assert len({one["stream"] for one in await receive_for(connection, 20)}) == 2
        venue.faults.stall.on(seconds=20)
        assert await receive_for(connection, 20) == []
        assert await receive_for(connection, 20) != []


async def test_late_events_are_as_they_were(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as connection:
        venue.faults.late.on(7.0)
        late = []
        for _ in range(20):
            event = json.loads(await connection.get_message())["data"]
            late.append((venue.now() - event["E"]) / 1000)
        assert late[3:] == pytest.approx([7.0] * 17, abs=0.002)


async def test_duplicates(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as connection:
        venue.faults.duplicate.on(1.0)
        counts = Counter(json.dumps(one) for one in await receive_for(connection, 20))
        assert set(counts.values()) == {2}


async def test_disorder_loses_nothing(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as connection:
        venue.faults.disorder.on(0.4, seconds=300)
        received = times(await receive_for(connection, 600))
    async with stream_client(exchange(), STREAM) as connection:
        in_order = times(await receive_for(connection, 600))
    assert received != in_order
    assert sorted(received) == in_order


async def test_everything_in_disorder_still_comes(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as connection:
        venue.faults.disorder.on(1.0)
        assert len(await receive_for(connection, 120)) > 40


async def test_truncated_messages_and_garbage(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as connection:
        venue.faults.truncate.on(1.0, seconds=20)
        for message in await raw_messages(connection, 20):
            with pytest.raises(json.JSONDecodeError):
                json.loads(message)
        venue.faults.garbage.on(1.0, seconds=20)
        received = await raw_messages(connection, 20)
        assert sum("kline" in message and "E" in message for message in received) >= 10
        assert len(received) >= 20


async def test_broken_frames_break_the_connection(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as connection:
        venue.faults.broken_frames.on(1.0)
        assert await close_code(connection) == 1002


async def test_closing_events_may_be_missing(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as connection:
        venue.faults.missing_close.on()
        received = await receive_for(connection, 300)
        assert len({one["data"]["k"]["t"] for one in received}) >= 5
        assert not any(one["data"]["k"]["x"] for one in received)


async def test_pings_and_pongs_may_be_missing(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.no_ping.on()
    async with bare_client(venue, "/ws") as stream:
        assert b"101" in await stream.receive_some()
        with trio.move_on_after(3600):
            await stream.receive_some()
            pytest.fail("the server sent something")
    venue.faults.no_pong.on()
    async with stream_client(venue, "/ws") as connection:
        with trio.move_on_after(100) as scope:
            await connection.ping(b"anybody?")
        assert scope.cancelled_caught


async def test_new_connections_may_be_refused(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.refuse.on(seconds=30)
    async with http_client(venue) as client:
        assert await client._stream.receive_some() == b""
    await trio.sleep(30)
    assert (await get(venue, "/api/v3/ping")).status == 200


@pytest.mark.parametrize("status", [429, 418, 451, 403, 503])
async def test_handshakes_may_be_refused(status: int, autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.handshake_status.on(status, seconds=17)
    with pytest.RaisesGroup(ConnectionRejected, flatten_subgroups=True) as caught:
        async with stream_client(venue, STREAM):
            pass
    (rejected,) = caught.value.exceptions
    assert isinstance(rejected, ConnectionRejected)
    assert rejected.status_code == status
    headers = dict(rejected.headers or ())
    assert headers.get(b"retry-after") == (b"17" if status in (429, 418) else None)


async def test_handshakes_may_stay_unanswered(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.no_handshake.on()
    with trio.move_on_after(1000) as scope:
        async with stream_client(venue, STREAM):
            pass
    assert scope.cancelled_caught


@pytest.mark.parametrize("status", [429, 418, 451, 403, 500, 502, 503, 504])
async def test_rest_may_refuse(status: int, autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.rest_status.on(status, seconds=8)
    answer = await get(venue, KLINES)
    assert answer.status == status
    assert answer.headers.get("retry-after") == ("8" if status in (429, 418) else None)
    await trio.sleep(8)
    assert (await get(venue, KLINES)).status == 200


async def test_rest_may_be_slow_hang_or_drip(autojump_clock: Any) -> None:
    venue = exchange()
    began = trio.current_time()
    venue.faults.rest_slow.on(4.0, seconds=1)
    await get(venue, KLINES)
    assert trio.current_time() - began == 4
    venue.faults.rest_hang.on(seconds=100)
    await get(venue, KLINES)
    assert trio.current_time() - began == 104
    venue.faults.rest_drip.on(100.0)
    answer = await get(venue, KLINES)
    assert len(answer.json) == 200
    assert trio.current_time() - began == pytest.approx(104 + len(answer.body) / 100, abs=1)


async def test_rest_may_talk_nonsense(autojump_clock: Any) -> None:
    venue = exchange()
    for kind in ("html", "object", "null", "empty", "cut"):
        venue.faults.rest_nonsense.on(kind)
        answer = await get(venue, KLINES)
        assert answer.status == 200
        try:
            assert not isinstance(answer.json, list)
        except json.JSONDecodeError:
            assert kind in ("html", "empty", "cut")


async def test_rest_may_lag_and_be_short(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.rest_lag.on(40.0)
    venue.faults.rest_short.on(7)
    rows = (await get(venue, KLINES)).json
    at = START - 40_000
    assert [tuple(row) for row in rows] == venue.klines(
        "BTCUSDT", Interval.MINUTE_1, limit=7, at=at
    )
    assert rows[-1][0] == START - 90_000


async def test_history_may_change(autojump_clock: Any) -> None:
    venue = exchange()
    before = (await get(venue, KLINES)).json
    Alter("BTCUSDT", "1m", before[-5][0]).apply(venue)
    Alter().apply(venue)
    after = (await get(venue, KLINES)).json
    changed = [number for number in range(200) if before[number] != after[number]]
    assert changed == [195, 198]
    assert float(after[195][2]) > float(before[195][2])
    with pytest.raises(ValueError, match="no closed kline"):
        Alter("BTCUSDT", "1m", before[-1][0]).apply(venue)


async def test_a_hole_is_silent_and_stays_in_history(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, STREAM) as connection:
        await receive_for(connection, 5)
        Hole(seconds=600).apply(venue)
        received = await receive_for(connection, 660)
        after = [
            at for at in times(received) if at > START + 6_000
        ]  # one closes the kline before it
        assert min(after) >= START + 605_000
        opened = {one["data"]["k"]["t"] for one in received}
    rows = (await get(venue, KLINES)).json
    ended = [row for row in rows if row[6] != row[0] + MINUTE - 1]
    assert [(row[0], row[6]) for row in ended] == [(START - 30_000, START + 5_000)]
    assert not {row[0] for row in rows} & set(range(START + 30_000, START + 570_000, MINUTE))
    assert min(opened - {START - 30_000}) == START + 570_000


async def test_a_renamed_symbol_ends_and_its_successor_begins(autojump_clock: Any) -> None:
    venue = exchange(symbols=["MATICUSDT"])
    resource = "/stream?streams=maticusdt@kline_1m/newusdt@kline_1m"
    venue.listings["MATICUSDT"].status = "TRADING"
    async with stream_client(venue, resource) as connection:
        await receive_for(connection, 5)
        Rename("MATICUSDT", "NEWUSDT").apply(venue)
        received = await receive_for(connection, 100)
    assert {one["stream"] for one in received} == {"newusdt@kline_1m"}
    symbols = (await get(venue, "/api/v3/exchangeInfo")).json["symbols"]
    assert {one["symbol"]: one["status"] for one in symbols} == {
        "MATICUSDT": "BREAK",
        "NEWUSDT": "TRADING",
    }
    assert len(venue.klines("NEWUSDT", Interval.MINUTE_1)) == 3


async def test_a_symbol_may_be_forgotten(autojump_clock: Any) -> None:
    venue = exchange()
    Delist("BTCUSDT", forget=True).apply(venue)
    assert (await get(venue, KLINES)).json["code"] == -1121


async def test_clearing_ends_every_switch(autojump_clock: Any) -> None:
    venue = exchange()
    for _, switch in venue.faults.switches():
        switch.on()
    venue.faults.clear()
    assert all(switch.value is None for _, switch in venue.faults.switches())
    assert not venue.faults.alter_events()
