"""An exchange, a Redis, and processes of the program around them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import trio

from .ports import free_port
from .processes import MAX_WAIT, Client, Program, history, kept_waiting
from .redis_server import RedisServer

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
INTERVALS = ("1m", "5m")
SERIES = [(symbol, interval) for symbol in SYMBOLS for interval in INTERVALS]
SPEED = 20


class Processes:
    """An exchange, and whatever processes of ours, with one Redis."""

    def __init__(self, redis_url: str, directory: Path, speed: int = SPEED) -> None:
        self._redis_url = redis_url
        self._directory = directory
        self._numbers = count(1)
        self.programs: list[Program] = []
        self.simulator = self.program(
            "simulator", "--speed", str(speed), "--control-token", "control"
        ).start()

    def program(self, command: str, *options: str, port: int = 0, **environment: str) -> Program:
        log = self._directory / f"{next(self._numbers)}-{command}.log"
        port = port or free_port()
        program = Program(log, command, "--port", str(port), *options, **environment)
        self.programs.append(program)
        return program

    def start(self, command: str, *options: str, port: int = 0, **environment: str) -> Program:
        settings = {
            "BINANCE_REST_URL": self.simulator.url,
            "BINANCE_WS_URL": self.simulator.url.replace("http", "ws"),
            "REDIS_URL": self._redis_url,
            "SMARTTRADE_SYMBOLS": ",".join(SYMBOLS),
            "SMARTTRADE_INTERVALS": ",".join(INTERVALS),
            **environment,
        }
        return self.program(command, *options, port=port, **settings).start()

    def kill(self) -> None:
        for program in self.programs:
            program.kill()

    def kept_waiting(self) -> float:
        """Seconds for which other programs of the machine have held up what runs, and the test."""
        running = [program.pid for program in self.programs if program.is_running]
        return sum(map(kept_waiting, [*running, os.getpid()]))

    async def requests(self) -> int:
        """Requests for candles that the exchange has had."""
        stats = await self.simulator.get("/sim/stats", Authorization="Bearer control")
        return sum(stats["requests"].get("/api/v3/klines", {}).values())

    async def assert_few_requests(self, program: Program, before: int) -> None:
        """A program that was restarted has not read again what is stored.

        Twice for each series, and again when a busy machine has cut its stream, or has kept Redis
        waiting for so long that it started without what is stored.
        """
        log = program.log.read_text()
        rounds = 1 + log.count("stream_down") + ("loading_history" in log)
        assert await self.requests() - before <= rounds * 2 * len(SERIES), log

    async def differences(
        self, series: Sequence[tuple[str, str]], asked: Callable[[str, str], Any]
    ) -> list[str]:
        """Where closed candles are not the exchange's."""
        faults = []
        for symbol, interval in series:
            ours = await asked(symbol, interval)
            theirs = await history(self.simulator.url, symbol, interval)
            closed = {moment: candle for moment, (candle, final) in ours.items() if final}
            oldest = max(min(theirs), min(ours))
            expected = {t: theirs[t] for t in theirs if oldest <= t <= max(closed, default=0)}
            faults += [
                f"{symbol} {interval} {t}: {closed.get(t)} is not {expected.get(t)}"
                for t in sorted(expected.keys() | {t for t in closed if t >= oldest})
                if expected.get(t) != closed.get(t)
            ]
        return faults

    async def served_differences(
        self, program: Program, series: Sequence[tuple[str, str]] = SERIES
    ) -> list[str]:
        async def asked(symbol: str, interval: str) -> Any:
            page = await program.get(f"/candles/{symbol}/{interval}?limit=1000")
            candles = {each["time"]: (each, True) for each in page["candles"]}
            newest = page["candles"][-1]
            candles[newest["time"]] = (newest, page["closed"])
            return candles

        return await self.differences(series, asked)

    async def client_differences(self, client: Client) -> list[str]:
        async def asked(symbol: str, interval: str) -> Any:
            return client.charts[symbol, interval]

        return await self.differences(client.series, asked)

    async def until_served(
        self, program: Program, series: Sequence[tuple[str, str]] = SERIES
    ) -> None:
        """Wait until the program has what the exchange has."""
        await _until_none(partial(self.served_differences, program, series))

    async def until_received(self, client: Client) -> None:
        """Wait until a client, which is connected, has what the exchange has."""
        await _until_none(partial(self.client_differences, client))


async def _until_none(look: Callable[[], Awaitable[list[str]]]) -> None:
    deadline = trio.current_time() + MAX_WAIT
    while (differences := await look()) and trio.current_time() < deadline:
        await trio.sleep(0.2)
    assert differences == []


class Deployment(Processes):
    """With a Redis of one server."""

    def __init__(self, redis: RedisServer, directory: Path, speed: int = SPEED) -> None:
        super().__init__(redis.url, directory, speed)
        self.redis = redis


def role(name: str) -> Callable[[Any], bool]:
    return lambda answer: answer["store"]["role"] == name
