from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import structlog
import trio
from trio.testing import MockClock

from smarttrade.binance.venue import BINANCE
from smarttrade.feed.errors import ExchangeBusy, ExchangeRefused, ExchangeUnavailable
from smarttrade.feed.network import CONNECTIONS, Network
from smarttrade.feed.rest import REQUEST_TIMEOUT, RestClient
from smarttrade.feed.venue import SymbolStatus
from smarttrade.feed.weight import Purpose, WeightBudget
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from tests.fakes.exchange_rest import (
    LONG_AFTER,
    MAIN,
    SPARE,
    Answer,
    RestExchange,
    Scripted,
    dripping,
    silent,
)

BTC = Series("BTCUSDT", Interval.MINUTE_1)
MINUTE = 60_000
MAIN_HOST, SPARE_HOST = "api.exchange.test", "data.exchange.test"


def exchange_with_history(candles: int = 3) -> RestExchange:
    exchange = RestExchange()
    exchange.have(BTC, 0, (candles - 1) * MINUTE)
    return exchange


def read(exchange: RestExchange) -> list[Candle]:
    """The history of BTC as the client returns it."""
    return [candle._replace(event_time=LONG_AFTER) for candle in exchange.history[BTC]]


@asynccontextmanager
async def asking(
    exchange: RestExchange, *endpoints: str, ceiling: int = 3000
) -> AsyncIterator[RestClient]:
    async with exchange.client() as http:
        with trio.fail_after(4 * 86_400):
            rest = RestClient(
                BINANCE, http, endpoints or (MAIN, SPARE), WeightBudget(6000, ceiling)
            )
            rest.clock.learn(LONG_AFTER, trio.current_time())
            yield rest


def hosts(exchange: RestExchange) -> list[str]:
    return [asked.host for asked in exchange.requests]


def error(code: int, message: str = "") -> httpx.Response:
    return httpx.Response(400, json={"code": code, "msg": message})


# What is asked


async def test_newest_klines(autojump_clock: MockClock) -> None:
    exchange = exchange_with_history(3)
    async with asking(exchange) as rest:
        candles = await rest.klines(BTC)
    assert candles == read(exchange)
    [asked] = exchange.requests
    assert (asked.host, asked.path) == (MAIN_HOST, "/api/v3/klines")
    assert asked.parameters == {"symbol": "BTCUSDT", "interval": "1m", "limit": "1000"}


async def test_klines_of_a_range(autojump_clock: MockClock) -> None:
    exchange = exchange_with_history(10)
    async with asking(exchange) as rest:
        candles = await rest.klines(BTC, first=0, last=MINUTE, limit=5, as_of=LONG_AFTER + 7)
    assert [c.open_time for c in candles] == [0, MINUTE]
    assert {c.event_time for c in candles} == {LONG_AFTER + 7}
    [asked] = exchange.requests
    assert (asked.range, asked.parameters["limit"]) == ((0, MINUTE), "5")


async def test_rows_are_no_older_than_what_the_exchange_has_reported_of_its_time(
    autojump_clock: MockClock,
) -> None:
    """Events from before that do not replace them."""
    async with asking(exchange_with_history()) as rest:
        candles = await rest.klines(BTC, as_of=7)
    assert {c.event_time for c in candles} == {LONG_AFTER}


async def test_statuses_of_several_symbols(autojump_clock: MockClock) -> None:
    exchange = RestExchange()
    exchange.statuses = {"BTCUSDT": "TRADING", "LUNABTC": "HALT", "ETHUSDT": "TRADING"}
    async with asking(exchange) as rest:
        assert await rest.symbol_statuses(["BTCUSDT", "LUNABTC"]) == {
            "BTCUSDT": SymbolStatus("TRADING", is_trading=True),
            "LUNABTC": SymbolStatus("HALT", is_trading=False),
        }
    [asked] = exchange.requests
    assert (asked.path, asked.parameters["symbols"]) == (
        "/api/v3/exchangeInfo",
        '["BTCUSDT","LUNABTC"]',
    )


async def test_slash_at_the_end_of_an_endpoint_is_no_matter(autojump_clock: MockClock) -> None:
    exchange = exchange_with_history()
    async with asking(exchange, MAIN + "/") as rest:
        await rest.klines(BTC)
    assert exchange.requests[0].path == "/api/v3/klines"


# Which endpoint is asked

