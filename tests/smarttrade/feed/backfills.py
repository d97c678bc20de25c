"""A backfill actor with a simulated exchange."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from actors import Mailbox, Overflow
from smarttrade.binance.venue import BINANCE
from smarttrade.feed.backfill import (
    run_backfill,
)
from smarttrade.feed.rest import RestClient
from smarttrade.feed.weight import WeightBudget
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.events import CandlesMissing
from tests.fakes.exchange_rest import LONG_AFTER, MAIN, SPARE, RestExchange
from tests.fakes.exchange_store import RecordingStore

MINUTE = 60_000
BTC = Series("BTCUSDT", Interval.MINUTE_1)
ETH = Series("ETHUSDT", Interval.MINUTE_1)
NEW = Series("NEWUSDT", Interval.MINUTE_1)
SYMBOLS = [f"S{number}USDT" for number in range(10)]
INTERVALS = [
    Interval.MINUTE_1,
    Interval.MINUTE_5,
    Interval.MINUTE_15,
    Interval.HOUR_1,
    Interval.HOUR_4,
    Interval.DAY_1,
]
SIXTY = [Series(symbol, interval) for symbol in SYMBOLS for interval in INTERVALS]


def gaps_mailbox(series: int) -> Mailbox[CandlesMissing]:
    return Mailbox[CandlesMissing](
        "gaps", capacity=series, overflow=Overflow.CONFLATE, key=lambda gap: gap.series
    )


@asynccontextmanager
async def client(exchange: RestExchange, ceiling: int = 3000) -> AsyncIterator[RestClient]:
    async with exchange.client() as http:
        with trio.fail_after(24 * 3600):
            rest = RestClient(BINANCE, http, [MAIN, SPARE], WeightBudget(6000, ceiling))
            rest.clock.learn(LONG_AFTER, trio.current_time())
            yield rest


@dataclass
class Asking:
    exchange: RestExchange
    store: RecordingStore
    gaps: Mailbox[CandlesMissing]
    rest: RestClient
    progress: list[tuple[int, int]] = field(default_factory=list)


@asynccontextmanager
async def backfilling(exchange: RestExchange, *series: Series) -> AsyncIterator[Asking]:
    store = RecordingStore(series)
    async with client(exchange) as rest, trio.open_nursery() as nursery:
        asking = Asking(exchange, store, gaps_mailbox(len(series)), rest)
        nursery.start_soon(store.run)
        await nursery.start(
            partial(
                run_backfill,
                asking.gaps,
                store.mailbox,
                rest,
                progress=lambda done, total: asking.progress.append((done, total)),
            )
        )
        yield asking
        nursery.cancel_scope.cancel()


def open_times(candles: Sequence[Candle]) -> list[int]:
    return [c.open_time for c in candles]


def minutes(first: int, last: int) -> list[int]:
    return list(range(first * MINUTE, (last + 1) * MINUTE, MINUTE))
