"""The exchange and the service as processes, as a user starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

ROOT = Path(__file__).parents[2]
SPEED = 60  # exchange minutes in a minute, so that a candle takes a second
START = "2024-12-02T12:00"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "ADAUSDT")
INTERVALS = ("1m", "5m", "1h", "1d")
CONTROL_TOKEN = "control"
CONTROL = {"Authorization": f"Bearer {CONTROL_TOKEN}"}
STOP_TIMEOUT = 12  # seconds
POLL_TIMEOUT = 20  # seconds
START_TIMEOUT = 40  # seconds

T = TypeVar("T")


BUSY = 3  # a busy machine takes longer; what passes takes no longer for it


def eventually(look: Callable[[], T | None], what: str, within: float = POLL_TIMEOUT) -> T:
    """Poll `look` until it returns neither None nor False."""
    deadline = time.monotonic() + BUSY * within
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"after {within} s still not: {what}")


class _Process:
    """`python -m smarttrade`, with some arguments; stopped at the end of the block."""

    def __init__(self, port: int, arguments: list[str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SMARTTRADE_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "smarttrade", *self._arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(self._is_up, f"{self._arguments[0]} is up", START_TIMEOUT)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop answering, with connections open, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self._arguments[0]} ended"
        try:
            return httpx.get(self.url + self._sign, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    _sign = ""  # a path that answers 200 when everything is there


class Exchange(_Process):
    """The simulated exchange and its faults."""

    _sign = "/api/v3/ping"

    def __init__(self, port: int, speed: float = SPEED, symbols: Sequence[str] = SYMBOLS) -> None:
        self.port = port
        self.symbols = symbols
        options = {
            "port": port,
            "speed": speed,
            "start": START,
            "symbols": ",".join(symbols),
            "control-token": CONTROL_TOKEN,
        }
        super().__init__(port, ["simulator", *_options(options)])

    def go_away(self) -> None:
        """End all streams and refuse new ones."""
        self._fault(fault="handshake_status", value=503)
        self._fault(fault="cut", how="rst")

    def stall(self) -> None:
        """Keep streams open and send nothing."""
        self._fault(fault="stall", value=[])

    def halt(self, symbol: str) -> None:
        """Do not trade it for a year; the listing says so."""
        self._fault(fault="halt", symbols=[symbol], status="HALT", seconds=365 * 86_400)

    def clear(self) -> None:
        httpx.delete(f"{self.url}/sim/faults", headers=CONTROL).raise_for_status()

    def _fault(self, **order: Any) -> None:
        httpx.post(f"{self.url}/sim/faults", json=order, headers=CONTROL).raise_for_status()


class Service(_Process):
    """SmartTrade, on the simulated exchange; it is up when `until` is answered with 200."""

    def __init__(
        self,
        port: int,
        exchange: Exchange,
        heartbeat: float = 1,
        intervals: Sequence[str] = INTERVALS,
        until: str = "/ready",
    ) -> None:
        self._sign = until
        options = {
            "port": port,
            "symbols": ",".join(exchange.symbols),
            "intervals": ",".join(intervals),
            "heartbeat": heartbeat,
            "binance-rest-url": exchange.url,
            "binance-ws-url": exchange.url.replace("http", "ws"),
        }
        self.port = port
        super().__init__(port, ["serve", "--memory", *_options(options)])

    def candles(self, symbol: str, interval: str) -> list[dict[str, float]]:
        """The complete window."""
        answer = httpx.get(f"{self.url}/candles/{symbol}/{interval}?limit=1000")
        found: list[dict[str, float]] = answer.raise_for_status().json()["candles"]
        return found


class SimulatedService(_Process):
    """SmartTrade with its own simulator, as `serve --simulated` starts it."""

    _sign = "/ready"

    def __init__(self, port: int) -> None:
        options = {"port": port, "symbols": ",".join(SYMBOLS), "intervals": ",".join(INTERVALS)}
        super().__init__(port, ["serve", "--simulated", "--memory", *_options(options)])


def _options(options: dict[str, Any]) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]
