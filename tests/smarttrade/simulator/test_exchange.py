from __future__ import annotations

from hashlib import sha256
from typing import Any

import h11
import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, HandshakeError

from smarttrade.simulator import DEFAULT_SYMBOLS, Exchange, random_script, run_script
from smarttrade.simulator.calendar import Interval
from smarttrade.simulator.exchange import OPENED

from .clients import START, exchange, get, http_client, stream_client

BROKEN = (
    ConnectionClosed,
    HandshakeError,
    h11.ProtocolError,
    trio.BrokenResourceError,
    trio.TooSlowError,
)
STREAMS = "/stream?streams=btcusdt@kline_1m/ethusdt@kline_5m/btcusdt@kline_1s"


async def listen(venue: Exchange, received: list[str]) -> None:
    """A simple-minded client: connects again, whatever happened."""
    while True:
        try:
            with trio.fail_after(100):
                async with stream_client(venue, STREAMS) as connection:
                    while True:
                        with trio.fail_after(60):
                            received.append(str(await connection.get_message()))
        except* BROKEN:
            pass
        await trio.sleep(1)


async def ask(venue: Exchange, received: list[str]) -> None:
    while True:
        try:
            with trio.fail_after(30):
                answer = await get(venue, "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=5")
                received.append(f"{answer.status} {answer.body!r}")
        except* BROKEN:
            pass
        await trio.sleep(7)


async def a_bad_day(venue: Exchange, seed: int) -> list[str]:
    received: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, venue, received)
        nursery.start_soon(ask, venue, received)
        await run_script(venue, random_script(seed, 600, per_minute=6))
        nursery.cancel_scope.cancel()
    venue.faults.clear()
    return received


@pytest.mark.parametrize("seed", range(4))
async def test_the_exchange_outlives_whatever_goes_wrong_with_it(
    seed: int, autojump_clock: Any
) -> None:
    venue = exchange(seed=seed)
    assert len(await a_bad_day(venue, seed)) > 100
    assert venue.connections.streams == {}
    assert venue.connections.transports == {}
    assert (await get(venue, "/api/v3/ping")).status == 200


def test_the_same_seed_is_the_same_exchange() -> None:
    def candles(seed: int) -> str:
        venue = exchange(seed=seed)
        rows = venue.klines("BTCUSDT", Interval.HOUR_1, limit=20, at=START)
        return sha256(repr(rows).encode()).hexdigest()

    assert candles(1) == candles(1)
    assert candles(1) != candles(2)


def test_it_can_be_built_where_no_trio_runs_and_its_time_starts_with_it() -> None:
    venue = exchange()

    async def times() -> tuple[int, int]:
        await trio.sleep(100)
        first = venue.now()
        await trio.sleep(1)
        return first, venue.now()

    assert trio.run(times, clock=MockClock(autojump_threshold=0)) == (START, START + 1000)


def test_it_does_not_exist_before_its_time() -> None:
    with pytest.raises(ValueError, match="did not exist"):
        exchange(start_ms=OPENED - 1)
    with pytest.raises(ValueError, match="must advance"):
        exchange(speed=0)


def test_a_thousand_candles_of_every_default_series() -> None:
    venue = exchange(symbols=DEFAULT_SYMBOLS)
    for symbol in DEFAULT_SYMBOLS[:10]:
        for interval in ("1m", "1d"):
            assert len(venue.klines(symbol, Interval(interval), limit=1000, at=START)) == 1000


async def test_a_symbol_listed_lately_has_a_short_history(autojump_clock: Any) -> None:
    venue = exchange(since={"ADAUSDT": START - 3 * 3600_000})
    async with http_client(venue) as client:
        answer = await client.ask("GET", "/api/v3/klines?symbol=ADAUSDT&interval=1h&limit=1000")
    assert len(answer.json) == 4
