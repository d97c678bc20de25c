from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import lockstep_stream_pair

from smarttrade.simulator import serve_connection
from smarttrade.simulator.calendar import DAY, Interval
from smarttrade.simulator.subscriptions import MAX_STREAMS

from .clients import (
    MINUTE,
    START,
    as_row,
    bare_client,
    close_code,
    exchange,
    handshake,
    receive_for,
    stream_client,
)

SIX = ("1m", "5m", "15m", "1h", "4h", "1d")


async def request(connection: Any, method: str, params: Any = None, number: Any = 1) -> Any:
    message = {"method": method, "id": number} | ({} if params is None else {"params": params})
    await connection.send_message(json.dumps(message))
    return json.loads(await connection.get_message())


async def test_a_minute_of_a_combined_stream(autojump_clock: Any) -> None:
    """Every two seconds while it forms, once when it is closed, and then the next one."""
    venue = exchange()
    async with stream_client(venue, "/stream?streams=btcusdt@kline_1m") as connection:
        received = await receive_for(connection, 60)
    assert {message["stream"] for message in received} == {"btcusdt@kline_1m"}
    events = [message["data"] for message in received]
    assert all((e["e"], e["s"], e["k"]["i"]) == ("kline", "BTCUSDT", "1m") for e in events)
    times = [event["E"] for event in events]
    assert times == sorted(times)
    pushes = [at for at in times if at % 1000 != 20]
    assert {later - at for at, later in pairwise(pushes)} == {2000}
    closing = [event for event in events if event["k"]["x"]]
    assert [(event["E"], event["k"]["t"]) for event in closing] == [
        (START + 30_020, START - 30_000)
    ]
    after = events[events.index(closing[0]) + 1]
    assert (after["E"], after["k"]["t"], after["k"]["x"]) == (START + 30_020, START + 30_000, False)


async def test_rest_and_stream_say_the_same_at_every_moment(autojump_clock: Any) -> None:
    venue = exchange()
    names = "/".join(f"ethusdt@kline_{interval}" for interval in SIX)
    async with stream_client(venue, f"/stream?streams={names}") as connection:
        received = await receive_for(connection, 600)
    for message in received:
        kline, time = message["data"]["k"], message["data"]["E"]
        interval = Interval(kline["i"])
        assert as_row(kline) == venue.kline("ETHUSDT", interval, kline["t"], time)
        assert kline["x"] == (time > kline["T"])
        assert kline["L"] - kline["f"] + 1 == kline["n"]
    assert {message["data"]["k"]["i"] for message in received} == set(SIX)


async def test_all_intervals_of_a_symbol_come_together(autojump_clock: Any) -> None:
    names = [f"{symbol}@kline_{i}" for i in SIX for symbol in ("btcusdt", "ethusdt")]
    by_time = defaultdict(set)
    async with stream_client(exchange(), "/stream?streams=" + "/".join(names)) as connection:
        for message in await receive_for(connection, 20):
            by_time[message["data"]["E"]].add(message["stream"])
    assert all(len({name.split("@")[0] for name in sent}) == 1 for sent in by_time.values())
    assert all(len(sent) == 6 for sent in by_time.values())


async def test_every_closed_candle_is_announced_once_and_in_order(autojump_clock: Any) -> None:
    venue = exchange()
    streams = "/stream?streams=btcusdt@kline_1m/btcusdt@kline_5m"
    async with stream_client(venue, streams) as connection:
        received = await receive_for(connection, 3600)
    for interval, length, count in (("1m", MINUTE, 60), ("5m", 5 * MINUTE, 12)):
        closes = [
            message["data"]["k"]["t"]
            for message in received
            if message["data"]["k"]["x"] and message["data"]["k"]["i"] == interval
        ]
        assert closes == list(range(closes[0], closes[0] + count * length, length))


async def test_seconds_are_pushed_every_second(autojump_clock: Any) -> None:
    async with stream_client(exchange(), "/ws/btcusdt@kline_1s") as connection:
        received = await receive_for(connection, 10)
    assert [event["k"]["t"] for event in received if event["k"]["x"]] == [
        START + second * 1000 for second in range(-1, 9)
    ]


async def test_exchange_time_may_run_faster(autojump_clock: Any) -> None:
    async with stream_client(exchange(speed=60.0), "/ws/btcusdt@kline_1h") as connection:
        received = await receive_for(connection, 60)
    assert sum(event["k"]["x"] for event in received) == 1
    assert len(received) > 1700


async def test_a_raw_stream_has_bare_payloads(autojump_clock: Any) -> None:
    for resource in ("/ws/btcusdt@kline_1m", "/ws/btcusdt@kline_1m/nosuch@kline_1m"):
        async with stream_client(exchange(), resource) as connection:
            received = await receive_for(connection, 4)
        assert [event["e"] for event in received] == ["kline", "kline"]


async def test_unknown_streams_are_accepted_and_silent(autojump_clock: Any) -> None:
    names = ["nosuch@kline_1m", "btcusdt@kline_7m", "BTCUSDT@kline_1m", "btcusdt@trade", "x"]
    async with stream_client(exchange(), "/stream?streams=" + "/".join(names)) as connection:
        assert await request(connection, "LIST_SUBSCRIPTIONS") == {"result": names, "id": 1}
        assert await receive_for(connection, 120) == []


