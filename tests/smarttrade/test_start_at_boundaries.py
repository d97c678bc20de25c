"""The whole service, started or cut off just after candles have ended.

The exchange's history lacks the last trades of those, so they are read once more. Nothing else is,
and nothing waits for that: live candles go on, and the final state of such a candle is a correction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.simulator import Cut
from tests.fakes.service import ReconnectingClient, World, world

ELEVEN = 1_733_007_600_000  # ms; 2024-11-30 23:00 UTC
LATER = ELEVEN + 7 * 60_000  # at which only minutes end
MIDNIGHT = ELEVEN + 3_600_000  # at which all intervals end
INTERVALS = (Interval.MINUTE_1, Interval.MINUTE_5, Interval.HOUR_1, Interval.DAY_1)
BTC = Series("BTCUSDT", Interval.MINUTE_1)


@asynccontextmanager
async def started(start: int, lag: float = 8.0) -> AsyncIterator[tuple[World, float]]:
    """A service of eight series, and how many seconds it took to be ready.

    Rows of the exchange lack their last trades for `lag` seconds.
    """

    def prepare(made: World) -> None:
        made.exchange.faults.stale_rows.on(lag)

    async with (
        world(start=start, intervals=INTERVALS, prepare=prepare, audit_round=86_400.0) as made,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(made.service.run)
        yield made, await made.ready()
        made.service.stop()


def reads(made: World) -> int:
    """Requests for klines so far."""
    return made.exchange.stats.requests["/api/v3/klines", 200]


async def newest(made: World) -> tuple[int, bool]:
    """The open time of the newest minute in seconds, and whether it is closed."""
    page = (await made.http.get("/candles/BTCUSDT/1m?limit=1")).json()
    return page["candles"][-1]["time"], page["closed"]


@pytest.mark.parametrize("second", [1.0, 3.0, 7.0, 12.0, 14.0])
async def test_start_after_the_turn_of_a_minute_is_ready_at_once(
    second: float, autojump_clock: MockClock
) -> None:
    ended = (LATER - 60_000) // 1000
    async with started(LATER + 40_000) as (_, usual):
        pass
    async with started(LATER + int(second * 1000)) as (made, seconds):
        assert seconds == usual
        assert reads(made) == 8
        assert await newest(made) == (ended, False)
        while (await newest(made))[0] == ended:
            assert await made.is_ready()
            await trio.sleep(0.1)
        # Seconds after the turn of the minute: the look once a second, and the answer.
        assert 15 < (made.exchange.now() - LATER) / 1000 < 16.5
        assert reads(made) == 8 + 2  # of each symbol, the minute that has ended
        await made.next_minute(2)
        assert await made.differences() == []


@pytest.mark.parametrize("lag", [2.0, 5.0, 10.0])
async def test_close_from_before_the_start_comes_once_and_live_candles_do_not_wait(
    lag: float, autojump_clock: MockClock
) -> None:
    client = ReconnectingClient([BTC])
    async with started(LATER + 1_000, lag) as (made, _), trio.open_nursery() as nursery:
        nursery.start_soon(client.run, made)
        await trio.sleep(5)
        chart, ended = client.charts.by_series[BTC], LATER // 1000 - 60
        assert chart.newest == LATER // 1000
        assert ended not in chart.closed
        await made.next_minute(2)
        assert chart.closes == [LATER // 1000 + 60 * n for n in (0, 1)]
        assert ended in chart.closed
        assert chart.corrections == 1
        assert made.compare(BTC, client.charts) == []
        nursery.cancel_scope.cancel()


async def test_start_at_midnight_reads_every_series_once_more(autojump_clock: MockClock) -> None:
    async with started(MIDNIGHT + 2_000) as (made, seconds):
        assert seconds < 2
        assert reads(made) == 8
        await trio.sleep(18)
        assert reads(made) == 2 * 8
        assert await made.is_ready()
        assert await made.differences() == []


async def test_close_that_the_stream_sends_after_the_start_is_not_read(
    autojump_clock: MockClock,
) -> None:
    async with started(LATER - 1_000) as (made, _):
        await trio.sleep(20)
        assert reads(made) == 8
        assert await made.differences() == []


@pytest.mark.parametrize("back_after", [1.0, 5.0, 12.0])
async def test_close_during_a_cut_comes_once_and_is_final(
    back_after: float, autojump_clock: MockClock
) -> None:
    """`back_after`: seconds into the minute at which the stream may connect again."""
    client = ReconnectingClient([BTC])
    async with started(LATER + 30_000) as (made, _), trio.open_nursery() as nursery:
        nursery.start_soon(client.run, made)
        await made.next_minute(1, plus=50)
        made.exchange.faults.refuse.on(True, 10 + back_after)
        Cut("rst", "all").apply(made.exchange)
        await made.next_minute(3)
        chart = client.charts.by_series[BTC]
        assert chart.closes == [LATER // 1000 + 60 * n for n in (0, 2, 3)]
        assert chart.corrections == 1
        assert made.compare(BTC, client.charts) == []
        nursery.cancel_scope.cancel()


async def test_closes_that_the_stream_loses_are_read_once_each(autojump_clock: MockClock) -> None:
    client = ReconnectingClient([BTC])
    async with started(LATER + 30_000) as (made, _), trio.open_nursery() as nursery:
        nursery.start_soon(client.run, made)
        made.exchange.faults.missing_close.on(1.0)
        await made.next_minute(2, plus=20)
        assert reads(made) == 8 + 2 * 2  # at the start, and two minutes of two symbols
        assert await made.is_ready()
        chart = client.charts.by_series[BTC]
        assert chart.closes == []
        assert chart.corrections == 2
        assert made.compare(BTC, client.charts) == []
        nursery.cancel_scope.cancel()
