"""The program as processes, and a client that checks what it receives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import trio
import trio_websocket

from tests.fakes.schemas import checked

MAX_WAIT = 120.0
"""Seconds. Processes that other programs of the machine leave no processor have taken half a minute
to start; what comes earlier takes no longer for it."""

POLL_INTERVAL = 0.05  # seconds; polling more often takes the processor from what is waited for


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` returns something that is true."""
    with trio.fail_after(MAX_WAIT):
        while not condition():
            await trio.sleep(POLL_INTERVAL)


def kept_waiting(pid: int) -> float:
    """Seconds in which a process was ready to run and other programs had the processor.

    Source: Linux, Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat".
    """
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[1]) for each in threads) / 1e9


class Program:
    """One process of the program, with its output in a file."""

    def __init__(self, log: Path, *arguments: str, **environment: str) -> None:
        self.log = log
        self.directory = Path()
        """A checkout of the program."""
        self.scheme = "http"
        """Whatever certificate it has for `https` is believed."""
        self._arguments = arguments
        self._environment = environment
        self.port = int(arguments[arguments.index("--port") + 1])
        self.began = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> Program:
        ours = ("SMARTTRADE_", "BINANCE_", "REDIS_", "USE_MEMORY", "LOG_", "HOST", "PORT")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self.began = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "smarttrade", *self._arguments],
                env={**inherited, **self._environment},
                stdout=log,
                stderr=log,
                cwd=self.directory,
            )
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def cpu(self) -> float:
        """Seconds."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def status(self) -> int | None:
        """The exit status; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    async def stop(self) -> int:
        self.send(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """The status, once the process has ended."""
        assert self._process is not None
        await until(lambda: self.status() is not None)
        status = self._process.returncode
        self._process = None
        return status

    async def until_logged(self, text: str) -> None:
        await until(lambda: text in self.log.read_text())

    async def get(self, path: str, **headers: str) -> Any:
        async with httpx.AsyncClient(trust_env=False, verify=False) as http:
            return (await http.get(self.url + path, headers=headers)).json()

    async def until(self, path: str, good: Callable[[Any], object]) -> float:
        """Wait until `path` answers 200 and `good` accepts the body; seconds since the start."""
        async with httpx.AsyncClient(trust_env=False, verify=False) as http:
            with trio.fail_after(MAX_WAIT):
                while True:
                    with suppress(httpx.HTTPError):
                        answer = await http.get(self.url + path)
                        if answer.status_code == httpx.codes.OK and good(answer.json()):
                            return time.monotonic() - self.began
                    await trio.sleep(POLL_INTERVAL)

    async def ready(self) -> float:
        return await self.until("/ready", lambda _: True)


class Client:
    """Keeps charts, and records updates that are out of order.

    After a start or a cut a candle may come before the close of the one before it, which follows as
    a correction: that it has come is seen when the chart is compared with the exchange.
    """

    def __init__(self, *series: tuple[str, str]) -> None:
        self.series = series
        self.charts: dict[tuple[str, str], dict[int, tuple[dict[str, Any], bool]]] = {
            each: {} for each in series
        }
        self.faults: list[str] = []
        self.feeds: list[str] = []
        self.updates = 0
        self.last_update_at = 0.0
        self.longest_pause = 0.0
        """Seconds between two updates."""

    @asynccontextmanager
    async def connected(self, url: str) -> AsyncGenerator[None]:
        """Connect and subscribe from the newest candle of each chart on."""
        async with trio.open_nursery() as nursery:
            opened = trio.Event()
            nursery.start_soon(self._listen, url, opened)
            await opened.wait()
            yield
            nursery.cancel_scope.cancel()

    async def _listen(self, url: str, opened: trio.Event) -> None:
        address = url.replace("http", "ws") + "/ws/candles"
        async with trio_websocket.open_websocket_url(address) as websocket:
            await websocket.send_message(json.dumps({"subscriptions": self._subscriptions()}))
            while True:
                message = json.loads(checked(await websocket.get_message()))
                self._receive(message)
                if message["type"] == "subscribed":
                    opened.set()

    def _subscriptions(self) -> Sequence[dict[str, Any]]:
        return [
            {"symbol": symbol, "interval": interval}
            | ({"since": max(chart)} if chart else {"snapshot": 1000})
            for (symbol, interval), chart in self.charts.items()
        ]

    def _receive(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "status":
                self.feeds.append(message["feed"])
            case "snapshot":
                chart = self.charts[message["symbol"], message["interval"]]
                *former, last = message["candles"] or [None]
                for candle in former:
                    chart[candle["time"]] = candle, True
                if last is not None:
                    chart[last["time"]] = last, message["closed"]
            case "candle":
                now = time.monotonic()
                if self.updates:
                    self.longest_pause = max(self.longest_pause, now - self.last_update_at)
                self.updates += 1
                self.last_update_at = now
                self._update(message)

    def _update(self, message: dict[str, Any]) -> None:
        chart = self.charts[message["symbol"], message["interval"]]
        candle, closed = message["candle"], message["closed"]
        moment = candle["time"]
        newest = max(chart, default=0)
        name = f"{message['symbol']} {message['interval']} {moment}"
        held = chart.get(moment)
        if moment < newest and not message.get("corrected"):
            self.faults.append(f"{name}: older than the newest, {newest}")
        if held == (candle, closed):
            self.faults.append(f"{name}: came twice")
        if held is not None and held[1] and not (closed and message.get("corrected")):
            self.faults.append(f"{name}: was closed")
        if moment < newest and not closed:
            self.faults.append(f"{name}: corrected, and not closed")
        chart[moment] = candle, closed


async def history(simulator: str, symbol: str, interval: str) -> dict[int, dict[str, Any]]:
    """The current history at the exchange; its last candle is still forming."""
    async with httpx.AsyncClient(trust_env=False) as http:
        parameters = {"symbol": symbol, "interval": interval, "limit": "1000"}
        rows = (await http.get(f"{simulator}/api/v3/klines", params=parameters)).json()
    names = ("open", "high", "low", "close", "volume")
    return {
        row[0] // 1000: {
            "time": row[0] // 1000,
            **{name: float(value) for name, value in zip(names, row[1:6], strict=True)},
        }
        for row in rows
    }
