"""What operators and front ends can read about the service: `/ready`, `/streaming/status`, `/system`."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from actors import ActorInfo, State
from smarttrade.market.interval import Interval
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.market.window_state import WindowState
from smarttrade.store.feed import Feed
from smarttrade.store.messages import AdoptCatalogue, AdoptWindows, ListSymbols, RestoreWindows
from tests.fakes.candles import BTC, ETH, at, candle, rows
from tests.smarttrade.web.backend import WALL, Backend, backend

MINUTES = [Interval.MINUTE_1]


async def not_ready(server: Backend) -> dict[str, Any]:
    answer = await server.get("/ready")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    document: dict[str, Any] = answer.json()
    assert document["code"] == "not_ready"
    return document


def named(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["symbol"], one["interval"]) for one in document["series"]]


# /ready


async def test_ready_when_every_series_is_whole_and_the_feed_is_live() -> None:
    async with backend(intervals=MINUTES) as server:
        for series in (BTC, ETH):
            await server.history(series, rows(0, 9))
            await server.live(series, candle(9, closed=False))
        await server.feed(Feed.LIVE)
        answer = await server.get("/ready")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"


async def test_not_ready_names_the_series_without_history() -> None:
    async with backend(intervals=MINUTES) as server:
        await server.feed(Feed.LIVE)
        await server.history(BTC, rows(0, 9))
        document = await not_ready(server)
    assert named(document) == [("ETHUSDT", "1m")]
    assert "history" in document["series"][0]["reason"]
    assert "1 of 2" in document["detail"]
    assert document["feed"] == "live"


async def test_not_ready_names_twenty_series_and_says_how_many_more_there_are() -> None:
    symbols = [f"S{number}USDT" for number in range(25)]
    async with backend(symbols=symbols, intervals=MINUTES) as server:
        document = await not_ready(server)
        traffic = (await server.get("/ready?for=traffic")).json()
    assert named(document) == [(symbol, "1m") for symbol in symbols[:20]]
    assert document["more"] == 5
    assert document["detail"].endswith("25 of 25 series are not ready")
    assert (named(traffic), traffic["more"]) == (named(document), 5)


async def test_not_ready_names_the_series_with_a_gap() -> None:
    async with backend(intervals=MINUTES) as server:
        await server.feed(Feed.LIVE)
        for series in (BTC, ETH):
            await server.history(series, rows(0, 9))
        await server.live(BTC, candle(12, closed=False))
        document = await not_ready(server)
        await server.history(BTC, rows(9, 12), first=at(9))
        await server.live(ETH, candle(9), candle(10), candle(11), candle(12, closed=False))
        filled = await server.get("/ready")
    reasons = {one["symbol"]: one["reason"] for one in document["series"]}
    assert "missing" in reasons["BTCUSDT"]
    assert filled.status_code == 200


async def test_not_ready_names_the_series_that_fell_behind_the_others() -> None:
    """Time is the exchange's: an event of one symbol says how late another is."""
    async with backend(intervals=MINUTES) as server:
        await server.feed(Feed.LIVE)
        for series in (BTC, ETH):
            await server.history(series, rows(0, 9, closed=True))
        await server.live(BTC, candle(10, closed=False, event=5))
        assert (await server.get("/ready")).status_code == 200
        await server.live(BTC, candle(10, closed=False, event=20))
        document = await not_ready(server)
    assert named(document) == [("ETHUSDT", "1m")]
    assert "nothing later" in document["series"][0]["reason"]


@pytest.mark.parametrize("feed", [Feed.DOWN, Feed.STALE])
async def test_not_ready_while_the_feed_is_not_live(feed: Feed) -> None:
    async with backend(symbols=["BTCUSDT"], intervals=MINUTES) as server:
        await server.history(BTC, rows(0, 9))
        await server.feed(feed)
        document = await not_ready(server)
        await server.feed(Feed.LIVE)
        again = await server.get("/ready")
    assert document["series"] == []
    assert document["feed"] == feed.value
    assert f"stream is {feed.value}" in document["detail"]
    assert again.status_code == 200