FAILURES: dict[str, Answer] = {
    "restricted place": Scripted(httpx.Response(451, text="Service unavailable from a ...")),
    "firewall": Scripted(httpx.Response(403, text="<html>")),
    "their fault": Scripted(httpx.Response(502, text="Bad gateway")),
    "not found": Scripted(httpx.Response(404)),
    "redirect": Scripted(httpx.Response(302, headers={"Location": "https://elsewhere.test"})),
    "no connection": Scripted(httpx.ConnectError("refused")),
    "no connection in time": Scripted(httpx.ConnectTimeout("")),
    "no answer in time": Scripted(httpx.ReadTimeout("")),
    "no free connection": Scripted(httpx.PoolTimeout("")),
    "half an answer": Scripted(httpx.RemoteProtocolError("closed")),
    "reset": Scripted(OSError("reset by peer")),
    "bad compression": Scripted(httpx.DecodingError("")),
    "silent": silent,
    "dripping": dripping,
    "another server's page": Scripted(httpx.Response(200, text="<html>Log in, please</html>")),
    "another server's JSON": Scripted(httpx.Response(200, json={"ok": True})),
    "nothing": Scripted(httpx.Response(200)),
    "rows in disorder": Scripted(
        httpx.Response(200, json=[[t, "1", "1", "1", "1", "1", 0] for t in (60000, 0)])
    ),
    "another server's 400": Scripted(httpx.Response(400, text="Bad request")),
    "failure inside": Scripted(error(-1001, "Internal error; unable to process your request.")),
    "overload": Scripted(error(-1008, "Server is currently overloaded with other requests.")),
}
failing = pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())


@failing
async def test_other_endpoint_is_asked_when_one_fails(
    failure: Answer, autojump_clock: MockClock
) -> None:
    """And it stays with the one that answered."""
    exchange = exchange_with_history()
    exchange.hosts[MAIN_HOST] = failure
    async with asking(exchange) as rest:
        assert await rest.klines(BTC) == await rest.klines(BTC) == read(exchange)
        assert rest.endpoint == SPARE
    assert hosts(exchange) == [MAIN_HOST, SPARE_HOST, SPARE_HOST]
    assert rest.budget.returned == rest.budget.spent == 6


@failing
async def test_error_when_no_endpoint_answers(failure: Answer, autojump_clock: MockClock) -> None:
    """Each is asked once, and nothing takes longer than its limit."""
    exchange = exchange_with_history()
    exchange.hosts = {MAIN_HOST: failure, SPARE_HOST: failure}
    async with asking(exchange) as rest:
        with pytest.raises(ExchangeUnavailable):
            await rest.klines(BTC)
        assert trio.current_time() <= 2 * REQUEST_TIMEOUT
    assert hosts(exchange) == [MAIN_HOST, SPARE_HOST]
    assert rest.requests == 2
    assert rest.budget.returned == rest.budget.spent == 4


@pytest.mark.parametrize("slow", [silent, dripping])
async def test_request_is_limited_as_a_whole(slow: Answer, autojump_clock: MockClock) -> None:
    exchange = RestExchange()
    exchange.hosts[MAIN_HOST] = slow
    async with asking(exchange, MAIN) as rest:
        with pytest.raises(ExchangeUnavailable, match=f"no answer in {REQUEST_TIMEOUT:.0f} s"):
            await rest.klines(BTC)
    assert trio.current_time() == REQUEST_TIMEOUT


@pytest.mark.parametrize(
    ("status", "hint"),
    [(451, "data-api.binance.vision in BINANCE_REST_URL"), (403, "BINANCE_REST_URL")],
)
async def test_refusal_of_a_place_comes_with_a_hint(
    status: int, hint: str, autojump_clock: MockClock
) -> None:
    exchange = RestExchange()
    exchange.hosts[MAIN_HOST] = Scripted(httpx.Response(status))
    async with asking(exchange, MAIN) as rest:
        with pytest.raises(ExchangeUnavailable, match=f"{MAIN}.* answers {status}.*{hint}"):
            await rest.klines(BTC)


