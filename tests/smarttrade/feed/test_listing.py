from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors import Fatal, Mailbox
from smarttrade.binance.venue import BINANCE
from smarttrade.feed.errors import ExchangeUnavailable, NoSymbolLeft
from smarttrade.feed.listing import (
    ABSENT_CHECK_INTERVAL,
    CHECK_INTERVAL,
    HALTED_CHECK_INTERVAL,
    LISTING_BACKOFF,
    MAX_PROBED_AT_ONCE,
    run_listing,
)
from smarttrade.feed.rest import MAX_FAILURES, RestClient
from smarttrade.feed.symbol_statuses import (
    MAX_FAILED_FIRST,
    MAX_QUESTIONS_AT_ONCE,
    NOT_ANSWERED,
    SEARCH_TIMEOUT,
    symbol_statuses,
)
from smarttrade.feed.symbols import SymbolTracker
from smarttrade.feed.weight import WeightBudget
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.store.messages import Catalogue, GetCatalogue, ListSymbols, StoreMessage
from tests.fakes.exchange_rest import (
    MAIN,
    SPARE,
    Answer,
    ReceivedRequest,
    RestExchange,
    Scripted,
    silent,
)

SYMBOLS = [f"S{number}USDT" for number in range(10)]


def exchange_with(*symbols: str, **statuses: str) -> RestExchange:
    exchange = RestExchange()
    exchange.statuses = dict.fromkeys(symbols, "TRADING") | statuses
    return exchange


async def listed(exchange: RestExchange, symbols: Sequence[str]) -> Sequence[str]:
    """The first that the store receives."""
    async with listing(exchange, symbols) as store:
        with trio.fail_after(900):
            return (await received(store)).symbols


@asynccontextmanager
async def listing(
    exchange: RestExchange,
    symbols: Sequence[str],
    stored: Mapping[str, SymbolDetails] | None = None,
    intervals: Sequence[Interval] = (),
) -> AsyncIterator[Mailbox[StoreMessage]]:
    """The actor beside a store that has restored the details of symbols, and what that receives."""
    store = Mailbox[StoreMessage]("store", capacity=4)
    async with (
        exchange.client() as http,
        trio.open_nursery() as nursery,
    ):
        rest = RestClient(BINANCE, http, [MAIN], WeightBudget(6000))
        nursery.start_soon(
            partial(run_listing, SymbolTracker(symbols), store, rest, wall_clock=wall)
        )
        await answer_catalogue(store, stored or {}, intervals)
        yield store
        nursery.cancel_scope.cancel()