async def test_not_ready_when_stopping_and_still_alive() -> None:
    """A connection that is in use when the stop begins may still ask."""
    async with backend(symbols=["BTCUSDT"], intervals=MINUTES) as server:
        await server.history(BTC, rows(0, 9))
        await server.feed(Feed.LIVE)
        stream = await server.listener.connect()
        await stream.send_all(b"GET /ready HTTP/1.1\r\nHost: test\r\n")  # its end is missing yet
        await server.settle()
        server.draining.set()
        await stream.send_all(b"\r\n")
        await server.settle()
        answer = await stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"shutting down" in answer


async def test_ready_knows_only_what_the_exchange_lists() -> None:
    async with backend(intervals=MINUTES) as server:
        await server.feed(Feed.LIVE)
        await server.history(BTC, rows(0, 9))
        assert named(await not_ready(server)) == [("ETHUSDT", "1m")]
        await server.tell(ListSymbols(["BTCUSDT"]))
        assert (await server.get("/ready")).status_code == 200
        assert (await server.get("/symbols")).json() == {"symbols": ["BTCUSDT"]}


async def test_store_that_does_not_answer_is_not_ready_but_alive(autojump_clock: MockClock) -> None:
    async with backend(is_store_running=False) as server:
        ready = await server.get("/ready")
        health = await server.get("/health")
        system = await server.get("/system")
    assert ready.status_code == 503
    assert (health.status_code, health.content) == (200, b'{"status":"ok"}')
    assert system.status_code == 200


# /streaming/status


async def test_status_has_one_entry_a_series_in_the_configured_order() -> None:
    intervals = [Interval.HOUR_1, Interval.MINUTE_1]
    async with backend(symbols=["ETHUSDT", "BTCUSDT"], intervals=intervals) as server:
        status = (await server.get("/streaming/status")).json()
    assert status["symbols"] == ["ETHUSDT", "BTCUSDT"]
    assert named({"series": status["per_symbol"]}) == [
        ("ETHUSDT", "1h"),
        ("ETHUSDT", "1m"),
        ("BTCUSDT", "1h"),
        ("BTCUSDT", "1m"),
    ]


async def test_status_finds_series_by_their_names() -> None:
    intervals = [Interval.MINUTE_1, Interval.HOUR_1, Interval.MONTH_1]
    async with backend(symbols=["BTCUSDT", "ETHUSDT", "ETHBTC"], intervals=intervals) as server:
        found = {
            search: await status_of(server, search=search)
            for search in ("btc", "btc eth", "1M", "eth 1h", "1m 1h usdt", "1s", "none")
        }
    assert found["btc"][0] == [
        *(("BTCUSDT", interval) for interval in ("1m", "1h", "1M")),
        *(("ETHBTC", interval) for interval in ("1m", "1h", "1M")),
    ]
    assert found["btc eth"][0] == [("ETHBTC", interval) for interval in ("1m", "1h", "1M")]
    assert found["1M"][0] == [(symbol, "1M") for symbol in ("BTCUSDT", "ETHUSDT", "ETHBTC")]
    assert found["eth 1h"][0] == [("ETHUSDT", "1h"), ("ETHBTC", "1h")]
    assert [interval for _, interval in found["1m 1h usdt"][0]] == ["1m", "1h"] * 2
    assert found["1s"] == ([], 0)
    assert found["none"] == ([], 0)


async def test_shard_of_each_series_is_told_only_if_there_are_several() -> None:
    async with backend(shards=2) as server:
        status = (await server.get("/streaming/status")).json()
    shards = {each["symbol"]: each["shard"] for each in status["per_symbol"]}
    assert (shards["BTCUSDT"], shards["ETHUSDT"]) == (1, 0)
    async with backend() as server:
        status = (await server.get("/streaming/status")).json()
    assert not any("shard" in each for each in status["per_symbol"])


async def status_of(server: Backend, **query: Any) -> tuple[list[tuple[str, str]], int]:
    """The series of one page, and how many match in all."""
    status = (await server.get("/streaming/status", params=query)).json()
    assert status["series"] == len(status["symbols"]) * 3
    return named({"series": status["per_symbol"]}), status["matching"]


