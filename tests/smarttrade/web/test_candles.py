"""`GET /candles/{symbol}/{interval}` as a client of the contract sees it."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.encoded_cache import EncodedCache
from smarttrade.store.events import CandlesMissing
from smarttrade.store.messages import CheckOverdue
from smarttrade.web.candles import CandlePages
from tests.fakes.candles import BASE, BTC, ETH, MINUTE, at, candle, rows, rows_at
from tests.fakes.chart import decode
from tests.smarttrade.web.backend import Backend, backend

BTC_DAY = Series("BTCUSDT", Interval.DAY_1)
PATH = "/candles/BTCUSDT/1m"


def opened(answer: httpx.Response) -> list[int]:
    """At which minutes after `BASE` its candles open."""
    return [(one["time"] * 1000 - BASE) // MINUTE for one in answer.json()["candles"]]


async def problem(server: Backend, path: str, **options: Any) -> dict[str, Any]:
    """The problem document, which is one whatever is wrong."""
    answer = await server.get(path, **options)
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    assert document["title"]
    return document


def day(number: int, *numbers: float) -> Candle:
    open_, high, low, close, volume = numbers
    time = BASE // 86_400_000 * 86_400_000 + number * 86_400_000
    return Candle(time, open_, high, low, close, volume, True, 0, True)


# What is answered


async def test_answer_has_the_series_its_candles_and_what_is_known_about_them() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        await server.live(BTC, candle(2, closed=False, close=101.5, event=7, volume=11.5))
        answer = await server.get(PATH)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    filled = {"open": 100.0, "high": 100.0, "low": 100.0, "close": 100.0, "volume": 10.0}
    assert answer.json() == {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "candles": [
            {"time": at(0) // 1000, **filled},
            {"time": at(1) // 1000, **filled},
            {"time": at(2) // 1000, **filled, "high": 101.5, "close": 101.5, "volume": 11.5},
        ],
        "closed": False,
        "as_of": at(2) + 7_000,
        "has_more": False,
        "gaps": [],
    }


async def test_live_state_of_the_forming_candle_is_in_the_answer() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 2, closed=True))
        await server.live(BTC, candle(3, closed=False, close=101.5, event=7))
        first = (await server.get(PATH)).json()
        await server.live(BTC, candle(3, close=102.5))
        second = (await server.get(PATH)).json()
    assert first["candles"][-1]["close"] == 101.5
    assert (first["closed"], first["as_of"]) == (False, at(3) + 7_000)
    assert second["candles"][-1]["close"] == 102.5
    assert (second["closed"], second["as_of"]) == (True, at(4))


@pytest.mark.parametrize(
    "texts",
    [
        ("96466.11000000", "96495.52000000", "96440.00000000", "96440.00000000", "6.61580000"),
        ("0.00001234", "0.00001240", "0.00001230", "0.00001235", "98765432109.00000000"),
        ("1.00000001", "1.10000000", "0.99999999", "1.00000000", "0.00000001"),
        ("0.10000000", "0.30000000", "0.10000000", "0.20000000", "1234567.12345678"),
        ("1.00000000", "1.00000000", "1.00000000", "1.00000000", "0.00000000"),
    ],
)
async def test_numbers_equal_the_decimals_of_the_exchange(texts: Sequence[str]) -> None:
    async with backend() as server:
        await server.history(BTC_DAY, [day(0, *map(float, texts)), day(1, *map(float, texts))])
        newest = decode((await server.get("/candles/BTCUSDT/1d?limit=1")).text)["candles"][0]
    assert [newest[name] for name in ("open", "high", "low", "close", "volume")] == [
        Decimal(text) for text in texts
    ]
    assert all(isinstance(number, Decimal) for number in newest.values())


async def test_gaps_show_what_the_exchange_does_not_have() -> None:
    async with backend() as server:
        await server.history(BTC, rows_at([0, 1, 5, 6]))
        answer = await server.get(PATH)
    gap = {"from": at(2) // 1000, "to": at(4) // 1000, "cause": "exchange"}
    assert answer.json()["gaps"] == [gap]
    assert opened(answer) == [0, 1, 5, 6]


async def test_gaps_show_what_is_still_to_be_read(autojump_clock: MockClock) -> None:
    """The store holds live candles back for 5 s; then stale charts would be worse."""
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        await server.live(BTC, candle(5))
        await server.tell(CheckOverdue())
        held = await server.get(PATH)
        await trio.sleep(5.1)
        await server.tell(CheckOverdue())
        released = await server.get(PATH)
        await server.history(BTC, rows(2, 5), first=at(2))
        filled = await server.get(PATH)
    assert opened(held) == [0, 1, 2]
    assert opened(released)[-1] == 5
    assert [gap["cause"] for gap in released.json()["gaps"]] == ["unfilled"]
    assert filled.json()["gaps"] == []
    assert opened(filled) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("symbol", ["BTCUSDT", "btcusdt", "BtcUsdt", "%42TCUSDT", "btcusdt%20"])
async def test_symbols_match_in_any_case(symbol: str) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        answer = await server.get(f"/candles/{symbol}/1m")
    assert answer.status_code == 200
    assert answer.json()["symbol"] == "BTCUSDT"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("1h", "1h"),
        ("1H", "1h"),
        ("4H", "4h"),
        ("1D", "1d"),
        ("1W", "1w"),
        ("1M", "1M"),
        ("1m", "1m"),
    ],
)
async def test_intervals_match_as_written_or_as_charts_write_them(asked: str, meant: str) -> None:
    offered = [Interval(text) for text in ("1m", "1h", "4h", "1d", "1w", "1M")]
    async with backend(intervals=offered) as server:
        interval = Interval(meant)
        time = interval.floor(BASE)
        row = candle(0)._replace(open_time=time, from_rest=True)
        await server.history(Series("BTCUSDT", interval), [row])
        answer = await server.get(f"/candles/BTCUSDT/{asked}")
    assert answer.status_code == 200
    assert answer.json()["interval"] == meant


@pytest.mark.parametrize(
    "interval", ["1M", "5M", "1S", "2m", "1 m", "1", "60", "1mm", "%00", "%D9%A1m"]
)
async def test_other_intervals_are_unknown(interval: str) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        document = await problem(server, f"/candles/BTCUSDT/{interval}")
    assert document["status"] == 404
    assert document["code"] == "unknown_interval"
    assert "there are 1m, 1h, 4h, 1d, 1w" in document["detail"]


# Pages


async def test_500_candles_without_a_limit_and_as_many_as_asked_for_with_one() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 999))
        assert opened(await server.get(PATH)) == list(range(500, 1000))
        assert opened(await server.get(f"{PATH}?limit=1")) == [999]
        assert opened(await server.get(f"{PATH}?limit=1000")) == list(range(1000))
        assert opened(await server.get(f"{PATH}?limit=0003")) == [997, 998, 999]


async def test_window_holds_the_newest_thousand() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 999, closed=True))
        await server.live(BTC, candle(1000), candle(1001, closed=False))
        answer = await server.get(f"{PATH}?limit=1000")
    assert opened(answer) == list(range(2, 1002))
    assert answer.json()["has_more"] is False


async def test_before_is_exclusive_and_pages_through_the_whole_window() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 999))
        seen: list[int] = []
        query, pages = "limit=300", 0
        while True:
            answer = await server.get(f"{PATH}?{query}")
            seen = opened(answer) + seen
            pages += 1
            if not answer.json()["has_more"]:
                break
            query = f"limit=300&before={answer.json()['candles'][0]['time']}"
        beyond = await server.get(f"{PATH}?before={at(0) // 1000}")
    assert seen == list(range(1000))
    assert pages == 4
    assert (opened(beyond), beyond.json()["has_more"]) == ([], False)
    assert beyond.json()["closed"] is False


async def test_before_between_two_candles_and_after_all_of_them() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 9))
        between = await server.get(f"{PATH}?before={at(3) // 1000 + 1}&limit=2")
        after = await server.get(f"{PATH}?before=99999999999&limit=2")
        exactly = await server.get(f"{PATH}?before=100000000000&limit=2")
    assert opened(between) == [2, 3]
    assert between.json()["closed"] is True
    assert opened(after) == opened(exactly) == [8, 9]


@pytest.mark.parametrize(
    "text",
    ["0", "1001", "-1", "+5", "1.0", "1e2", "", "abc", "٣", "0x10", "5%00", "%20 5", "9" * 5000],
)
async def test_bad_limit_is_named_in_the_error(text: str) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        document = await problem(server, f"{PATH}?limit={text}")
    assert (document["status"], document["code"]) == (400, "bad_limit")
    assert "from 1 to 1000" in document["detail"]
    assert len(document["detail"]) < 150
    if text.isalnum() and len(text) < 10:
        assert text in document["detail"]


@pytest.mark.parametrize("text", ["-1", "100000000001", "1733007600000", "1733007600.5", "", "now"])
async def test_bad_before_is_named_in_the_error(text: str) -> None:
    """The error distinguishes milliseconds given for seconds from a time in the future."""
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        document = await problem(server, f"{PATH}?before={text}")
    assert (document["status"], document["code"]) == (400, "bad_before")
    assert repr(text) in document["detail"]


async def test_unknown_symbol_is_named_in_the_error_with_the_known_ones() -> None:
    async with backend() as server:
        document = await problem(server, "/candles/dogeusdt/1m")
    assert (document["status"], document["code"]) == (404, "unknown_symbol")
    assert "'dogeusdt'" in document["detail"]
    assert "BTCUSDT, ETHUSDT" in document["detail"]


async def test_series_without_history_is_not_ready_and_says_when_to_ask_again() -> None:
    async with backend() as server:
        answer = await server.get(PATH)
        document = await problem(server, PATH)
    assert (document["status"], document["code"]) == (503, "not_ready")
    assert "BTCUSDT 1m" in document["detail"]
    assert int(answer.headers["Retry-After"]) >= 1


async def test_store_that_does_not_answer_is_503_in_time(autojump_clock: MockClock) -> None:
    async with backend(is_store_running=False) as server:
        began = trio.current_time()
        document = await problem(server, PATH)
        assert trio.current_time() - began == pytest.approx(5.0, abs=0.1)
    assert (document["status"], document["code"]) == (503, "store_unavailable")


# Caching and compression


async def test_unchanged_answer_is_not_sent_again_and_a_changed_one_is() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 5))
        first = await server.get(PATH)
        etag = first.headers["ETag"]
        again = await server.get(PATH, headers={"If-None-Match": etag})
        await server.live(BTC, candle(5))
        changed = await server.get(PATH, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == etag
    assert "Content-Type" not in again.headers
    assert "Content-Length" not in again.headers
    assert again.headers["Vary"] == first.headers["Vary"]
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag


@pytest.mark.parametrize(
    ("template", "status"),
    [
        ("{strong}", 304),
        ("W/{strong}", 304),
        ('"other", W/{strong}', 304),
        ('"a,b",{strong} , "c"', 304),
        ("*", 304),
        ('"other"', 200),
        ("{bare}", 200),
        ("", 200),
        (",", 200),
        ('W/"', 200),
    ],
)
async def test_if_none_match_compares_weakly_with_any_of_a_list(template: str, status: int) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 5))
        strong = (await server.get(PATH)).headers["ETag"].removeprefix("W/")
        value = template.format(strong=strong, bare=strong.strip('"'))
        answer = await server.get(PATH, headers={"If-None-Match": value})
    assert answer.status_code == status


async def test_etag_is_of_the_answer_and_not_of_the_process() -> None:
    """Two processes behind one address must agree."""
    etags = []
    for _ in range(2):
        async with backend() as server:
            await server.history(BTC, rows(0, 5))
            etags.append((await server.get(PATH)).headers["ETag"])
            etags.append((await server.get(f"{PATH}?limit=6")).headers["ETag"])
            assert (await server.get(f"{PATH}?limit=5")).headers["ETag"] not in etags
    assert len(set(etags)) == 1


async def raw(server: Backend, accept: str | None, path: str = f"{PATH}?limit=1000") -> Any:
    """The answer as it came: status, headers, body."""
    headers = {} if accept is None else {"Accept-Encoding": accept}
    request = server.http.build_request("GET", path, headers=headers)
    if accept is None:
        del request.headers["Accept-Encoding"]
    answer = await server.http.send(request, stream=True)
    body = b"".join([part async for part in answer.aiter_raw()])
    return answer.status_code, answer.headers, body


@pytest.mark.parametrize(
    ("accept", "compressed"),
    [
        ("gzip", True),
        ("GZip", True),
        ("deflate, gzip;q=0.5, br", True),
        ("br;q=1.0, *;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("br", False),
        ("", False),
        ("gzippy", False),
        (None, False),
    ],
)
async def test_gzip_is_used_when_the_client_takes_it(accept: str | None, compressed: bool) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 999))
        _, _, plain = await raw(server, "identity")
        status, headers, body = await raw(server, accept)
    assert status == 200
    assert "Accept-Encoding" in headers["Vary"]
    assert int(headers["Content-Length"]) == len(body)
    assert headers.get("Content-Encoding") == ("gzip" if compressed else None)
    assert (gzip.decompress(body) if compressed else body) == plain
    assert not compressed or len(body) < len(plain) / 4
    assert len(json.loads(plain)["candles"]) == 1000


async def test_compressed_and_plain_answers_have_one_weak_etag() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 999))
        _, plain, _ = await raw(server, "identity")
        _, compressed, first = await raw(server, "gzip")
        _, _, second = await raw(server, "gzip")
    assert plain["ETag"] == compressed["ETag"]
    assert plain["ETag"].startswith('W/"')
    assert first == second


async def test_small_answers_are_not_worth_compressing() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        _, headers, _ = await raw(server, "gzip", f"{PATH}?limit=1")
    assert "Content-Encoding" not in headers


async def test_cached_answer_is_forgotten_with_every_change() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 3))
        for close in (101.0, 102.0, 103.0, 104.0):
            await server.live(BTC, candle(3, closed=False, close=close, event=int(close - 90)))
            for _ in range(2):
                answer = await server.get(PATH)
                assert answer.json()["candles"][-1]["close"] == close


async def test_more_pages_than_are_cached_are_all_answered() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 999))
        for limit in (*range(1, 300), 1):
            answer = await server.get(f"{PATH}?limit={limit}")
            assert len(answer.json()["candles"]) == limit


async def test_pages_count_for_as_much_memory_as_they_take() -> None:
    """Short ones as well: each of those is mostly the objects that hold it."""
    async with backend() as server:
        await server.history(BTC, rows(0, 999))
        cache = EncodedCache()
        pages = CandlePages(server.store, CandleTexts(), lambda _: 1, cache)
        for limit, number in ((1, 300), (10, 300), (300, 30)):
            counted = cache.bytes
            tracemalloc.start()
            for each in range(number):
                query = {"limit": str(limit), "before": str(2_000_000_000 + each)}
                page = await pages.find("BTCUSDT", "1m", query)
                assert page.compressed
            taken, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert taken < 1.1 * (cache.bytes - counted)


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 99))
        get = await server.get(PATH)
        head = await server.http.head(PATH)
        missing = await server.http.head("/candles/NOPE/1m")
        health = await server.http.head("/health")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("ETag", "Content-Type", "Content-Length", "Content-Encoding", "Vary"):
        assert head.headers.get(name) == get.headers.get(name), name
    assert (missing.status_code, missing.content) == (404, b"")
    assert (health.status_code, health.content) == (200, b"")


# History that is not there yet


async def test_candles_that_are_not_there_yet_are_read_before_others() -> None:
    async with backend() as server:
        for _ in range(2):
            answer = await server.get("/candles/ETHUSDT/1m")
            assert answer.status_code == 503
        await server.settle()
        assert server.gaps.receive_nowait() == CandlesMissing(ETH, None, None, 0, is_wanted=True)
        assert server.gaps.depth == 0
        await server.history(ETH, rows(0, 9))
        assert (await server.get("/candles/ETHUSDT/1m")).status_code == 200
        assert server.gaps.depth == 0
