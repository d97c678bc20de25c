"""TradingView's UDF. What its charts rely on is quoted from their documentation, "UDF protocol"."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.interval import Interval
from smarttrade.market.symbol_details import SymbolDetails
from smarttrade.store.messages import Catalogue
from smarttrade.web.udf.datafeed import RESOLUTIONS, _decimals, _describe
from tests.fakes.candles import BASE, BTC, at, candle, rows
from tests.smarttrade.web.backend import WALL, Backend, backend

MINUTE_0 = BASE // 1000


async def history(server: Backend, **query: Any) -> dict[str, Any]:
    asked = {"symbol": "BTCUSDT", "resolution": "1", "from": 0, "to": 4_000_000_000, **query}
    answer = await server.get("/udf/history", params={k: v for k, v in asked.items() if v != ""})
    assert answer.status_code == 200
    reply: dict[str, Any] = answer.json()
    return reply


def minutes(reply: dict[str, Any]) -> list[int]:
    return [(time - MINUTE_0) // 60 for time in reply["t"]]


def test_resolutions_are_what_charts_call_the_intervals() -> None:
    assert {interval.value: name for interval, name in RESOLUTIONS.items()} == {
        "1s": "1S",
        "1m": "1",
        "3m": "3",
        "5m": "5",
        "15m": "15",
        "30m": "30",
        "1h": "60",
        "2h": "120",
        "4h": "240",
        "6h": "360",
        "8h": "480",
        "12h": "720",
        "1d": "1D",
        "3d": "3D",
        "1w": "1W",
        "1M": "1M",
    }


async def test_config_says_what_is_there() -> None:
    intervals = [Interval.MINUTE_1, Interval.HOUR_4, Interval.DAY_1]
    async with backend(intervals=intervals) as server:
        reply = (await server.get("/udf/config")).json()
    assert reply["supported_resolutions"] == ["1", "240", "1D"]
    assert (reply["supports_search"], reply["supports_group_request"]) == (True, False)
    assert reply["supports_time"] is True
    assert reply["supports_marks"] is reply["supports_timescale_marks"] is False


# Symbols


@pytest.mark.parametrize("name", ["BTCUSDT", "btcusdt", "BINANCE:BTCUSDT", "Binance:btcusdt"])
async def test_symbol_is_described(name: str) -> None:
    intervals = [Interval.SECOND_1, Interval.MINUTE_1, Interval.HOUR_1, Interval.DAY_3]
    second = BTC._replace(interval=Interval.SECOND_1)
    async with backend(intervals=intervals) as server:
        await server.history(second, [candle(0, close=101.25, volume=0.00125)])
        reply = (await server.get("/udf/symbols", params={"symbol": name})).json()
    assert reply["name"] == reply["ticker"] == "BTCUSDT"
    assert (reply["type"], reply["session"], reply["timezone"]) == ("crypto", "24x7", "Etc/UTC")
    assert (reply["minmov"], reply["pricescale"], reply["volume_precision"]) == (1, 100, 5)
    assert reply["supported_resolutions"] == ["1S", "1", "60", "3D"]
    assert reply["seconds_multipliers"] == ["1"]
    assert reply["intraday_multipliers"] == ["1", "60"]
    assert reply["daily_multipliers"] == ["3"]
    assert reply["has_seconds"] is reply["has_intraday"] is reply["has_daily"] is True
    assert reply["has_weekly_and_monthly"] is False


async def test_unknown_symbol_is_answered_in_the_protocol_of_charts() -> None:
    async with backend() as server:
        answers = [await server.get(f"/udf/symbols{query}") for query in ("?symbol=NOPE", "")]
        other = await server.get("/udf/symbols?symbol=KRAKEN:BTCUSDT")
    for answer in (*answers, other):
        assert answer.status_code == 200
        assert answer.json() == {"s": "error", "errmsg": "unknown_symbol"}


async def test_symbol_is_described_before_its_history_is_there() -> None:
    """With all decimals that the exchange has: a chart keeps what it learns once."""
    async with backend() as server:
        described = (await server.get("/udf/symbols?symbol=BTCUSDT")).json()
    assert described["name"] == "BTCUSDT"
    assert (described["pricescale"], described["volume_precision"]) == (10**8, 8)


@pytest.mark.parametrize(
    ("tick_size", "pricescale"), [("0.01000000", 100), ("1", 1), ("1e-8", 10**8)]
)
def test_decimals_of_prices_are_the_tick_sizes_whatever_candles_need(
    tick_size: str, pricescale: int
) -> None:
    details = {"BTCUSDT": SymbolDetails("TRADING", Decimal(tick_size))}
    catalogue = Catalogue(("BTCUSDT",), (Interval.MINUTE_1,), details)
    described = _describe("BTCUSDT", catalogue, [candle(0, close=101.123)])
    assert described.pricescale == pricescale


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["ETHBTC", "BTCUSDT", "ETHUSDT"]),
        ("query=btc", ["BTCUSDT", "ETHBTC"]),
        ("query=USDT&limit=1", ["BTCUSDT"]),
        ("query=binance:eth", ["ETHBTC", "ETHUSDT"]),
        ("query=nope", []),
        ("query=btc&type=crypto&exchange=Binance", ["BTCUSDT", "ETHBTC"]),
        ("query=btc&type=stock", []),
        ("query=btc&exchange=Kraken", []),
    ],
)
async def test_search_finds_what_contains_the_text_and_what_begins_with_it_first(
    query: str, found: list[str]
) -> None:
    async with backend(symbols=["ETHBTC", "BTCUSDT", "ETHUSDT"]) as server:
        reply = (await server.get(f"/udf/search?{query}")).json()
    assert [one["symbol"] for one in reply] == [one["ticker"] for one in reply] == found


# History


async def test_history_comes_by_columns_oldest_first() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        reply = await history(server)
    assert reply["s"] == "ok"
    assert minutes(reply) == [0, 1, 2]
    assert {len(reply[name]) for name in "tohlcv"} == {3}
    assert reply["o"] == [100.0, 100.0, 100.0]
    assert "nextTime" not in reply


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"from": MINUTE_0 + 180, "to": MINUTE_0 + 300}, [3, 4, 5]),  # both inclusive
        ({"from": MINUTE_0 + 179, "to": MINUTE_0 + 299}, [3, 4]),
        ({"from": MINUTE_0 + 181, "to": MINUTE_0 + 299}, [4]),
        ({"from": MINUTE_0 + 480}, [8, 9]),  # "to can be in the future"
        ({"from": ""}, list(range(10))),
        ({"countback": 3}, [7, 8, 9]),
        # "Number of bars (higher priority than from) starting with to"
        ({"countback": 3, "from": MINUTE_0 + 540, "to": MINUTE_0 + 300}, [3, 4, 5]),
        ({"countback": 3, "from": 0, "to": MINUTE_0 + 60}, [0, 1]),
        ({"countback": 100_000}, list(range(10))),
        # As TradingView's reference back end has it.
        ({"from": -315_360_000}, list(range(10))),
        ({"countback": 0, "from": MINUTE_0 + 480}, [8, 9]),
    ],
)
async def test_history_of_a_range(query: dict[str, Any], expected: list[int]) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 9))
        assert minutes(await history(server, **query)) == expected


async def test_range_without_candles_names_the_next_one_in_the_past() -> None:
    """A chart goes on asking from there; without it, it asks no more."""
    with_a_gap = [one for one in rows(0, 9) if one.open_time not in (at(4), at(5))]
    async with backend() as server:
        await server.history(BTC, with_a_gap)
        in_the_gap = {"from": MINUTE_0 + 240, "to": MINUTE_0 + 300}
        after, before = {"from": MINUTE_0 + 10**6}, {"to": MINUTE_0 - 1}
        reply = [await history(server, **query) for query in (in_the_gap, after, before)]
        counted = await history(server, countback=5, to=MINUTE_0 - 1)
        ancient = await history(server, **{"from": -200, "to": -100})
    assert reply[0] == {"s": "no_data", "nextTime": MINUTE_0 + 180}
    assert reply[1] == {"s": "no_data", "nextTime": MINUTE_0 + 540}
    assert reply[2] == counted == ancient == {"s": "no_data"}


@pytest.mark.parametrize("spelling", ["1D", "D"])
async def test_days_are_spelled_in_two_ways(spelling: str) -> None:
    day = BTC._replace(interval=Interval.DAY_1)
    midnight = BASE // 86_400_000 * 86_400_000
    async with backend() as server:
        await server.history(day, [candle(0)._replace(open_time=midnight)])
        reply = await history(server, resolution=spelling)
    assert reply["t"] == [midnight // 1000]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"symbol": "NOPE"}, "unknown symbol: 'NOPE'"),
        ({"resolution": "7"}, "unknown resolution: '7'; there are 1, 60"),
        ({"resolution": "1m"}, "unknown resolution: '1m'"),
        ({"resolution": ""}, "unknown resolution: ''"),
        ({"to": ""}, "to must be a whole number"),
        ({"to": "now"}, "not 'now'"),
        ({"from": "--1"}, "from must be a whole number"),
        ({"from": "-"}, "from must be a whole number"),
        ({"countback": "-1"}, "countback must be"),
        ({}, "not read from the exchange yet"),
    ],
)
async def test_failed_request_is_an_error_of_the_protocol(
    query: dict[str, Any], words: str
) -> None:
    async with backend() as server:
        reply = await history(server, **query)
    assert reply["s"] == "error"
    assert words in reply["errmsg"]


# Time


async def test_time_is_the_exchanges_once_it_is_known() -> None:
    async with backend() as server:
        before = await server.get("/udf/time")
        await server.history(BTC, rows(0, 9))
        await server.live(BTC, candle(9, closed=False))
        after = await server.get("/udf/time")
    assert before.headers["Content-Type"].startswith("text/plain")
    assert before.text == str(int(WALL))
    assert int(after.text) in (at(9) // 1000 + 2, at(9) // 1000 + 3)


@given(st.integers(0, 10**12), st.integers(0, 8))
def test_decimals_are_those_of_the_exchange(digits: int, places: int) -> None:
    text = f"{digits // 10**places}.{digits % 10**places:0{places}d}" if places else str(digits)
    fraction = text.partition(".")[2].rstrip("0")
    assert _decimals([float(text)]) == len(fraction)