async def test_subscribing_and_unsubscribing_live(autojump_clock: Any) -> None:
    async with stream_client(exchange(), "/ws") as connection:
        assert await receive_for(connection, 300) == []
        name = "ethusdt@kline_1m"
        reply = await request(connection, "SUBSCRIBE", [name], "a1")
        assert reply == {"result": None, "id": "a1"}
        received = await receive_for(connection, 4)
        assert [event["s"] for event in received] == ["ETHUSDT", "ETHUSDT"]
        assert all(event["E"] > START + 300_000 for event in received)
        assert (await request(connection, "LIST_SUBSCRIPTIONS"))["result"] == [name]
        assert (await request(connection, "SET_PROPERTY", ["combined", True]))["result"] is None
        assert {message["stream"] for message in await receive_for(connection, 4)} == {name}
        assert (await request(connection, "GET_PROPERTY", ["combined"]))["result"] is True
        assert (await request(connection, "UNSUBSCRIBE", [name]))["result"] is None
        assert await receive_for(connection, 60) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", 3),
        ("[]", 2),
        ('{"id": 1}', 2),
        ('{"method": "subscribe", "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "params": ["x"]}', 2),
        ('{"method": "SUBSCRIBE", "params": ["x"], "id": 1.5}', 2),
        ('{"method": "SUBSCRIBE", "params": "x", "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "params": [7], "id": 1}', 2),
        ('{"method": "GET_PROPERTY", "params": ["x"], "id": 1}', 0),
        ('{"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}', 1),
    ],
)
async def test_bad_requests_are_answered(text: str, code: int, autojump_clock: Any) -> None:
    async with stream_client(exchange(), "/ws") as connection:
        await connection.send_message(text)
        assert json.loads(await connection.get_message())["error"]["code"] == code


async def test_as_many_streams_as_allowed_in_one_url(autojump_clock: Any) -> None:
    names = [f"coin{number:04}usdt@kline_1m" for number in range(MAX_STREAMS - 1)]
    names.append("btcusdt@kline_1m")
    async with stream_client(exchange(), "/stream?streams=" + "/".join(names)) as connection:
        assert len(await receive_for(connection, 4)) == 2
        reply = await request(connection, "SUBSCRIBE", ["ethusdt@kline_1m"])
        assert "error" in reply
    names.append("one-more")
    async with stream_client(exchange(), "/stream?streams=" + "/".join(names)) as connection:
        assert await close_code(connection) == 1008


async def test_more_than_five_messages_a_second_end_it(autojump_clock: Any) -> None:
    async with stream_client(exchange(), "/ws") as connection:
        for _ in range(5):
            await request(connection, "LIST_SUBSCRIPTIONS")
        await trio.sleep(1)
        for _ in range(5):
            await request(connection, "LIST_SUBSCRIPTIONS")
        await connection.pong(b"unasked")
        assert await close_code(connection) == 1008


async def test_pings_are_answered_with_their_payload(autojump_clock: Any) -> None:
    async with stream_client(exchange(), "/ws") as connection:
        await connection.ping(b"payload")


async def test_who_answers_pings_may_stay_for_24_hours(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, "/ws") as connection:
        began = trio.current_time()
        code = await close_code(connection)
        assert trio.current_time() - began == DAY / 1000
        assert code == 1001
        await trio.testing.wait_all_tasks_blocked()
        assert venue.connections.streams == {}


async def test_who_does_not_answer_pings_is_cut_off(autojump_clock: Any) -> None:
    """Ping after 20 seconds, and a minute of patience."""
    async with bare_client(exchange(), "/ws") as stream:
        began = trio.current_time()
        pings = 0
        while data := await stream.receive_some():
            pings += data.startswith(b"\x89")
        assert (pings, trio.current_time() - began) == (4, 80)


async def test_who_does_not_read_is_cut_off(autojump_clock: Any) -> None:
    """Thirty seconds for every send; this line holds nothing that was not read."""
    venue = exchange()
    ours, theirs = lockstep_stream_pair()
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_connection, venue, theirs)
            await ours.send_all(handshake("/ws/btcusdt@kline_1m"))
            await ours.receive_some()
            began = trio.current_time()
        assert 30 < trio.current_time() - began < 33
    assert venue.connections.streams == {}


async def test_the_handshake_of_the_rfc(autojump_clock: Any) -> None:
    """RFC 6455, section 1.3, has this key and its answer."""
    async with bare_client(exchange(), "/ws") as stream:
        answer = await stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer


async def test_300_attempts_in_five_minutes_are_enough(autojump_clock: Any) -> None:
    venue = exchange()
    assert not any(venue.limits.attempt("memory", trio.current_time()) for _ in range(299))
    async with stream_client(venue, "/ws"):
        pass
    with pytest.RaisesGroup(pytest.RaisesExc(Exception, match="429"), allow_unwrapped=True):
        async with stream_client(venue, "/ws"):
            pass
    await trio.sleep(300)
    async with stream_client(venue, "/ws"):
        pass


async def test_minutes_without_trades_may_be_silent(autojump_clock: Any) -> None:
    for quiet_closes in (True, False):
        venue = exchange(quiet=["ADAUSDT"], quiet_closes=quiet_closes)
        async with stream_client(venue, "/ws/adausdt@kline_1m") as connection:
            received = await receive_for(connection, 1800)
        rows = venue.klines("ADAUSDT", Interval.MINUTE_1, START + 30_000, START + 1_740_000)
        empty = {row[0] for row in rows if row[8] == 0}
        assert empty
        for row in rows:
            if row[0] in empty:
                assert row[1] == row[2] == row[3] == row[4]
                assert row[5] == "0.00000000"
        sent = {event["k"]["t"] for event in received}
        assert (empty <= sent) == quiet_closes
        assert bool(empty & sent) == quiet_closes
        assert {row[0] for row in rows} - empty <= sent
