from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from actors import ActorInfo, State
from smarttrade.cli.status import BackendUnavailable, Status, base_url
from smarttrade.cli.status_view import MAX_SYMBOLS, Snapshot, draw, duration
from smarttrade.market.interval import Interval
from smarttrade.market.origin import SIMULATED
from smarttrade.market.series import Series
from smarttrade.store.feed import Feed
from tests.fakes.candles import BTC, ETH, candle, rows
from tests.fakes.memory_net import http_over
from tests.smarttrade.web.backend import Backend, backend

MINUTES = [Interval.MINUTE_1]
TREE = ActorInfo(
    "service",
    State.RUNNING,
    children=(
        ActorInfo("store", State.RUNNING, mailbox_depth=3, mailbox_capacity=9, handled=1234),
        ActorInfo("web", State.PAUSING, restarts=2, last_error="OSError: reset"),
        ActorInfo("listing", State.STOPPED, last_error="returned"),
    ),
)


def status_of(server: Backend) -> Status:
    client = partial(http_over, server.listener.connect)
    return Status("http://test", {}, client=client)


async def seen_of(server: Backend) -> Snapshot:
    async with http_over(server.listener.connect) as http:
        return await status_of(server).ask(http)


def drawn(snapshot: Snapshot) -> str:
    text = io.StringIO()
    Console(file=text, width=120).print(draw(snapshot))
    return text.getvalue()


async def fill(server: Backend, *series: Any) -> None:
    await server.feed(Feed.LIVE)
    for each in series:
        await server.history(each, rows(0, 9))
        await server.live(each, candle(9, closed=False))


async def test_backend_that_is_ready_is_shown_with_all_its_parts() -> None:
    async with backend(intervals=MINUTES, tree=TREE) as server:
        await fill(server, BTC, ETH)
        text = drawn(await seen_of(server))
    lines = text.splitlines()
    assert lines[0].startswith("smarttrade/test  http://test  up ")
    assert lines[0].endswith("ready")
    assert "not ready" not in text
    assert lines[1].startswith("feed   live since 2024-11-30 23:01:40 UTC")
    assert lines[2] == "store  memory"
    assert "├── store  running  mailbox 3/9  1,234 handled" in lines
    assert "├── web  pausing  2 restarts  last: OSError: reset" in lines
    assert "└── listing  stopped" in lines
    assert any(line.startswith("BTCUSDT  0.") for line in lines)


async def test_status_as_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    async with backend(intervals=MINUTES, tree=TREE, origin=SIMULATED) as server:
        await fill(server, BTC, ETH)
        assert await status_of(server).report_json(forever=False) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ready"], report["reason"], report["simulated"]) == (True, None, True)
    assert report["system"]["children"][0]["name"] == "store"
    assert report["streaming"]["per_symbol"][0]["symbol"] == "BTCUSDT"


async def test_json_of_a_backend_that_is_gone_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    status = Status("http://127.0.0.1:1", {})
    assert await status.report_json(forever=False) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ready"] is False
    assert "refused" in report["reason"]


async def test_simulated_prices_are_marked() -> None:
    async with backend(intervals=MINUTES, tree=TREE, origin=SIMULATED) as server:
        await fill(server, BTC, ETH)
        assert drawn(await seen_of(server)).splitlines()[1].startswith("SIMULATED prices")


async def test_of_many_symbols_those_with_trouble_are_shown_first() -> None:
    symbols = [f"S{number:03}USDT" for number in range(MAX_SYMBOLS + 5)]
    async with backend(symbols=symbols, intervals=MINUTES, tree=TREE) as server:
        await fill(server, *(Series(symbol, Interval.MINUTE_1) for symbol in symbols[:-1]))
        text = drawn(await seen_of(server))
    named = [line.split()[0] for line in text.splitlines() if line.startswith("S0")]
    assert named[:3] == [symbols[-1], symbols[0], symbols[1]]
    assert len(named) == MAX_SYMBOLS + 1  # and once more with its reason
    assert "and 5 more" in text


async def test_what_is_not_ready_is_named() -> None:
    async with backend(intervals=MINUTES, tree=TREE) as server:
        await fill(server, BTC)
        snapshot = await seen_of(server)
        text = drawn(snapshot)
        status = await status_of(server).look()
    assert status == 1
    assert snapshot.reason == "1 of 2 series are not ready"
    assert f"not ready: {snapshot.reason}" in text
    assert "ETHUSDT 1m  history not read from the exchange yet" in text
    assert "never" in text


async def test_exit_status_is_readiness(capsys: pytest.CaptureFixture[str]) -> None:
    async with backend(intervals=MINUTES, tree=TREE) as server:
        await fill(server, BTC, ETH)
        assert await status_of(server).look() == 0
    assert "service" in capsys.readouterr().out


async def test_redis_is_shown_with_its_state() -> None:
    description = {
        "kind": "redis",
        "role": "away",
        "lag": 3.5,
        "errors": 2,
        "last_error": "refused",
    }
    async with backend(intervals=MINUTES, tree=TREE, describe_store=lambda: description) as server:
        text = drawn(await seen_of(server))
    assert "store  redis  away  lag 3.5  errors 2  last error: refused" in text


async def test_shards_are_shown_by_role() -> None:
    shards = [
        {"shard": number, "role": "away" if number == 2 else "leading"} for number in range(4)
    ]
    description = {"kind": "redis", "role": "away", "errors": 2, "shards": shards}
    async with backend(intervals=MINUTES, tree=TREE, describe_store=lambda: description) as server:
        text = drawn(await seen_of(server))
    assert "store  redis  away  errors 2" in text
    assert "shards 0 1 3  leading" in text
    assert "shards 2  away" in text


def answering(make: Callable[[httpx.Request], httpx.Response]) -> Status:
    transport = httpx.MockTransport(make)
    return Status("http://test", {}, client=lambda: httpx.AsyncClient(transport=transport))


def refuses(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


PROBLEM = {"type": "about:blank", "title": "", "status": 401, "code": "x", "detail": "a token!"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refuses, "refused"),
        (lambda _: httpx.Response(200, text="hello"), "not as SmartTrade does"),
        (lambda _: httpx.Response(502, text="<html>"), "not as SmartTrade does"),
        (lambda _: httpx.Response(401, json=PROBLEM), "answers 401: a token!"),
    ],
)
async def test_a_backend_without_an_answer_is_reported(
    answer: Callable[[httpx.Request], httpx.Response],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = answering(answer)
    async with status._client() as http:
        with pytest.raises(BackendUnavailable, match=words):
            await status.ask(http)
    assert await status.look() == 1
    assert words in capsys.readouterr().err


async def test_watching_continues_while_the_backend_is_away(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return refuses(request)

    with trio.move_on_after(5):
        await answering(answer).watch()
    assert asked >= 3
    assert "refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:8001", "http://localhost:8001"),
        ("http://a.example", "http://a.example"),
        ("https://a.example/api/", "https://a.example/api"),
    ],
)
def test_base_url(text: str, address: str) -> None:
    assert base_url(text).rstrip("/") == address


@pytest.mark.parametrize("text", ["ftp://a", "http://", "a b"])
def test_invalid_base_url_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="http"):
        base_url(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (61, "1 min 1 s"),
        (3 * 3600 + 120, "3 h 2 min"),
        (26 * 3600, "1 d 2 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
