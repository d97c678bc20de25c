from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from smarttrade.simulator import DEFAULT_SYMBOLS
from smarttrade.simulator.calendar import DAY, Interval
from smarttrade.simulator.exchange import OPENED

from .clients import MINUTE, START, exchange, get, http_client


async def klines(venue: Any, query: str) -> Any:
    answer = await get(venue, f"/api/v3/klines?{query}")
    assert answer.status == 200, answer.body
    return answer.json


async def test_ping_time_and_a_date_that_is_the_exchanges(autojump_clock: Any) -> None:
    venue = exchange()
    async with http_client(venue) as client:
        assert (await client.ask("GET", "/api/v3/ping")).json == {}
        await trio.sleep(61.5)
        answer = await client.ask("GET", "/api/v3/time")
    assert answer.json == {"serverTime": START + 61_500}
    assert answer.headers["date"] == "Sat, 25 Jul 2026 17:21:31 GMT"


async def test_the_clock_of_the_exchange_may_run_faster(autojump_clock: Any) -> None:
    venue = exchange(speed=60.0)
    assert venue.now() == START
    await trio.sleep(2)
    assert venue.now() == START + 2 * MINUTE


async def test_the_newest_candles_come_last_and_the_last_is_forming(autojump_clock: Any) -> None:
    venue = exchange()
    rows = await klines(venue, "symbol=BTCUSDT&interval=1m&limit=3")
    assert [row[0] for row in rows] == [START - 30_000 - 2 * MINUTE, START - 90_000, START - 30_000]
    assert all(row[6] == row[0] + MINUTE - 1 for row in rows)
    assert [tuple(row) for row in rows] == venue.klines("BTCUSDT", Interval.MINUTE_1, limit=3)
    await trio.sleep(10)
    later = await klines(venue, "symbol=BTCUSDT&interval=1m&limit=3")
    assert later[:2] == rows[:2]
    assert later[2][0] == rows[2][0]
    assert later[2][8] > rows[2][8]


async def test_a_row_reads_as_the_exchanges_rows_do(autojump_clock: Any) -> None:
    row = (await klines(exchange(), "symbol=BTCUSDT&interval=1h&limit=2"))[0]
    assert [type(value) for value in row] == [int] + [str] * 5 + [int, str, int] + [str] * 3
    for text in (*row[1:6], row[7], row[9], row[10]):
        whole, _, decimals = text.partition(".")
        assert whole.isdecimal()
        assert len(decimals) == 8
    assert all(text.endswith("000000") for text in row[1:5])
    assert row[11] == "0"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("startTime={m3}&endTime={m1}", [3, 2, 1]),
        ("startTime={m3}&endTime={before_m1}", [3, 2]),
        ("startTime={after_m3}&endTime={m1}", [2, 1]),
        ("startTime={m3}", [3, 2, 1, 0]),
        ("startTime={m3}&limit=2", [3, 2]),
        ("endTime={m1}&limit=2", [2, 1]),
        ("endTime={future}&limit=2", [1, 0]),
        ("startTime={future}", []),
        ("startTime={m1}&endTime={m3}", []),
    ],
)
async def test_start_and_end_are_inclusive(
    query: str, numbers: list[int], autojump_clock: Any
) -> None:
    newest = START - 30_000
    times = {
        "m1": newest - MINUTE,
        "m3": newest - 3 * MINUTE,
        "before_m1": newest - MINUTE - 1,
        "after_m3": newest - 3 * MINUTE + 1,
        "future": newest + DAY,
    }
    rows = await klines(exchange(), "symbol=BTCUSDT&interval=1m&" + query.format(**times))
    assert [(newest - row[0]) // MINUTE for row in rows] == numbers


async def test_limits_of_a_page(autojump_clock: Any) -> None:
    venue = exchange()
    assert len(await klines(venue, "symbol=BTCUSDT&interval=1m")) == 500
    assert len(await klines(venue, "symbol=BTCUSDT&interval=1m&limit=5000")) == 1000
    first = await klines(venue, "symbol=BTCUSDT&interval=1d&startTime=0&limit=1")
    assert first[0][0] == OPENED


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("symbol=NOSUCH&interval=1m", -1121),
        ("symbol=btcusdt&interval=1m", -1100),
        ("symbol=&interval=1m", -1102),
        ("interval=1m", -1102),
        ("symbol=BTCUSDT", -1102),
        ("symbol=BTCUSDT&interval=1H", -1120),
        ("symbol=BTCUSDT&interval=7m", -1120),
        ("symbol=BTCUSDT&interval=1m&limit=ten", -1100),
        ("symbol=BTCUSDT&interval=1m&limit=-1", -1100),
        ("symbol=BTCUSDT&interval=1m&limit=0", -1130),
        ("symbol=BTCUSDT&interval=1m&startTime=", -1105),
        ("symbol=BTCUSDT&interval=1m&startTime=1.5", -1100),
    ],
)
async def test_bad_requests_have_codes_of_their_own(
    query: str, code: int, autojump_clock: Any
) -> None:
    answer = await get(exchange(), f"/api/v3/klines?{query}")
    assert answer.status == 400
    assert answer.json["code"] == code


