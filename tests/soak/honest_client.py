"""A client that stays for a while, and whose chart must then be what the service has."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any

import httpx
import trio
import trio_websocket

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "LTCUSDT")
MEAN_STAY = 60.0  # seconds
SLOW_SHARE = 0.1  # of the clients
SLOW_PAUSE = 0.4  # seconds after each message
SETTLE_TIMEOUT = 30.0  # seconds for what was sent to arrive, at a slow client too
CHECK_INTERVAL = 2.0  # seconds

CONNECTION_ERRORS = (OSError, trio_websocket.HandshakeError, trio_websocket.ConnectionClosed)

Chart = dict[int, dict[str, Any]]


@dataclass
class Tally:
    """What happened to all clients."""

    present: int = 0
    came: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    """Why the server or the network disconnected them."""
    updates: int = 0
    checked: int = 0
    """Charts that were compared in the end."""
    unanswered: int = 0
    """Charts that could not be, since the service did not answer."""
    wrong: list[str] = field(default_factory=list)


@dataclass
class HonestClient:
    port: int
    address: str
    """From where it connects."""
    rest: httpx.AsyncClient
    tally: Tally
    rng: random.Random
    charts: dict[str, Chart] = field(default_factory=dict)
    """Closed candles by symbol and time."""

    async def visit(self) -> None:
        self.tally.came += 1
        self.tally.present += 1
        stay = self.rng.expovariate(1 / MEAN_STAY)
        pause = SLOW_PAUSE if self.rng.random() < SLOW_SHARE else 0.0
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, pause)
                await trio.sleep(stay)
                if self.charts:
                    await self._check()
                nursery.cancel_scope.cancel()
        except* CONNECTION_ERRORS as errors:
            self.tally.lost[_reason(errors)] += 1
        finally:
            self.tally.present -= 1

    async def _listen(self, pause: float) -> None:
        symbols = self.rng.sample(SYMBOLS, 3)
        wanted = [{"symbol": s, "interval": "1m", "snapshot": 100} for s in symbols]
        async with self._websocket() as websocket:
            await websocket.send_message(json.dumps({"subscriptions": wanted}))
            newest = dict.fromkeys(symbols, -inf)
            while True:
                message = json.loads(await websocket.get_message())
                if message["type"] == "snapshot":
                    chart = self.charts.setdefault(message["symbol"], {})
                    closed = message["candles"] if message["closed"] else message["candles"][:-1]
                    chart |= {candle["time"]: candle for candle in closed}
                elif message["type"] == "candle":
                    self._update(message, newest)
                    await trio.sleep(pause)

    def _update(self, message: dict[str, Any], newest: dict[str, float]) -> None:
        self.tally.updates += 1
        symbol, candle = message["symbol"], message["candle"]
        if candle["time"] < newest[symbol] and not message.get("corrected"):
            self.tally.wrong.append(f"{symbol}: {candle['time']} after {newest[symbol]}")
        newest[symbol] = max(candle["time"], newest[symbol])
        if message["closed"]:
            self.charts[symbol][candle["time"]] = candle
        elif candle["time"] in self.charts[symbol]:
            self.tally.wrong.append(f"{symbol}: {candle['time']} was closed and is forming")

    async def _check(self) -> None:
        """Wait until the charts are what the service has; that they never are is wrong."""
        self.tally.checked += 1
        differences: list[str] | None = None
        with trio.move_on_after(SETTLE_TIMEOUT):
            while differences != []:
                with suppress(httpx.HTTPError):
                    differences = await self._differences()
                await trio.sleep(CHECK_INTERVAL)
        if differences is None:
            self.tally.unanswered += 1
        else:
            self.tally.wrong += differences[:3]

    async def _differences(self) -> list[str]:
        found = []
        for symbol, chart in list(self.charts.items()):  # one may be added meanwhile
            page = (await self.rest.get(f"/candles/{symbol}/1m?limit=200")).json()
            closed = page["candles"] if page["closed"] else page["candles"][:-1]
            first = min(chart, default=inf)
            found += [
                f"{symbol}: {candle} is {chart.get(candle['time'])} at a client"
                for candle in closed
                if candle["time"] >= first and chart.get(candle["time"]) != candle
            ]
        return found

    @asynccontextmanager
    async def _websocket(self) -> AsyncGenerator[trio_websocket.WebSocketConnection]:
        sock = trio.socket.socket()
        await sock.bind((self.address, 0))
        await sock.connect(("127.0.0.1", self.port))
        async with trio.open_nursery() as nursery:
            websocket = await trio_websocket.wrap_client_stream(
                nursery, trio.SocketStream(sock), f"127.0.0.1:{self.port}", "/ws/candles"
            )
            async with websocket:
                yield websocket


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:100]
