"""`python3 -m unittest tests.test_streaming_verify -v`: an end-to-end check without a network.

The service runs against the built-in exchange in this process; a client reads the history over
REST, follows it over the WebSocket, and both must agree with the exchange.
"""

from __future__ import annotations

import json
import logging
import unittest
from functools import partial
from typing import Any

import httpx
import structlog
import trio
import trio_websocket

from actors import Supervisor
from smarttrade.app import build_service
from smarttrade.environment import Environment
from smarttrade.feed.network import Network
from smarttrade.market.interval import Interval
from smarttrade.settings import Settings
from smarttrade.simulator import Exchange, serve_exchange
from smarttrade.web.counters import Counters
from smarttrade.web.server.sockets import open_listeners

START = 1733007600000 + 45_000  # ms; three quarters into a minute, so that one closes soon
SPEED = 10.0  # exchange seconds in a second
SYMBOLS = ("BTCUSDT", "ETHUSDT")
INTERVALS = (Interval.MINUTE_1, Interval.HOUR_1)
TOTAL_TIMEOUT = 20.0  # seconds


class StreamingVerify(unittest.TestCase):
    def setUp(self) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        self.addCleanup(structlog.reset_defaults)

    def test_history_and_updates_equal_the_exchange(self) -> None:
        async def verify(client: httpx.AsyncClient, exchange: Exchange) -> None:
            for symbol in SYMBOLS:
                for interval in INTERVALS:
                    await self._compare(client, exchange, symbol, interval)

        trio.run(_with_service, verify)

    def test_a_minute_closes_at_a_subscriber(self) -> None:
        async def verify(client: httpx.AsyncClient, exchange: Exchange) -> None:
            url = str(client.base_url).replace("http", "ws") + "/ws/candles"
            async with trio_websocket.open_websocket_url(url) as socket:
                await socket.send_message('{"symbol": "BTCUSDT", "interval": "1m"}')
                closed = await _next_closed(socket)
            row = exchange.klines("BTCUSDT", "1m", closed["time"] * 1000, None, 1)[0]
            self.assertEqual(closed["close"], float(row[4]))
            self.assertEqual(closed["volume"], float(row[5]))

        trio.run(_with_service, verify)

    async def _compare(
        self, client: httpx.AsyncClient, exchange: Exchange, symbol: str, interval: Interval
    ) -> None:
        answer = await client.get(f"/candles/{symbol}/{interval.value}?limit=1000")
        candles = answer.raise_for_status().json()["candles"]
        self.assertEqual(len(candles), 1000)
        first = candles[0]["time"] * 1000
        rows = exchange.klines(symbol, interval.value, first, None, 1000)
        for candle, row in zip(candles[:-1], rows, strict=False):  # the last one is forming
            received = [candle[name] for name in ("open", "high", "low", "close", "volume")]
            self.assertEqual(candle["time"] * 1000, row[0])
            self.assertEqual(received, [float(number) for number in row[1:6]])


async def _next_closed(socket: trio_websocket.WebSocketConnection) -> dict[str, Any]:
    while True:
        message = json.loads(await socket.get_message())
        if message["type"] == "candle" and message["closed"]:
            candle: dict[str, Any] = message["candle"]
            return candle


async def _with_service(verify: Any) -> None:
    """Run `verify` beside a service that is ready, and stop it in order."""
    settings = Settings(symbols=SYMBOLS, intervals=INTERVALS)
    exchange = Exchange(symbols=SYMBOLS, start_ms=START, speed=SPEED)
    with trio.fail_after(TOTAL_TIMEOUT):
        network = Network.direct()
        async with trio.open_nursery() as nursery, network.http_client() as http:
            port = await nursery.start(serve_exchange, exchange, "127.0.0.1", 0)
            listeners = await open_listeners("127.0.0.1", 0)
            environment = Environment(
                http,
                [f"http://127.0.0.1:{port}"],
                network.dial,
                [f"ws://127.0.0.1:{port}"],
                partial(_already, listeners),
            )
            service = build_service(settings, environment, lambda done, total: None, Counters())
            await nursery.start(service.run)
            own_port = listeners[0].socket.getsockname()[1]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{own_port}") as client:
                await _until_ready(client)
                await verify(client, exchange)
            await _stop(service)
            nursery.cancel_scope.cancel()


async def _already(listeners: list[trio.SocketListener]) -> list[trio.SocketListener]:
    return listeners


async def _until_ready(client: httpx.AsyncClient) -> None:
    while (await client.get("/ready")).status_code != 200:
        await trio.sleep(0.05)


async def _stop(service: Supervisor) -> None:
    service.stop()
    while service.inspect().state.value != "stopped":
        await trio.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
