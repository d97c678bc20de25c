"""A client as there are many, in a process of its own, and what it notices of an attack.

    python -m tests.attacks.regular_client URL

Prints, until it is killed, a line for each update, each answer of `/health`, which it requests ten
times a second, and each chart that it opens, one a second.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path

import httpx
import trio
import trio_websocket

SYMBOLS = (
    *("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"),
    *("LTCUSDT", "ADAUSDT", "ALGOUSDT", "ATOMUSDT", "POLUSDT"),
)
PUSH_INTERVAL = 2.0  # seconds from one update of a series to the next, if it has changed


async def run(url: str) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_updates, url)
        nursery.start_soon(poll_health, url)
        nursery.start_soon(open_charts, url)


async def watch_updates(url: str) -> None:
    async with _websocket(url) as websocket:
        wanted = [{"symbol": symbol, "interval": "1m"} for symbol in SYMBOLS]
        await websocket.send_message(json.dumps({"subscriptions": wanted}))
        newest: dict[str, int] = {}
        while True:
            message = json.loads(await websocket.get_message())
            if message["type"] != "candle":
                continue
            symbol, minute = message["symbol"], message["candle"]["time"]
            if newest.get(symbol) == minute and not message["closed"]:  # others have other times
                print("update", time.monotonic(), symbol, flush=True)
            newest[symbol] = minute


async def poll_health(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=30, verify=False) as http:
        while True:
            began = time.monotonic()
            await http.get(f"{url}/health")
            print("health", began, time.monotonic() - began, flush=True)
            await trio.sleep(0.1)


async def open_charts(url: str) -> None:
    """A new connection, and 500 candles of a series."""
    wanted = [{"symbol": "BTCUSDT", "interval": "5m", "snapshot": 500}]
    while True:
        began = time.monotonic()
        async with _websocket(url) as websocket:
            await websocket.send_message(json.dumps({"subscriptions": wanted}))
            while json.loads(await websocket.get_message())["type"] != "snapshot":
                pass
            print("chart", began, time.monotonic() - began, flush=True)
        await trio.sleep(1)


def _websocket(url: str) -> AbstractAsyncContextManager[trio_websocket.WebSocketConnection]:
    context = None
    if url.startswith("https"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return trio_websocket.open_websocket_url(
        url.replace("http", "ws") + "/ws/candles", ssl_context=context
    )


# -- what it noticed ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Noticed:
    """Sorted, in seconds; infinite where there was nothing."""

    update_delays: list[float]
    """Of each update, later than the exchange's usual time for its series."""
    health: list[float]
    charts: list[float]

    @property
    def health_p95(self) -> float:
        return self.health[len(self.health) * 95 // 100 - 1]


def noticed(output: Path, since: float) -> Noticed:
    """What it printed since then; an answer that has not come by now is missing."""
    lines = [line.split() for line in output.read_text().splitlines()[:-1]]
    updates = [(float(at), symbol) for kind, at, symbol in lines if kind == "update"]
    return Noticed(
        sorted(_delays(updates, since)) or [inf],
        _took(lines, "health", since),
        _took(lines, "chart", since),
    )


def _took(lines: Iterable[list[str]], wanted: str, since: float) -> list[float]:
    found = [float(took) for kind, at, took in lines if kind == wanted and float(at) >= since]
    return sorted(found) or [inf]


def _delays(updates: Iterable[tuple[float, str]], since: float) -> Iterable[float]:
    """How much later than at its best each update came.

    The exchange sends those of a series every two seconds, unless nothing has changed. So it is a
    delay, too, when nothing came for any series.
    """
    of_symbol: dict[str, list[float]] = defaultdict(list)
    for at, symbol in updates:
        of_symbol[symbol].append(at)
    for times in of_symbol.values():
        late = [(at - times[0] + 1) % PUSH_INTERVAL for at in times]  # nothing is a second early
        best = min(late)
        yield from (more - best for at, more in zip(times, late, strict=True) if at >= since)
    received = [at for at, _ in updates if at >= since - PUSH_INTERVAL]
    yield from (
        pause - PUSH_INTERVAL
        for pause in (b - a for a, b in pairwise(received))
        if pause > PUSH_INTERVAL
    )


if __name__ == "__main__":
    trio.run(run, sys.argv[1])