async def beside(one: Callable[[], Awaitable[None]], other: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        await other()


async def answer_catalogue(
    store: Mailbox[StoreMessage],
    stored: Mapping[str, SymbolDetails],
    intervals: Sequence[Interval] = (),
) -> None:
    question = await store.receive()
    assert isinstance(question, GetCatalogue)
    question.reply.set(Catalogue((), tuple(intervals), stored))


def wall() -> float:
    return 1000 + trio.current_time()


async def received(store: Mailbox[StoreMessage]) -> ListSymbols:
    message = await store.receive()
    assert isinstance(message, ListSymbols)
    return message


async def test_all_good_is_one_question(autojump_clock: MockClock) -> None:
    exchange = exchange_with(*SYMBOLS)
    assert await listed(exchange, SYMBOLS) == SYMBOLS
    assert len(exchange.requests) == 1


@pytest.mark.parametrize("bad", SYMBOLS)
async def test_bad_name_is_found_by_few_questions(bad: str, autojump_clock: MockClock) -> None:
    good = [symbol for symbol in SYMBOLS if symbol != bad]
    exchange = exchange_with(*good)
    assert await listed(exchange, SYMBOLS) == good
    assert len(exchange.requests) <= 1 + 2 * math.ceil(math.log2(len(SYMBOLS)))


async def test_symbols_that_do_not_trade_are_served_and_reported_as_halted(
    autojump_clock: MockClock,
) -> None:
    exchange = exchange_with("AUSDT", BUSDT="HALT", CUSDT="BREAK")
    async with listing(exchange, ["CUSDT", "BUSDT", "AUSDT", "NOUSDT"]) as store:
        message = await received(store)
    assert message.symbols == ["CUSDT", "BUSDT", "AUSDT"]
    assert {symbol: known.reason for symbol, known in message.details.items()} == {
        "AUSDT": None,
        "BUSDT": "the exchange has halted it (HALT)",
        "CUSDT": "the exchange has halted it (BREAK)",
        "NOUSDT": "the exchange does not list it",
    }


async def test_life_of_a_symbol(autojump_clock: MockClock) -> None:
    """Halted, trading within a minute, delisted, and back."""
    exchange = exchange_with("AUSDT", "BUSDT")
    async with listing(exchange, ["AUSDT", "BUSDT"]) as store:
        assert (await received(store)).details["BUSDT"].is_trading
        for status, state, most in [
            ("BREAK", SymbolState.HALTED, 61),
            ("TRADING", SymbolState.TRADING, 21),
            (None, SymbolState.DELISTED, 61),
            ("TRADING", SymbolState.TRADING, 400),
        ]:
            exchange.statuses = {"AUSDT": "TRADING"} | ({"BUSDT": status} if status else {})
            changed_at = trio.current_time()
            message = await received(store)
            assert message.details["BUSDT"].state is state
            assert message.details["BUSDT"].since == 1000 + trio.current_time()
            assert trio.current_time() - changed_at <= most
            assert message.symbols == ["AUSDT", "BUSDT"]


async def test_symbol_that_is_listed_later_is_served_from_then_on(
    autojump_clock: MockClock,
) -> None:
    exchange = exchange_with("AUSDT")
    async with listing(exchange, ["NEWUSDT", "AUSDT"]) as store:
        assert (await received(store)).symbols == ["AUSDT"]
        asked = len(exchange.requests)
        await trio.sleep(200)
        assert len(exchange.requests) - asked <= 4  # one a minute, for all that is listed
        exchange.statuses["NEWUSDT"] = "TRADING"
        with trio.fail_after(ABSENT_CHECK_INTERVAL + CHECK_INTERVAL):
            assert (await received(store)).symbols == ["NEWUSDT", "AUSDT"]


async def test_start_in_the_middle_of_maintenance(autojump_clock: MockClock) -> None:
    """All are halted: that is a state, not an exit; they trade again within a minute."""
    exchange = exchange_with(AUSDT="BREAK", BUSDT="BREAK")
    async with listing(exchange, ["AUSDT", "BUSDT"]) as store:
        assert (await received(store)).symbols == ["AUSDT", "BUSDT"]
        await trio.sleep(3600)
        exchange.statuses = dict.fromkeys(exchange.statuses, "TRADING")
        with trio.fail_after(HALTED_CHECK_INTERVAL + 1):
            assert all(known.is_trading for known in (await received(store)).details.values())


async def test_symbols_in_the_same_state_are_one_line(autojump_clock: MockClock) -> None:
    names = [f"A{number}USDT" for number in range(100)]
    with capture_logs() as logs:
        await listed(exchange_with(*names, S1USDT="BREAK"), [*names, "S0USDT", "S1USDT", "S2USDT"])
    found = {each["event"]: (each["count"], each["symbols"]) for each in logs}
    assert found == {
        "symbol_trades": (100, names[:20]),
        "symbol_left_out": (2, ["S0USDT", "S2USDT"]),
        "symbol_stopped": (1, ["S1USDT"]),
    }


async def test_configured_order_is_kept(autojump_clock: MockClock) -> None:
    exchange = exchange_with(*SYMBOLS)
    assert await listed(exchange, SYMBOLS[::-1]) == SYMBOLS[::-1]


@pytest.mark.parametrize("exchange", [exchange_with("OTHER")], ids=["no"])
@pytest.mark.parametrize("symbols", [["S0USDT"], SYMBOLS], ids=["one", "many"])
async def test_nothing_left_is_fatal_and_says_where_to_change_it(
    exchange: RestExchange, symbols: Sequence[str], autojump_clock: MockClock
) -> None:
    store = Mailbox[StoreMessage]("store", capacity=4)
    async with exchange.client() as http:
        rest = RestClient(BINANCE, http, [MAIN], WeightBudget(6000))
        run = partial(run_listing, SymbolTracker(symbols), store, rest)
        with pytest.raises(ExceptionGroup) as raised:
            await beside(run, partial(answer_catalogue, store, {}))
    assert raised.group_contains(NoSymbolLeft, match=r"S0USDT.*SMARTTRADE_SYMBOLS", depth=1)
    assert issubclass(NoSymbolLeft, Fatal)


async def test_symbol_that_was_delisted_while_no_process_ran_is_served(
    autojump_clock: MockClock,
) -> None:
    stored = {name: SymbolDetails("TRADING") for name in ("AUSDT", "BUSDT")}
    async with listing(exchange_with("AUSDT"), ["AUSDT", "BUSDT", "NOUSDT"], stored) as store:
        message = await received(store)
    assert message.symbols == ["AUSDT", "BUSDT"]
    assert {symbol: known.state for symbol, known in message.details.items()} == {
        "AUSDT": SymbolState.TRADING,
        "BUSDT": SymbolState.DELISTED,
        "NOUSDT": SymbolState.UNKNOWN,
    }


async def test_start_with_delisted_symbols_only_serves_what_is_stored(
    autojump_clock: MockClock,
) -> None:
    stored = {"AUSDT": SymbolDetails(None, state=SymbolState.DELISTED, since=5.0)}
    async with listing(exchange_with("OTHER"), ["AUSDT"], stored) as store:
        message = await received(store)
    assert message.symbols == ["AUSDT"]
    assert message.details["AUSDT"] == stored["AUSDT"]


async def test_exchange_that_cannot_be_asked_is_asked_again(autojump_clock: MockClock) -> None:
    """With growing pauses, for as long as it takes."""
    exchange = exchange_with(*SYMBOLS)
    exchange.latency = 0
    exchange.before = lambda asked: httpx.Response(502) if asked.at < 600 else None
    assert await listed(exchange, SYMBOLS) == SYMBOLS
    times = [asked.at for asked in exchange.requests]
    for number, (one, other) in enumerate(pairwise(times[:MAX_FAILURES]), start=1):
        longest = LISTING_BACKOFF.pause(number, 1.0)
        assert longest * (1 - LISTING_BACKOFF.jitter) <= round(other - one, 6) <= longest
    assert 600 <= times[-1] <= 600 + 2 * LISTING_BACKOFF.max_pause


async def test_silent_exchange_is_asked_again(autojump_clock: MockClock) -> None:
    exchange = exchange_with(*SYMBOLS)
    exchange.hosts["api.exchange.test"] = silent
    with trio.move_on_after(300):
        await listed(exchange, SYMBOLS)
    assert len(exchange.requests) >= 300 / (15 + LISTING_BACKOFF.max_pause)


@pytest.mark.parametrize("code", [-1000, -1001, -1003, -1008])
async def test_failure_inside_the_exchange_says_nothing_about_symbols(
    code: int, autojump_clock: MockClock
) -> None:
    """Source: errors.md, "10xx - General Server or Network issues"."""
    exchange = exchange_with(*SYMBOLS)
    failure = Scripted(httpx.Response(400, json={"code": code, "msg": "Please try again."}))
    exchange.hosts["api.exchange.test"] = failure
    async with trio.open_nursery() as nursery:

        async def recover() -> None:
            await trio.sleep(60)
            exchange.hosts.clear()

        nursery.start_soon(recover)
        assert await listed(exchange, SYMBOLS) == SYMBOLS


def failing_for(*bad: str) -> Callable[[ReceivedRequest], httpx.Response | None]:
    """A question about one of these symbols is answered by something before the exchange."""

    def answer(asked: ReceivedRequest) -> httpx.Response | None:
        is_bad = any(f'"{symbol}"' in asked.parameters.get("symbols", "") for symbol in bad)
        return httpx.Response(400, text="<html>Bad Request</html>") if is_bad else None

    return answer


@pytest.mark.parametrize("bad", SYMBOLS)
async def test_symbol_whose_question_fails_does_not_hide_the_others(
    bad: str, autojump_clock: MockClock
) -> None:
    good = [symbol for symbol in SYMBOLS if symbol != bad]
    exchange = exchange_with(*SYMBOLS)
    exchange.before = failing_for(bad)
    async with listing(exchange, SYMBOLS) as store:
        message = await received(store)
        assert message.symbols == good
        assert bad not in message.details
        assert len(exchange.requests) <= 1 + 2 * math.ceil(math.log2(len(SYMBOLS)))
        exchange.before = lambda _: None
        message = await received(store)
    assert message.symbols == SYMBOLS


async def test_symbol_whose_question_fails_later_stays_what_it_was(
    autojump_clock: MockClock,
) -> None:
    exchange = exchange_with(*SYMBOLS)
    async with listing(exchange, SYMBOLS) as store:
        await received(store)
        exchange.before = failing_for("S3USDT")
        exchange.statuses["S4USDT"] = "HALT"
        message = await received(store)
    assert message.symbols == SYMBOLS
    states = {symbol for symbol, known in message.details.items() if not known.is_trading}
    assert states == {"S4USDT"}


@pytest.mark.parametrize("count", [1, 10, 200, 1500])
async def test_failures_about_all_symbols_are_hardly_looked_into(
    count: int, autojump_clock: MockClock
) -> None:
    exchange = exchange_with()
    exchange.before = lambda _: httpx.Response(500)
    async with exchange.client() as http:
        rest = RestClient(BINANCE, http, [MAIN], WeightBudget(6000))
        with pytest.raises(ExchangeUnavailable):
            await symbol_statuses([f"S{number}USDT" for number in range(count)], rest)
    assert len(exchange.requests) <= MAX_FAILED_FIRST + MAX_QUESTIONS_AT_ONCE


@pytest.mark.parametrize(
    "bad",
    [["S0USDT", "S1USDT"], ["S0USDT", "S9USDT"], ["S1USDT", "S3USDT", "S6USDT", "S8USDT"]],
    ids=["same half", "both halves", "all quarters"],
)
async def test_several_whose_questions_fail_are_found_beside_those_that_are_answered(
    bad: list[str], autojump_clock: MockClock
) -> None:
    exchange = exchange_with(*SYMBOLS)
    exchange.before = failing_for(*bad)
    async with exchange.client() as http:
        rest = RestClient(BINANCE, http, [MAIN], WeightBudget(6000))
        found = await symbol_statuses(SYMBOLS, rest)
    assert [symbol for symbol in SYMBOLS if found[symbol] is NOT_ANSWERED] == bad


async def test_bad_symbols_in_both_halves_do_not_stop_the_first_listing(
    autojump_clock: MockClock,
) -> None:
    exchange = exchange_with(*SYMBOLS)
    exchange.before = failing_for("S2USDT", "S7USDT")
    assert await listed(exchange, SYMBOLS) == [
        symbol for symbol in SYMBOLS if symbol not in ("S2USDT", "S7USDT")
    ]


async def test_search_for_bad_symbols_goes_on_in_the_next_look_when_each_question_takes_long(
    autojump_clock: MockClock,
) -> None:
    symbols = [f"S{number:03}USDT" for number in range(200)]
    exchange = exchange_with()
    bad = symbols[::40]
    exchange.hosts["api.exchange.test"] = slow_for(*bad)
    left: set[str] = set()
    sizes: list[int] = []
    async with exchange.client() as http:
        rest = RestClient(BINANCE, http, [MAIN], WeightBudget(10**6))
        for _ in range(8):
            exchange.requests.clear()
            with trio.fail_after(SEARCH_TIMEOUT + 30):
                found = await symbol_statuses(symbols, rest, left)
            assert len(exchange.requests) <= 40
            left = {symbol for symbol in symbols if found[symbol] is NOT_ANSWERED}
            sizes.append(len(left))
    assert sizes[0] <= 125
    assert sizes == sorted(sizes, reverse=True)
    assert left == set(bad)


async def test_search_in_which_nothing_is_answered_in_time_has_failed(
    autojump_clock: MockClock,
) -> None:
    """Two hosts, of which each takes long for each question."""
    exchange = exchange_with()
    for url in (MAIN, SPARE):
        exchange.hosts[httpx.URL(url).host] = slow_for(*SYMBOLS)
    async with exchange.client() as http:
        rest = RestClient(BINANCE, http, [MAIN, SPARE], WeightBudget(10**6))
        with trio.fail_after(2 * SEARCH_TIMEOUT), pytest.raises(ExchangeUnavailable):
            await symbol_statuses(SYMBOLS, rest)


def slow_for(*bad: str) -> Answer:
    """Questions about one of these symbols fail after 14 seconds."""

    async def answer(raw: httpx.Request) -> httpx.Response:
        symbols = json.loads(raw.url.params["symbols"])
        if any(symbol in bad for symbol in symbols):
            await trio.sleep(14)
            return httpx.Response(400, text="<html>Bad Request</html>")
        found = [{"symbol": symbol, "status": "TRADING"} for symbol in symbols]
        return httpx.Response(200, json={"symbols": found})

    return answer


async def test_so_many_symbols_that_no_url_holds_them(autojump_clock: MockClock) -> None:
    """Many servers take no more than 8 KB of request line."""
    symbols = [f"SYMBOL{number:04}USDT" for number in range(1500)]
    exchange = exchange_with(*symbols)
    long = httpx.Response(414)
    exchange.before = lambda asked: long if len(asked.parameters["symbols"]) > 4096 else None
    assert await listed(exchange, symbols) == symbols
    assert len(exchange.requests) <= 16


@settings(max_examples=40)
@given(st.sets(st.integers(0, 40)), st.integers(0, 40))
def test_every_known_symbol_and_no_other_is_found(known: set[int], count: int) -> None:
    symbols = [f"S{number}" for number in range(count)]
    exchange = exchange_with(*(f"S{number}" for number in known))

    async def ask() -> None:
        async with exchange.client() as http:
            rest = RestClient(BINANCE, http, [MAIN], WeightBudget(10**7))
            found = await symbol_statuses(symbols, rest)
        assert set(found) == set(symbols) & set(exchange.statuses)

    trio.run(ask, clock=MockClock(autojump_threshold=0))


async def test_refused_symbols_are_asked_about_side_by_side_and_all_in_turn(
    autojump_clock: MockClock,
) -> None:
    """Each question takes as long as it may; one of the last begins to be answered."""
    symbols = [f"S{number:02}USDT" for number in range(12)]
    exchange = exchange_with(*symbols)
    for symbol in symbols:
        exchange.have(Series(symbol, Interval.MINUTE_1), 0, 60_000)
    exchange.latency = 14.0
    exchange.before = lambda asked: (
        httpx.Response(500)
        if asked.path.endswith("klines") and asked.series.symbol != "S11USDT"
        else None
    )
    refused = {s: SymbolDetails("TRADING", state=SymbolState.REFUSED) for s in symbols}
    async with listing(exchange, symbols, refused, (Interval.MINUTE_1,)) as store:
        with trio.fail_after(130):
            states: dict[str, SymbolState] = {}
            while states.get("S11USDT") is not SymbolState.TRADING:
                states = {s: d.state for s, d in (await received(store)).details.items()}
    assert states == dict.fromkeys(symbols[:-1], SymbolState.REFUSED) | {
        "S11USDT": SymbolState.TRADING
    }
    assert exchange.max_concurrent <= MAX_PROBED_AT_ONCE
    asked = [each for each in exchange.requests if each.path.endswith("klines")]
    assert {each.series.symbol for each in asked} == set(symbols)
