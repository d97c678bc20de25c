"""Answers of REST that are not the plain truth, and why; the older ones: test_faults.py."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import Any

import pytest
import trio

from smarttrade.simulator import Halt, RollBack, inject
from smarttrade.simulator.calendar import Interval

from .clients import MINUTE, START, exchange, get, http_client, receive_for, stream_client

KLINES = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=5"
INFO = "/api/v3/exchangeInfo"


async def test_a_firewall_blocks_until_nothing_was_asked_for_long_enough(
    autojump_clock: Any,
) -> None:
    venue = exchange()
    venue.faults.firewall.on(300.0)
    for _ in range(10):
        answer = await get(venue, KLINES)
        assert answer.status == 403
        assert answer.headers["content-type"] == "text/html"
        assert "retry-after" not in answer.headers
        await trio.sleep(299)
    async with http_client(venue, "elsewhere") as client:
        assert (await client.ask("GET", KLINES)).status == 403
    await trio.sleep(1)
    assert (await get(venue, KLINES)).status == 200
    venue.faults.firewall.off()
    assert (await get(venue, KLINES)).status == 200
    venue.faults.firewall.on(300.0)
    assert (await get(venue, KLINES)).status == 403


async def test_overload_has_a_code_of_its_own(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.overload.on()
    answer = await get(venue, KLINES)
    assert (answer.status, answer.json["code"]) == (503, -1008)
    assert "overloaded" in answer.json["msg"]


@pytest.mark.parametrize("status", [429, 418, 403, 502])
@pytest.mark.parametrize("value", ["none", "3600", "999999999", "soon"])
async def test_retry_after_may_be_anything(status: int, value: str, autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.rest_status.on(status)
    venue.faults.retry_after.on(value)
    answer = await get(venue, KLINES)
    assert answer.status == status
    assert answer.headers.get("retry-after", "none") == value


async def test_limits_are_reported_as_they_are(autojump_clock: Any) -> None:
    venue = exchange(weight_limit=40)
    assert (await get(venue, INFO)).json["rateLimits"][0]["limit"] == 40
    await get(venue, INFO)
    answer = await get(venue, KLINES)
    assert answer.status == 429
    assert "current limit is 40 request weight per 1 MINUTE" in answer.json["msg"]


async def test_others_use_the_weight_of_an_address(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.others_weight.on(5996)
    answer = await get(venue, KLINES)
    assert (answer.status, answer.headers["x-mbx-used-weight-1m"]) == (200, "5998")
    assert (await get(venue, KLINES)).headers["x-mbx-used-weight-1m"] == "6000"
    assert (await get(venue, KLINES)).status == 429


async def test_redirects_lead_elsewhere(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.redirect.on("https://elsewhere.example/")
    answer = await get(venue, KLINES)
    assert (answer.status, answer.headers["location"]) == (302, "https://elsewhere.example/")


async def test_a_gzip_bomb_is_small_on_the_wire(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.gzip_bomb.on(20)
    answer = await get(venue, KLINES)
    assert (answer.status, answer.headers["content-encoding"]) == (200, "gzip")
    assert len(answer.body) < 100_000
    unpacked = gzip.decompress(answer.body)
    assert len(unpacked) > 20_000_000
    assert json.loads(unpacked) == []


async def test_klines_of_some_symbols_fail(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.failing.on(frozenset({"BTCUSDT"}))
    assert (await get(venue, KLINES)).status == 500
    assert (await get(venue, KLINES.replace("BTC", "ETH"))).status == 200
    assert (await get(venue, INFO)).status == 200


async def test_a_symbol_is_unknown_for_a_while(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.unknown.on(frozenset({"BTCUSDT"}), seconds=60)
    assert (await get(venue, KLINES)).json["code"] == -1121
    both = f"{INFO}?symbols=%5B%22BTCUSDT%22,%22ETHUSDT%22%5D"
    answer = await get(venue, both)
    assert (answer.status, answer.json["code"]) == (400, -1121)
    listed = {each["symbol"] for each in (await get(venue, INFO)).json["symbols"]}
    assert listed == {"ETHUSDT", "ADAUSDT"}
    await trio.sleep(60)
    assert len((await get(venue, both)).json["symbols"]) == 2


async def test_the_last_trades_of_a_kline_come_late_although_the_next_is_listed(
    autojump_clock: Any,
) -> None:
    venue = exchange()
    assert venue.now() == START
    venue.faults.stale_rows.on(8.0)
    await trio.sleep(33)  # three seconds into the next minute
    ended, forming = (await get(venue, KLINES)).json[-2:]
    assert (ended[0], forming[0]) == (START - 30_000, START + 30_000)
    truth = venue.klines("BTCUSDT", "1m", START - 30_000, limit=1)[0]
    assert ended[6] == truth[6]
    assert 0 < ended[8] < truth[8]
    await trio.sleep(5)
    assert tuple((await get(venue, KLINES)).json[-2]) == truth


async def test_a_symbol_may_have_letters_of_any_script(autojump_clock: Any) -> None:
    venue = exchange(symbols=["币安人生USDT"])
    name = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"
    assert len((await get(venue, KLINES.replace("BTCUSDT", name))).json) == 5
    (listed,) = (await get(venue, f"{INFO}?symbol={name}")).json["symbols"]
    assert listed["symbol"] == "币安人生USDT"
    refused = await get(venue, KLINES.replace("BTCUSDT", "btcusdt"))
    assert refused.json["code"] == -1100


async def status_of(venue: Any) -> dict[str, str]:
    symbols = (await get(venue, INFO)).json["symbols"]
    return {each["symbol"]: each["status"] for each in symbols}


async def test_a_halt_ends_and_is_reported_meanwhile(autojump_clock: Any) -> None:
    venue = exchange(symbols=["BTCUSDT", "ETHUSDT"])
    async with stream_client(venue, "/stream?streams=btcusdt@kline_1m/ethusdt@kline_1m") as stream:
        await receive_for(stream, 5)
        Halt(["BTCUSDT"], "HALT", seconds=600).apply(venue)
        assert await status_of(venue) == {"BTCUSDT": "HALT", "ETHUSDT": "TRADING"}
        await receive_for(stream, 2)
        during = {message["stream"] for message in await receive_for(stream, 590)}
        assert during == {"ethusdt@kline_1m"}
        afterwards = {message["stream"] for message in await receive_for(stream, 60)}
        assert afterwards == {"btcusdt@kline_1m", "ethusdt@kline_1m"}
    assert await status_of(venue) == {"BTCUSDT": "TRADING", "ETHUSDT": "TRADING"}
    opened = [row[0] for row in venue.klines("BTCUSDT", "1m", limit=4)]
    gaps = [after - before for before, after in pairwise(opened)]
    assert gaps.count(MINUTE) == 2
    assert max(gaps) == 10 * MINUTE


async def test_maintenance_halts_every_symbol(autojump_clock: Any) -> None:
    venue = exchange()
    inject(venue, "halt", {}, 60)
    assert set((await status_of(venue)).values()) == {"BREAK"}
    assert len((await get(venue, KLINES)).json) == 5
    await trio.sleep(60)
    assert set((await status_of(venue)).values()) == {"TRADING"}


async def test_what_was_rolled_back_is_streamed_and_never_listed(autojump_clock: Any) -> None:
    venue = exchange()
    async with stream_client(venue, "/stream?streams=btcusdt@kline_1m") as stream:
        RollBack("BTCUSDT", seconds=150).apply(venue)
        received = await receive_for(stream, 300)
    closed = {message["data"]["k"]["t"] for message in received if message["data"]["k"]["x"]}
    rows = {row[0] for row in venue.klines("BTCUSDT", Interval.MINUTE_1, START - 30_000)}
    assert closed - rows == {START + 30_000, START + 90_000}
    assert len(venue.klines("BTCUSDT", "5m", START - 300_000)) == 2
    assert venue.klines("ETHUSDT", "1m", START + 30_000, limit=1)[0][0] == START + 30_000


async def test_faults_may_concern_one_host_only(autojump_clock: Any) -> None:
    venue = exchange()
    venue.faults.rest_status.on(503)
    venue.faults.only_hosts.on(frozenset({"first.example"}))
    async with http_client(venue) as client:
        for host, status in (("first.example:9443", 503), ("second.example", 200)):
            assert (await client.ask("GET", KLINES, Host=host)).status == status
    venue.faults.stall.on()
    async with stream_client(venue, "/stream?streams=btcusdt@kline_1m") as stream:
        assert await receive_for(stream, 10) != []
        venue.faults.only_hosts.on(frozenset({"exchange"}))
        assert await receive_for(stream, 10) == []