async def test_exchange_info_tells_what_trades(autojump_clock: Any) -> None:
    venue = exchange(symbols=DEFAULT_SYMBOLS, statuses={"LTCUSDT": "HALT"})
    answer = await get(venue, "/api/v3/exchangeInfo")
    symbols = {entry["symbol"]: entry for entry in answer.json["symbols"]}
    assert tuple(symbols) == DEFAULT_SYMBOLS
    assert {name for name, entry in symbols.items() if entry["status"] != "TRADING"} == {
        "LTCUSDT",
        "MATICUSDT",
    }
    assert symbols["BTCUSDT"]["baseAsset"] == "BTC"
    assert symbols["BTCUSDT"]["filters"][0]["tickSize"] == "0.01000000"


async def test_exchange_info_of_some_and_one_unknown_fails_all(autojump_clock: Any) -> None:
    venue = exchange()
    some = await get(venue, '/api/v3/exchangeInfo?symbols=["ETHUSDT","BTCUSDT"]')
    assert [entry["symbol"] for entry in some.json["symbols"]] == ["ETHUSDT", "BTCUSDT"]
    quoted = await get(venue, "/api/v3/exchangeInfo?symbols=%5B%22ETHUSDT%22%5D")
    assert [entry["symbol"] for entry in quoted.json["symbols"]] == ["ETHUSDT"]
    one = await get(venue, "/api/v3/exchangeInfo?symbol=ETHUSDT")
    assert one.json["symbols"] == quoted.json["symbols"]
    for query in ('symbols=["ETHUSDT","NOSUCH"]', "symbol=NOSUCH"):
        unknown = await get(venue, f"/api/v3/exchangeInfo?{query}")
        assert (unknown.status, unknown.json) == (400, {"code": -1121, "msg": "Invalid symbol."})
    for query, code in (("symbols=ETHUSDT", -1100), ('symbol=A&symbols=["A"]', -1128)):
        assert (await get(venue, f"/api/v3/exchangeInfo?{query}")).json["code"] == code


async def test_a_halted_symbol_has_history_and_nothing_new(autojump_clock: Any) -> None:
    venue = exchange(statuses={"ETHUSDT": "BREAK"})
    venue.now()
    await trio.sleep(600)
    rows = await klines(venue, "symbol=ETHUSDT&interval=1m&limit=2")
    assert rows[-1][0] == START - 30_000
    assert rows[-1][6] == START


async def test_weight_is_counted_and_excess_refused(autojump_clock: Any) -> None:
    venue = exchange()
    async with http_client(venue) as client:
        first = await client.ask("GET", "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1")
        assert first.headers["x-mbx-used-weight-1m"] == "2"
        for _ in range(299):
            answer = await client.ask("GET", "/api/v3/exchangeInfo?symbol=BTCUSDT")
        assert (answer.status, answer.headers["x-mbx-used-weight-1m"]) == (200, "5982")
        refused = await client.ask("GET", "/api/v3/exchangeInfo?symbol=BTCUSDT")
        assert refused.status == 429
        await trio.sleep(int(refused.headers["retry-after"]))
        assert (await client.ask("GET", "/api/v3/time")).headers["x-mbx-used-weight"] == "1"
    assert (await get(venue, "/api/v3/time")).status == 200


async def test_another_address_has_its_own_budget(autojump_clock: Any) -> None:
    venue = exchange()
    venue.limits.weight("1.2.3.4").spend(7000, trio.current_time())
    async with http_client(venue, "1.2.3.4") as client:
        assert (await client.ask("GET", "/api/v3/time")).status == 429
    async with http_client(venue, "1.2.3.5") as client:
        assert (await client.ask("GET", "/api/v3/time")).status == 200


async def test_elsewhere_there_is_nothing(autojump_clock: Any) -> None:
    for target in ("/", "/api/v3/nosuch", "/fapi/v1/klines"):
        assert (await get(exchange(), target)).status == 404


async def test_what_is_no_http_is_refused(autojump_clock: Any) -> None:
    async with http_client(exchange()) as client:
        await client._stream.send_all(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
        assert (await client._stream.receive_some()).startswith(b"HTTP/1.1 400")
        assert await client._stream.receive_some() == b""


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(list(Interval)), st.integers(1, 40), st.integers(0, 10**10))
def test_pages_join_without_gap_or_repeat(interval: Interval, limit: int, age: int) -> None:
    venue = exchange(start_ms=1_785_000_000_000)
    now = 1_785_000_000_000 - age
    whole = venue.klines("BTCUSDT", interval, limit=80, at=now)
    pages: list[Any] = []
    end = now
    while len(pages) < 80:
        page = venue.klines("BTCUSDT", interval, end=end, limit=limit, at=now)
        pages = page + pages
        end = page[0][0] - 1
    assert pages[-80:] == whole
    assert json.loads(json.dumps(whole[0])) == list(whole[0])
