"""The processes of a measurement: the exchange, the measured server, Redis, the load generator."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import FASTAPI, PEERS
from tests.fakes.ports import free_port
from tests.fakes.redis_server import RedisServer, redis_binary

ROOT = Path(__file__).parents[2]
SYMBOLS = (
    *("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"),
    *("LTCUSDT", "ADAUSDT", "ALGOUSDT", "ATOMUSDT", "POLUSDT"),
)
INTERVALS = ("1m", "5m", "15m", "1h", "4h", "1d")
BURST, SPREAD = 0.005, 0.2  # seconds between symbols: all ten at once, or over the exchange's 2 s
READY_TIMEOUT = 60.0  # seconds
LOAD_TIMEOUT = 150.0  # seconds beside those of the measurement itself, for thousands to connect
PRODUCT, PEER = "smarttrade", FASTAPI


class Overloaded(Exception):
    """A measurement failed."""


@dataclass(frozen=True)
class Process:
    pid: int
    port: int
    began: float
    """Start time, by the monotonic clock."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, target: str) -> bytes:
        with urllib.request.urlopen(self.url + target, timeout=10) as answer:
            found: bytes = answer.read()
            return found


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name of a process, in parentheses, may contain spaces.
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for member in found:
        found += parents.get(member, [])
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, with nanoseconds, unlike /proc/PID/stat."""
    return time.clock_gettime((~pid) << 3 | 2)  # clock_getcpuclockid(3) with CPUCLOCK_SCHED


def waited_seconds(pid: int) -> float:
    """Seconds for which a process was runnable while another one had the processor.

    Of its main thread, or of the thread that `pid` is.
    """
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def allow_many_files() -> None:
    """Sockets of thousands of clients, here and in every process that is started."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def temporary_file() -> Iterator[Path]:
    """A place for a file that is deleted in the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "file")


@contextmanager
def _started(
    name: str,
    command: Sequence[str],
    env: Mapping[str, str],
    port: int,
    *,
    may_end: bool = False,
) -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("w+b") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Process(process.pid, port, began)
            assert may_end or process.poll() is None, f"{name} ended by itself"
        except BaseException:
            log.seek(0)
            print(f"--- {name}:", log.read().decode()[-3000:], file=sys.stderr)
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", name, *map(str, arguments)]


@contextmanager
def exchange(
    *,
    period: float = 2.0,
    gap: float = BURST,
    latency: float = 0.0,
    weight: int = 6000,
    speed: float | None = None,
    rows: int = 1000,
    port: int | None = None,
) -> Iterator[Process]:
    port = port or free_port()
    arguments: list[object] = ["--port", port, "--period", period, "--gap", gap]
    arguments += ["--latency", latency, "--weight", weight, "--rows", rows]
    arguments += [] if speed is None else ["--speed", speed]
    command = _module("tests.benchmarks.exchange", *arguments)
    with _started("exchange", command, {}, port) as process:
        _wait_until_answered(process, "/stats")
        yield process


@contextmanager
def redis() -> Iterator[str]:
    """A Redis with default settings, except that nothing is written to disk."""
    with (
        tempfile.TemporaryDirectory() as directory,
        RedisServer(redis_binary(), Path(directory)) as running,
    ):
        yield running.url


@contextmanager
def server(
    which: str,
    venue: Process,
    *,
    redis_url: str | None = None,
    command: str = "serve",
    symbols: Sequence[str] = SYMBOLS,
    wait: bool = True,
    may_end: bool = False,
    steps: Path | None = None,
    variables: Mapping[str, str] = {},
    python: str = sys.executable,
) -> Iterator[Process]:
    """The product or a peer, following `venue`; ready when this returns, unless `wait` is false.

    With `steps` the steps of its tasks are timed, see `stepped`. `may_end`: it is to be killed.
    `variables` are more of the environment's. `python` may be of an environment with another version.
    """
    port = free_port()
    env = {
        "BINANCE_REST_URL": venue.url,
        "BINANCE_WS_URL": venue.url.replace("http", "ws"),
        "SMARTTRADE_SYMBOLS": ",".join(symbols),
        "SMARTTRADE_INTERVALS": ",".join(INTERVALS),
        "PORT": str(port),
    }
    if which in PEERS:
        started: Sequence[str] = PEERS[which].command
        if redis_url:
            env["PEER_REDIS_URL"] = redis_url
    else:
        module = "smarttrade" if steps is None else "tests.benchmarks.stepped"
        started = (python, "-m", module, command)
        env |= {} if python == sys.executable else {"PYTHONPATH": ""}
        env |= {} if steps is None else {"STEPS": str(steps)}
        env["SMARTTRADE_MAX_CONNECTIONS_PER_IP"] = "10000"
        env |= {"REDIS_URL": redis_url} if redis_url else {"USE_MEMORY_STORE": "1"}
    env |= variables
    env |= {name: os.environ[name] for name in ("PEER_WS", "PYTHONHASHSEED") if name in os.environ}
    with _started(which, started, env, port, may_end=may_end) as process:
        if wait:
            _wait_until_answered(process, "/ready")
        yield process


def _wait_until_answered(process: Process, target: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    while True:
        try:
            process.get(target)
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline or not Path(f"/proc/{process.pid}").exists():
                raise
            time.sleep(0.05)
        else:
            return


def load(module: str, **job: Any) -> dict[str, Any]:
    """Run a load generator and return its results.

    Raises:
        Overloaded: it did not come to an end, most likely because the server did not keep up.
    """
    try:
        done = subprocess.run(
            [*_module(f"tests.benchmarks.{module}"), json.dumps(job)],
            cwd=ROOT,
            capture_output=True,
            check=False,
            text=True,
            timeout=job.get("seconds", 0) + LOAD_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise Overloaded(f"no end in {LOAD_TIMEOUT:.0f} s") from None
    if done.returncode:
        raise Overloaded(done.stderr.strip()[-300:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found