async def test_many_requests_at_once_all_find_the_endpoint_that_answers(
    autojump_clock: MockClock,
) -> None:
    exchange = exchange_with_history()
    exchange.hosts[MAIN_HOST] = Scripted(httpx.Response(451))
    answers = []

    async def ask(rest: RestClient) -> None:
        answers.append(await rest.klines(BTC))

    async with asking(exchange) as rest:
        async with trio.open_nursery() as nursery:
            for _ in range(CONNECTIONS):
                nursery.start_soon(ask, rest)
        assert rest.endpoint == SPARE
    assert len(answers) == CONNECTIONS
    assert hosts(exchange).count(MAIN_HOST) == hosts(exchange).count(SPARE_HOST) == CONNECTIONS


async def test_first_endpoint_is_asked_again_when_the_spare_one_fails(
    autojump_clock: MockClock,
) -> None:
    exchange = exchange_with_history()
    exchange.hosts[MAIN_HOST] = Scripted(httpx.ConnectError("refused"))
    async with asking(exchange) as rest:
        await rest.klines(BTC)
        exchange.hosts = {SPARE_HOST: silent}
        await rest.klines(BTC)
        assert rest.endpoint == MAIN
    assert hosts(exchange) == [MAIN_HOST, SPARE_HOST, SPARE_HOST, MAIN_HOST]


# What the exchange refuses


async def test_unknown_symbol_is_refused_and_asked_nowhere_else(autojump_clock: MockClock) -> None:
    exchange = exchange_with_history()
    async with asking(exchange) as rest:
        with pytest.raises(ExchangeRefused, match="Invalid symbol") as refused:
            await rest.klines(Series("NONSENSE", Interval.MINUTE_1))
        assert refused.value.code == -1121
        with pytest.raises(ExchangeRefused):
            await rest.symbol_statuses(["BTCUSDT", "NONSENSE"])
    assert hosts(exchange) == [MAIN_HOST, MAIN_HOST]


async def test_endpoint_that_refused_has_answered(autojump_clock: MockClock) -> None:
    exchange = exchange_with_history()
    exchange.hosts[MAIN_HOST] = Scripted(httpx.Response(451))
    async with asking(exchange) as rest:
        with pytest.raises(ExchangeRefused):
            await rest.symbol_statuses(["NONSENSE"])
        assert rest.endpoint == SPARE


# Limits


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "7"}, 7.0),
        (418, {"Retry-After": "120"}, 120.0),
        (429, {}, 60.0),
        (429, {"Retry-After": "soon"}, 60.0),
        (429, {"Retry-After": "999999999"}, 600.0),
        (418, {"Retry-After": "9" * 5000}, 300.0),
        (418, {"Retry-After": "999999999"}, 3 * 86_400.0),
    ],
    ids=[
        "429",
        "418",
        "429 that does not say",
        "429 with words",
        "429 for years",
        "418 with too many digits",
        "418 for years",
    ],
)
async def test_limit_of_the_exchange_stops_every_request_until_it_is_over(
    status: int, headers: dict[str, str], seconds: float, autojump_clock: MockClock
) -> None:
    """Limits are per address: no other host is asked meanwhile either, and then one request first."""
    exchange = exchange_with_history()
    limited = httpx.Response(status, headers=headers, json={"code": -1003, "msg": "Too much"})
    exchange.before = lambda asked: limited if len(exchange.requests) == 1 else None
    async with asking(exchange) as rest:
        with pytest.raises(ExchangeBusy):
            await rest.klines(BTC)
        assert trio.current_time() == exchange.latency
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(rest.klines, BTC)
    assert hosts(exchange) == [MAIN_HOST] * 4
    over = exchange.latency + seconds
    assert [asked.at for asked in exchange.requests[:2]] == [0.0, over]
    assert all(over < asked.at < over + 1 for asked in exchange.requests[2:])
    assert rest.hosts.limited == 1


async def test_requests_wait_for_the_weight_budget(autojump_clock: MockClock) -> None:
    exchange = exchange_with_history()
    async with asking(exchange, ceiling=8) as rest:
        for _ in range(3):
            await rest.klines(BTC)
    assert [round(asked.at, 1) for asked in exchange.requests] == [0.0, 0.1, 60.1]