async def test_status_gives_a_page_of_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smarttrade.web.streaming_status.SERIES_PER_QUESTION", 2)
    intervals = [Interval.MINUTE_1, Interval.HOUR_1, Interval.DAY_1]
    async with backend(symbols=["BTCUSDT", "ETHUSDT"], intervals=intervals) as server:
        whole, _ = await status_of(server)
        pages = [await status_of(server, offset=offset, limit=4) for offset in (0, 4, 8)]
        counts = await status_of(server, limit=0)
        wrong = await server.get("/streaming/status?limit=-1")
    assert len(set(whole)) == 6
    assert pages == [(whole[:4], 6), (whole[4:], 6), ([], 6)]
    assert counts == ([], 6)
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_limit")


async def test_status_gives_only_what_is_not_ready() -> None:
    intervals = [Interval.MINUTE_1, Interval.HOUR_1, Interval.DAY_1]
    async with backend(symbols=["BTCUSDT", "ETHUSDT"], intervals=intervals) as server:
        await server.history(ETH, rows(0, 9))
        await server.live(ETH, candle(9), candle(12, closed=False))
        await server.history(BTC, rows(0, 12))
        page = await status_of(server, not_ready=1, offset=1, limit=2)
        one = await status_of(server, not_ready=1, search="eth 1m")
        status = (await server.get("/streaming/status?not_ready=1")).json()
    assert page == ([("BTCUSDT", "1d"), ("ETHUSDT", "1m")], 5)
    assert one == ([("ETHUSDT", "1m")], 1)
    assert status["not_ready"] == 5


async def test_status_of_a_series_has_its_newest_candle() -> None:
    async with backend(symbols=["BTCUSDT"], intervals=MINUTES) as server:
        await server.history(BTC, rows(0, 9, closed=True))
        await server.live(BTC, candle(10, closed=False, close=98.5))
        status = (await server.get("/streaming/status")).json()
    (entry,) = status["per_symbol"]
    contract = {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "count": 11,
        "last_candle_time": at(10) // 1000,
        "last_open": 100.0,
        "last_high": 100.0,
        "last_low": 98.5,
        "last_close": 98.5,
    }
    assert {name: entry[name] for name in contract} == contract
    assert (entry["closed"], entry["status"]) == (False, "ok")
    assert 0 <= entry["age"] < 1
    assert status["age"] == entry["age"]
    assert (entry["gaps"], entry["gaps_unfilled"], status["gaps_unfilled"]) == (0, 0, 0)
    assert status["last_store_update_ts"] == WALL


async def test_status_before_there_is_anything_has_no_prices() -> None:
    async with backend(symbols=["BTCUSDT"], intervals=MINUTES) as server:
        answer = await server.get("/streaming/status")
    status = answer.json()
    (entry,) = status["per_symbol"]
    assert entry["count"] == 0
    for name in ("last_candle_time", "last_open", "last_high", "last_low", "last_close"):
        assert entry[name] is None
    assert status["last_store_update_ts"] is None
    assert status["feed"] == "down"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_status_has_the_time_of_the_feeds_last_change() -> None:
    async with backend() as server:
        await server.feed(Feed.STALE)
        status = (await server.get("/streaming/status")).json()
    assert (status["feed"], status["feed_since"]) == ("stale", WALL)


# /system


async def test_system_is_the_tree() -> None:
    store = ActorInfo(
        "store",
        State.PAUSING,
        restarts=2,
        last_error="ValueError: no",
        mailbox_depth=3,
        mailbox_capacity=1024,
        handled=17,
    )
    tree = ActorInfo("service", State.RUNNING, children=(store, ActorInfo("web", State.RUNNING)))
    async with backend(tree=tree) as server:
        report = (await server.get("/system")).json()
    nothing: dict[str, Any] = {
        "restarts": 0,
        "last_error": None,
        "mailbox_depth": None,
        "mailbox_capacity": None,
        "handled": None,
        "children": [],
    }
    for name in set(report) - {"name", "state", "children", *nothing}:
        del report[name]  # what else there is to know
    assert report == {
        **nothing,
        "name": "service",
        "state": "running",
        "children": [
            {
                "name": "store",
                "state": "pausing",
                "restarts": 2,
                "last_error": "ValueError: no",
                "mailbox_depth": 3,
                "mailbox_capacity": 1024,
                "handled": 17,
                "children": [],
            },
            {**nothing, "name": "web", "state": "running"},
        ],
    }


