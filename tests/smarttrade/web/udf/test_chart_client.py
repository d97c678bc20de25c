"""The datafeed as a chart of TradingView's sees it: from opening it to every new bar."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from smarttrade.market.candle import Candle
from smarttrade.store.feed import Feed
from tests.fakes.candles import BTC, at, candle, rows
from tests.fakes.udf_chart import Bar, DatafeedError, UdfChart
from tests.smarttrade.web.backend import Backend, backend

NOW = at(10**6) // 1000  # a browser's clock, two years ahead


@asynccontextmanager
async def chart() -> AsyncIterator[tuple[UdfChart, Backend]]:
    async with backend() as server:

        async def fetch(path: str, query: dict[str, Any]) -> Any:
            answer = await server.get(f"/udf/{path}", params=query)
            assert answer.status_code == 200
            return answer.json()

        yield UdfChart(fetch, lambda: NOW), server


def bars_of(candles: list[Candle]) -> dict[float, Bar]:
    names = ("open", "high", "low", "close", "volume")
    return {
        one.open_time: {"time": one.open_time} | {name: getattr(one, name) for name in names}
        for one in candles
    }


@pytest.mark.parametrize("count", [1, 7, 300, 5000])
async def test_chart_that_goes_back_gets_every_candle_once_and_stops(count: int) -> None:
    candles = [one for one in rows(0, 40) if one.open_time not in (at(9), at(10), at(30))]
    async with chart() as (drawn, server):
        await server.history(BTC, candles)
        await drawn.open("BTCUSDT", "1")
        await drawn.load(count)
    assert drawn.bars == bars_of(candles)
    assert drawn.requests <= 2 + 41 / count


@pytest.mark.parametrize("minutes", [1, 3, 1000])
async def test_chart_that_asks_by_ranges_of_time_gets_over_gaps_and_stops(minutes: int) -> None:
    candles = [one for one in rows(0, 40) if one.open_time not in map(at, range(9, 20))]
    async with chart() as (drawn, server):
        await server.history(BTC, candles)
        await drawn.open("BTCUSDT", "1")
        await drawn.load_ranges(60 * minutes)
    assert drawn.bars == bars_of(candles)


async def test_chart_that_is_opened_while_the_server_starts() -> None:
    """The symbol is there, and history is an error until it is; the chart then tries again."""
    async with chart() as (drawn, server):
        await drawn.open("BINANCE:BTCUSDT", "1")
        assert drawn.symbol["full_name"] == "Binance:BTCUSDT"
        with pytest.raises(DatafeedError, match="not read from the exchange yet"):
            await drawn.load(300)
        await server.history(BTC, rows(0, 3))
        await drawn.load(300)
    assert len(drawn.bars) == 4


async def test_pulse_draws_each_candle_until_it_is_final() -> None:
    async with chart() as (drawn, server):
        await server.feed(Feed.LIVE)
        await server.history(BTC, rows(0, 3))
        await drawn.open("BTCUSDT", "1")
        await drawn.load(300)
        await server.live(BTC, candle(3))
        for minute in range(4, 8):
            await server.live(BTC, candle(minute, close=1.0, closed=False))
            await drawn.pulse()
            assert drawn.bars[at(minute)]["close"] == 1.0
            # It closes between two polls: only the second bar of the next poll says how.
            await server.live(BTC, candle(minute, close=2.0))
        await drawn.pulse()
    assert [drawn.bars[at(minute)]["close"] for minute in range(4, 8)] == [2.0] * 4


async def test_symbol_that_is_not_there() -> None:
    async with chart() as (drawn, _):
        with pytest.raises(DatafeedError, match="unknown_symbol"):
            await drawn.open("NOPE", "1")


async def test_symbols_are_found_and_time_is_the_servers() -> None:
    async with chart() as (drawn, server):
        await server.history(BTC, rows(0, 3))
        await server.live(BTC, candle(3, closed=False))
        assert await drawn.search("btc") == ["BINANCE:BTCUSDT BTCUSDT"]
        assert at(3) // 1000 <= await drawn.server_time() <= at(4) // 1000