@pytest.mark.parametrize(("used", "lines"), [(4000, 0), (4500, 2)])
async def test_weight_that_others_use_is_logged_now_and_then(
    autojump_clock: MockClock, used: int, lines: int
) -> None:
    """With half of 6000 for us: above 4200 they leave less than start, gaps and audit need."""
    exchange = exchange_with_history()
    exchange.hosts[MAIN_HOST] = Scripted(
        httpx.Response(200, headers={"X-MBX-USED-WEIGHT-1M": str(used)}, json=[])
    )
    with structlog.testing.capture_logs() as logs:
        async with asking(exchange) as rest:
            for _ in range(13):  # 12 minutes
                await rest.klines(BTC)
                await trio.sleep(60)
    logged = [each for each in logs if each["event"] == "exchange_weight_used_by_others"]
    assert len(logged) == lines
    assert all(used - 10 < each["others"] <= used for each in logged)


@pytest.mark.parametrize("used", ["", "x", "-1", "1.5", pytest.param("9" * 5000, id="digits")])
async def test_nonsense_about_used_weight_is_no_matter(
    used: str, autojump_clock: MockClock
) -> None:
    exchange = exchange_with_history()
    exchange.hosts[MAIN_HOST] = Scripted(
        httpx.Response(200, headers={"X-MBX-USED-WEIGHT-1M": used}, json=[])
    )
    async with asking(exchange) as rest:
        assert await rest.klines(BTC) == []
        assert rest.budget.used == 2


@pytest.mark.parametrize("behaviour", [silent, dripping])
async def test_cancelled_request_leaves_no_weight_under_way(
    behaviour: Answer, autojump_clock: MockClock
) -> None:
    exchange = RestExchange()
    exchange.hosts[MAIN_HOST] = behaviour
    async with asking(exchange) as rest:
        with trio.move_on_after(1) as patience:
            await rest.klines(BTC)
        assert patience.cancelled_caught
        assert trio.current_time() == 1
        assert rest.budget.returned == rest.budget.spent == 2
        await trio.sleep(61)
        rest.budget.reserve(1, Purpose.GAP, trio.current_time())
        assert rest.budget.used == 1


async def test_request_cancelled_while_it_waits_for_the_budget_takes_nothing(
    autojump_clock: MockClock,
) -> None:
    exchange = exchange_with_history()
    async with asking(exchange) as rest:
        rest.budget.reserve(3000, Purpose.GAP, 0)
        with trio.move_on_after(1):
            await rest.klines(BTC)
    assert exchange.requests == []
    assert rest.budget.spent == 3000


# The real client, over loopback and in real time


async def serving(answer: Callable[[str], bytes], *, task_status: trio.TaskStatus[str]) -> None:
    """Answers each request for a target with raw bytes, on connections that are kept."""

    async def handle(stream: trio.SocketStream) -> None:
        while request := await stream.receive_some():
            await stream.send_all(answer(request.split()[1].decode()))

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    task_status.started(f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
    await trio.serve_listeners(handle, [listener])


async def test_over_the_network(nursery: trio.Nursery) -> None:
    targets = []

    def answer(target: str) -> bytes:
        targets.append(target)
        body = json.dumps([[0, "1", "2", "0.5", "1.5", "10", 59999]]).encode()
        head = f"HTTP/1.1 200 OK\r\nX-MBX-USED-WEIGHT-1M: 40\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    url = await nursery.start(partial(serving, answer))
    with trio.fail_after(5):
        async with Network.direct().http_client() as http:
            rest = RestClient(BINANCE, http, ["http://127.0.0.1:1", url], WeightBudget(6000))
            [candle] = await rest.klines(BTC, first=0, last=0)
    assert candle[:6] == (0, 1.0, 2.0, 0.5, 1.5, 10.0)
    assert rest.budget.used == 40
    [target] = targets
    assert parse_qs(urlsplit(target).query)["startTime"] == ["0"]
    nursery.cancel_scope.cancel()


async def test_garbage_over_the_network(nursery: trio.Nursery) -> None:
    for raw in (
        b"\x00\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[",
        b"SSH-2.0\n",
    ):
        broken: Awaitable[str] = nursery.start(partial(closing, raw))
        url = await broken
        with trio.fail_after(5):
            async with Network.direct().http_client() as http:
                with pytest.raises(ExchangeUnavailable):
                    await RestClient(BINANCE, http, [url], WeightBudget(6000)).klines(BTC)
    nursery.cancel_scope.cancel()


async def closing(raw: bytes, *, task_status: trio.TaskStatus[str]) -> None:
    """Says something, and closes."""

    async def handle(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(raw)

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    task_status.started(f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
    await trio.serve_listeners(handle, [listener])