async def test_series_is_named_as_it_is_configured() -> None:
    async with backend(symbols=["BTCUSDT"], intervals=[Interval.MONTH_1]) as server:
        await server.feed(Feed.LIVE)
        document = await not_ready(server)
    assert named(document) == [("BTCUSDT", "1M")]


# for=traffic


async def test_ready_for_traffic_while_candles_can_be_served_though_stale() -> None:
    async with backend(intervals=MINUTES) as server:
        await server.history(BTC, rows(0, 9))
        loading = await server.get("/ready?for=traffic")
        await server.history(ETH, rows(0, 9))
        await server.live(BTC, candle(12, closed=False))
        await server.feed(Feed.DOWN)
        serving = await server.get("/ready?for=traffic")
        strict = await server.get("/ready")
        unknown = await server.get("/ready?for=fun")
    assert loading.status_code == 503
    assert named(loading.json()) == [("ETHUSDT", "1m")]
    assert (serving.status_code, serving.json()["status"]) == (200, "ready")
    assert strict.status_code == 503
    assert (unknown.status_code, unknown.json()["code"]) == (400, "bad_for")


async def test_ready_for_traffic_a_minute_after_the_first_history_though_others_have_none(
    autojump_clock: MockClock,
) -> None:
    """A symbol whose klines the exchange refuses keeps no load balancer from the others."""
    async with backend(intervals=MINUTES) as server:
        await trio.sleep(100)
        nothing = await server.get("/ready?for=traffic")
        await server.history(BTC, rows(0, 9))
        await trio.sleep(60)
        early = await server.get("/ready?for=traffic")
        await trio.sleep(0.01)
        late = await server.get("/ready?for=traffic")
        strict = await server.get("/ready")
    assert nothing.status_code == 503
    assert early.status_code == 503
    assert named(early.json()) == [("ETHUSDT", "1m")]
    assert late.status_code == 200
    assert strict.status_code == 503


async def test_ready_for_traffic_at_once_when_what_was_stored_is_whole() -> None:
    windows = [(series, WindowState(tuple(rows(0, 9)))) for series in (BTC, ETH)]
    async with backend(intervals=MINUTES) as server:
        await server.tell(RestoreWindows(windows, ["BTCUSDT", "ETHUSDT"]))
        assert (await server.get("/ready?for=traffic")).status_code == 200


async def test_ready_for_traffic_a_minute_after_a_gateway_could_serve_some(
    autojump_clock: MockClock,
) -> None:
    async with backend(intervals=MINUTES) as server:
        await server.tell(AdoptWindows([(BTC, WindowState(tuple(rows(0, 9))))]))
        early = await server.get("/ready?for=traffic")
        await trio.sleep(60.01)
        late = await server.get("/ready?for=traffic")
        await server.tell(AdoptCatalogue(["BTCUSDT", "ETHUSDT"], MINUTES, "another.example"))
        nothing = await server.get("/ready?for=traffic")
    assert (early.status_code, late.status_code, nothing.status_code) == (503, 200, 503)


async def test_not_ready_for_traffic_when_stopping() -> None:
    async with backend(symbols=["BTCUSDT"], intervals=MINUTES) as server:
        await server.history(BTC, rows(0, 9))
        stream = await server.listener.connect()
        await stream.send_all(b"GET /ready?for=traffic HTTP/1.1\r\nHost: test\r\n")
        await server.settle()
        server.draining.set()
        await stream.send_all(b"\r\n")
        await server.settle()
        answer = await stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 503")


# What a process needs beside candles

AWAY = {"kind": "redis", "role": "away", "last_error": "ConnectionError: refused"}


