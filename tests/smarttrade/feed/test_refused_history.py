"""History that the exchange refuses at first, or says is empty, is had in the end."""

from __future__ import annotations

from functools import partial

import httpx
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors import Mailbox, Overflow
from smarttrade.binance.venue import BINANCE
from smarttrade.feed.backfill import run_backfill
from smarttrade.feed.listing import HALTED_CHECK_INTERVAL, run_listing
from smarttrade.feed.rest import RestClient
from smarttrade.feed.symbols import REFUSED_AFTER, SymbolTracker
from smarttrade.feed.weight import WeightBudget
from smarttrade.store.actor import run_store
from smarttrade.store.events import CandlesMissing
from smarttrade.store.freshness import MAX_REFUSED_PAUSE
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import FindMissing, ListSymbols, StoreMessage
from tests.fakes.exchange_rest import LONG_AFTER, MAIN, ReceivedRequest, RestExchange
from tests.fakes.exchange_streams import BTC, ETH, MINUTE

REFUSAL = {"code": -1121, "msg": "Invalid symbol."}


@pytest.mark.parametrize(
    "answer", [httpx.Response(400, json=REFUSAL), httpx.Response(200, json=[])]
)
async def test_first_history_is_asked_for_until_it_is_there(
    answer: httpx.Response, autojump_clock: MockClock
) -> None:
    exchange = RestExchange()
    for series in (BTC, ETH):
        exchange.have(series, 0, 99 * MINUTE)
    is_listed_at = 120.0

    def at_first(asked: ReceivedRequest) -> httpx.Response | None:
        if asked.series == ETH and asked.at < is_listed_at:
            return httpx.Response(answer.status_code, content=answer.content)
        return None

    exchange.before = at_first
    memory = MemoryStore(["BTCUSDT", "ETHUSDT"], [BTC.interval])
    store = Mailbox[StoreMessage]("store", capacity=16)
    gaps = Mailbox[CandlesMissing](
        "gaps", capacity=2, overflow=Overflow.CONFLATE, key=lambda gap: gap.series
    )
    with capture_logs():
        async with exchange.client() as http, trio.open_nursery() as nursery:
            rest = RestClient(BINANCE, http, [MAIN], WeightBudget(6000))
            rest.clock.learn(LONG_AFTER, trio.current_time())
            nursery.start_soon(partial(run_store, store, memory, hub=None, gaps=gaps))
            await store.tell(ListSymbols(["BTCUSDT", "ETHUSDT"]))
            await nursery.start(
                partial(run_backfill, gaps, store, rest, progress=lambda done, total: None)
            )
            await trio.sleep(is_listed_at + MAX_REFUSED_PAUSE)
            times = [asked.at for asked in exchange.requests_for(ETH)]
            nursery.cancel_scope.cancel()
    sizes = {
        each.series: each.count
        for each in memory.symbol_overviews(memory.symbols, trio.current_time())
    }
    assert sizes == {BTC: 100, ETH: 100}
    assert len(exchange.requests_for(BTC)) == 1
    assert len(times) < 10
    assert times[-1] >= is_listed_at


@pytest.mark.parametrize(
    "answer", [httpx.Response(400, text="<html>Bad Request</html>"), httpx.Response(500)]
)
async def test_symbol_whose_requests_alone_fail_counts_as_refused_until_they_do_not(
    answer: httpx.Response, autojump_clock: MockClock
) -> None:
    exchange = RestExchange()
    for series in (BTC, ETH):
        exchange.have(series, 0, 99 * MINUTE)
    over_at = 300.0

    def at_first(asked: ReceivedRequest) -> httpx.Response | None:
        is_failing = asked.path.endswith("klines") and asked.series == ETH and asked.at < over_at
        return httpx.Response(answer.status_code, content=answer.content) if is_failing else None

    exchange.before = at_first
    memory = MemoryStore(["BTCUSDT", "ETHUSDT"], [BTC.interval])
    symbols = SymbolTracker(["BTCUSDT", "ETHUSDT"])
    store = Mailbox[StoreMessage]("store", capacity=16)
    gaps = Mailbox[CandlesMissing](
        "gaps", capacity=2, overflow=Overflow.CONFLATE, key=lambda gap: gap.series
    )

    def states() -> dict[str, str]:
        return {name: known.state.value for name, known in memory.catalogue.details.items()}

    with capture_logs():
        async with exchange.client() as http, trio.open_nursery() as nursery:
            rest = RestClient(BINANCE, http, [MAIN], WeightBudget(6000))
            rest.clock.learn(LONG_AFTER, trio.current_time())
            nursery.start_soon(partial(run_store, store, memory, hub=None, gaps=gaps))
            nursery.start_soon(run_listing, symbols, store, rest)
            await nursery.start(
                partial(run_backfill, gaps, store, rest, progress=print, symbols=symbols)
            )
            await trio.sleep(REFUSED_AFTER - 1)
            assert states() == {"BTCUSDT": "trading", "ETHUSDT": "trading"}
            await trio.sleep(2 * REFUSED_AFTER)
            assert states() == {"BTCUSDT": "trading", "ETHUSDT": "refused"}
            await trio.sleep(over_at + 60.0 - 3 * REFUSED_AFTER)
            assert states() == {"BTCUSDT": "trading", "ETHUSDT": "trading"}
            nursery.cancel_scope.cancel()
    overviews = memory.symbol_overviews(memory.symbols, trio.current_time())
    assert {each.series: each.count for each in overviews} == {BTC: 100, ETH: 100}
    assert len(exchange.requests_for(ETH)) < 20 + over_at / HALTED_CHECK_INTERVAL


async def test_refused_symbol_that_lacks_nothing_trades_again_when_its_klines_are_given(
    autojump_clock: MockClock,
) -> None:
    exchange = RestExchange()
    for series in (BTC, ETH):
        exchange.have(series, 0, 99 * MINUTE)
    begins_at, over_at = 30.0, 120.0

    def at_times(asked: ReceivedRequest) -> httpx.Response | None:
        is_refused = asked.path.endswith("klines") and asked.series == ETH
        if is_refused and begins_at <= asked.at < over_at:
            return httpx.Response(400, json=REFUSAL)
        return None

    exchange.before = at_times
    memory = MemoryStore(["BTCUSDT", "ETHUSDT"], [BTC.interval])
    symbols = SymbolTracker(["BTCUSDT", "ETHUSDT"])
    store = Mailbox[StoreMessage]("store", capacity=16)
    gaps = Mailbox[CandlesMissing](
        "gaps", capacity=2, overflow=Overflow.CONFLATE, key=lambda gap: gap.series
    )

    def eth_state() -> str:
        return memory.catalogue.details["ETHUSDT"].state.value

    with capture_logs():
        async with exchange.client() as http, trio.open_nursery() as nursery:
            rest = RestClient(BINANCE, http, [MAIN], WeightBudget(6000))
            rest.clock.learn(LONG_AFTER, trio.current_time())
            nursery.start_soon(partial(run_store, store, memory, hub=None, gaps=gaps))
            nursery.start_soon(run_listing, symbols, store, rest)
            await nursery.start(
                partial(run_backfill, gaps, store, rest, progress=print, symbols=symbols)
            )
            await trio.sleep(begins_at + 1)
            await store.tell(FindMissing((ETH,)))  # as when the stream is connected again
            await trio.sleep(over_at - begins_at - 2)
            assert eth_state() == "refused"
            await trio.sleep(2 + HALTED_CHECK_INTERVAL)
            assert eth_state() == "trading"
            nursery.cancel_scope.cancel()
    assert len(exchange.requests_for(ETH)) < 15