@pytest.mark.parametrize("query", ["", "?for=traffic"])
@pytest.mark.parametrize(
    ("role", "has_clients", "status"),
    [
        ("away", False, 503),
        ("connecting", False, 503),
        ("standby", False, 200),
        ("leading", False, 200),
        ("away", True, 200),
    ],
)
async def test_ingest_that_cannot_use_its_redis_is_not_ready(
    query: str, role: str, has_clients: bool, status: int
) -> None:
    """One that has clients serves them from memory."""
    store = {**AWAY, "role": role}
    options: Any = {"describe_store": lambda: store, "has_clients": has_clients}
    async with backend(symbols=["BTCUSDT"], intervals=MINUTES, **options) as server:
        await server.history(BTC, rows(0, 9))
        await server.feed(Feed.LIVE)
        answer = await server.get(f"/ready{query}")
        metrics = (await server.get("/metrics")).text
    assert answer.status_code == status
    if status == 503:
        assert answer.json()["detail"] == "Redis cannot be used: ConnectionError: refused"
    assert f"\nsmarttrade_ready {int(status == 200)}\n" in metrics


# Where prices come from


@pytest.mark.parametrize(
    ("origin", "simulated"), [("simulated", True), ("binance.com", False), (None, False)]
)
async def test_every_report_says_whether_prices_are_simulated(
    origin: str | None, simulated: bool
) -> None:
    async with backend(symbols=["BTCUSDT"], intervals=MINUTES, origin=origin) as server:
        unready = (await server.get("/ready")).json()
        await server.history(BTC, rows(0, 9))
        await server.feed(Feed.LIVE)
        for path in ("/ready", "/ready?for=traffic", "/streaming/status", "/system"):
            assert (await server.get(path)).json()["simulated"] is simulated
        metrics = (await server.get("/metrics")).text
        async with server.session() as session:
            welcome = await session.hear("welcome")
    assert unready["simulated"] is simulated
    assert welcome["simulated"] is simulated
    labels = f'origin="{origin or "unknown"}",simulated="{str(simulated).lower()}"'
    assert labels in next(line for line in metrics.splitlines() if "_info{" in line)


HALTED = SymbolDetails("BREAK", state=SymbolState.HALTED, since=5.0)


async def test_halted_symbol_is_named_and_no_reason_to_be_unready(
    autojump_clock: MockClock,
) -> None:
    async with backend(intervals=MINUTES) as server:
        await server.feed(Feed.LIVE)
        for series in (BTC, ETH):
            await server.history(series, rows(0, 9, closed=True))
        details = {"BTCUSDT": SymbolDetails("TRADING"), "ETHUSDT": HALTED}
        await server.tell(ListSymbols(["BTCUSDT", "ETHUSDT"], details))
        one = await server.get("/ready")
        await server.tell(ListSymbols(["BTCUSDT", "ETHUSDT"], dict.fromkeys(details, HALTED)))
        none = await not_ready(server)
    assert one.status_code == 200
    assert one.json()["symbols"] == [
        {
            "symbol": "ETHUSDT",
            "state": "halted",
            "reason": "the exchange has halted it (BREAK)",
            "since": 5.0,
        }
    ]
    assert "trades none" in none["detail"]


# Nothing of the inside

INSIDE = {
    "kind": "redis",
    "role": "away",
    "since": 5.0,
    "last_error": "ConnectionError: Error 111 connecting to db.internal:6379",
    "leader": "db.internal:17:ab12",
    "lag": 3.0,
    "errors": 4,
    "shards": [{"role": "away", "last_error": "db.internal:6379", "shard": 0}],
}


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/symbols", "/symbols?details=1", "/intervals", "/health", "/docs", "/openapi.json"),
        *("/candles/BTCUSDT/1m", "/candles/NOPE/1m", "/candles/BTCUSDT/1m?limit=x", "/inspect"),
        *("/streaming/status", "/streaming/status?limit=x", "/udf/config", "/udf/time", "/nothing"),
        *("/udf/symbols?symbol=NOPE", "/udf/history?symbol=BTCUSDT", "/static/../app.py", "/ws/x"),
    ],
)
async def test_public_answers_show_nothing_of_the_inside(path: str) -> None:
    async with backend(describe_store=lambda: INSIDE) as server:
        answer = await server.get(path)
    assert "internal" not in answer.text
    assert "Traceback" not in answer.text
    assert "site-packages" not in answer.text


async def test_status_says_how_it_is_with_redis() -> None:
    async with backend(describe_store=lambda: INSIDE) as server:
        status = (await server.get("/streaming/status")).json()
    assert status["store"] == {"kind": "redis", "role": "away", "since": 5.0, "lag": 3.0}
