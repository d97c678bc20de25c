"""Attacks from one address that stays within its limits, each on a service of its own.

    python -m tests.floods [--only NAME ...] [--seconds 8]

Meanwhile a regular client, in a process of its own, watches ten series, of which one is updated
every 0.2 s, and requests `/health` ten times a second. The first attack is none, to compare with. Each attack runs for some seconds, then the service is stopped in the middle of it.
Of each are printed: what the attacker sends, the longest pause between two updates that the regular
client sees, the 95th percentile of `/health`, memory, and how long the stop takes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path

import httpx
import trio
import trio_websocket

from tests.fakes.processes import Program
from tests.fakes.redis_server import free_port
from tests.smarttrade.web.raw_client import PING, PONG, TEXT, frame, upgrade_request

ADDRESS = "X-Forwarded-For: 203.0.113.9"
SETTINGS = {"SMARTTRADE_TRUSTED_PROXIES": "127.0.0.1", "LOG_LEVEL": "warning"}
SYMBOLS = (
    *("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"),
    *("LTCUSDT", "ADAUSDT", "ALGOUSDT", "ATOMUSDT", "POLUSDT"),
)
INTERVALS = ("1m", "5m", "15m", "1h", "4h", "1d")
READY_TIMEOUT = 90.0  # seconds; the machine may be busy
PAUSE = 0.05  # seconds before a connection that was refused is tried again

GONE = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


def snapshots(candles: Callable[[], int]) -> bytes:
    """A request for all 60 series."""
    series = [
        {"symbol": symbol, "interval": interval, "snapshot": candles()}
        for symbol in SYMBOLS
        for interval in INTERVALS
    ]
    return frame(TEXT, json.dumps({"subscriptions": series}).encode())


class Attacker:
    """Opens connections from one address, again whenever one is closed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sent = 0

    async def connect(self, *, receive_buffer: int | None = None) -> trio.SocketStream:
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.connect(("127.0.0.1", self.port))
        return trio.SocketStream(sock)

    async def send(self, stream: trio.SocketStream, data: bytes) -> None:
        await stream.send_all(data)
        self.sent += len(data)

    async def websocket(self, **options: int) -> trio.SocketStream:
        stream = await self.connect(**options)
        await self.send(stream, upgrade_request("/ws/candles", ADDRESS))
        return stream

    async def again(self, attack: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await attack()
            except* GONE:
                pass
            await trio.sleep(PAUSE)


async def read_all(stream: trio.SocketStream) -> None:
    with suppress(*GONE):
        while await stream.receive_some(65536):
            pass


async def flood(attacker: Attacker, data: bytes, begin: bytes = b"") -> None:
    """Send the same again and again, and read."""
    async with await attacker.websocket() as stream, trio.open_nursery() as nursery:
        nursery.start_soon(read_all, stream)
        await attacker.send(stream, begin)
        try:
            while True:
                await attacker.send(stream, data)
        finally:
            nursery.cancel_scope.cancel()


async def none(_: Attacker) -> None:
    """What the regular client sees without an attack."""
    await trio.sleep_forever()


async def continuations(attacker: Attacker) -> None:
    """Empty continuation frames."""
    await flood(attacker, frame(0, fin=False) * 2730, frame(TEXT, fin=False))


async def pongs(attacker: Attacker) -> None:
    """Pongs without a ping."""
    await flood(attacker, frame(PONG) * 2730)


async def pings(attacker: Attacker) -> None:
    """Pings, each of which is answered."""
    await flood(attacker, frame(PING) * 2730)


async def pieces(attacker: Attacker) -> None:
    """A message in packets of one byte."""
    async with await attacker.websocket() as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await attacker.send(stream, frame(TEXT, b"x" * 60_000)[:8])
        while True:
            await attacker.send(stream, b"x")


async def snapshots_unread(attacker: Attacker) -> None:
    """All series, of each another number of candles, and nothing is read."""
    request = snapshots(lambda: random.randrange(500, 1001))
    async with await attacker.websocket(receive_buffer=4096) as stream:
        await attacker.send(stream, request)
        await trio.sleep_forever()


async def snapshots_read(attacker: Attacker) -> None:
    """All series with 1000 candles each, again and again."""
    await flood(attacker, snapshots(lambda: 1000))


async def bad_entries(attacker: Attacker) -> None:
    """Requests of 1024 subscriptions that are none."""
    await flood(attacker, frame(TEXT, b'{"subscriptions":[' + b"{}," * 1023 + b"{}]}"))


async def ask(attacker: Attacker, target: Callable[[], str], *lines: str) -> None:
    """HTTP requests, one after the other over a kept connection, until they are refused."""
    head = "".join(f"{line}\r\n" for line in ("Host: h", ADDRESS, *lines, ""))
    async with await attacker.connect() as stream:
        while True:
            await attacker.send(stream, f"GET {target()} HTTP/1.1\r\n{head}".encode())
            await stream.receive_some(65536)


async def status(attacker: Attacker) -> None:
    """Every series at a glance."""
    await ask(attacker, lambda: "/streaming/status")


async def metrics(attacker: Attacker) -> None:
    """Every metric."""
    await ask(attacker, lambda: "/metrics")


async def pages(attacker: Attacker) -> None:
    """Pages of candles that are compressed for each request."""

    def target() -> str:
        series = f"{random.choice(SYMBOLS)}/{random.choice(INTERVALS)}"
        return f"/candles/{series}?limit={random.randrange(500, 1001)}"

    await ask(attacker, target, "Accept-Encoding: gzip")


async def handshakes(attacker: Attacker) -> None:
    """WebSockets that are closed as soon as they are open."""
    async with await attacker.websocket() as stream:
        await stream.receive_some(65536)


ATTACKS: dict[str, tuple[int, Callable[[Attacker], Awaitable[None]]]] = {
    "none": (1, none),
    "continuations of one": (1, continuations),
    "continuations": (50, continuations),
    "pongs": (50, pongs),
    "pings": (50, pings),
    "pieces": (50, pieces),
    "snapshots_unread": (200, snapshots_unread),
    "snapshots_read": (10, snapshots_read),
    "bad_entries": (10, bad_entries),
    "snapshots_read_by_many": (200, snapshots_read),
    "status": (50, status),
    "metrics": (50, metrics),
    "pages": (50, pages),
    "handshakes": (50, handshakes),
}


# -- The regular client, in a process of its own -------------------------------------------------


async def watch(url: str) -> None:
    """Print `update` or `health`, the time, and the seconds it took."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_updates, url)
        nursery.start_soon(watch_health, url)


async def watch_updates(url: str) -> None:
    last = time.monotonic()
    async with trio_websocket.open_websocket_url(
        url.replace("http", "ws") + "/ws/candles"
    ) as websocket:
        wanted = [{"symbol": symbol, "interval": "1m"} for symbol in SYMBOLS]
        await websocket.send_message(json.dumps({"subscriptions": wanted}))
        while True:
            if json.loads(await websocket.get_message())["type"] == "candle":
                now = time.monotonic()
                print("update", now, now - last, flush=True)
                last = now


async def watch_health(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        while True:
            began = time.monotonic()
            await http.get(f"{url}/health")
            print("health", began, time.monotonic() - began, flush=True)
            await trio.sleep(0.1)


def delays(path: Path, kind: str, since: float) -> list[float]:
    lines = [line.split() for line in path.read_text().splitlines()[:-1]]
    found = [float(took) for what, at, took in lines if what == kind and float(at) >= since]
    return sorted(found) or [float("inf")]


# -- One attack ------------------------------------------------------------------------------------


async def run(name: str, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        port = str(free_port())
        program = Program(
            Path(directory) / "log", "serve", "--simulated", "--memory", "--port", port, **SETTINGS
        )
        program.start()
        regular = Path(directory) / "regular"
        command = [sys.executable, "-m", "tests.floods", "--watch", program.url]
        try:
            await program.until("/ready", lambda _: True, READY_TIMEOUT)
            with regular.open("wb") as file:
                watcher = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL)  # noqa: ASYNC220 - takes no time
            await trio.sleep(3)
            try:
                await attack(program, regular, name, seconds)
            finally:
                watcher.kill()
                watcher.wait()
        finally:
            program.kill()


async def attack(program: Program, regular: Path, name: str, seconds: float) -> None:
    connections, one = ATTACKS[name]
    attacker = Attacker(program.port)
    assert program._process is not None
    pid = program._process.pid
    before = peak = resident(pid)
    began = time.monotonic()
    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(attacker.again, lambda: one(attacker))
        while time.monotonic() < began + seconds:
            await trio.sleep(0.1)
            peak = max(peak, resident(pid))
        rate = attacker.sent / (time.monotonic() - began)
        health, updates = delays(regular, "health", began), delays(regular, "update", began)
        stopping = time.monotonic()
        status = await stopped(program)
        took = time.monotonic() - stopping
        nursery.cancel_scope.cancel()
    print(
        f"| {name} | {connections} | {rate / 1000:,.0f} KB/s | {updates[-1]:.2f} s"
        f" | {health[len(health) * 95 // 100 - 1] * 1000:.0f} / {health[-1] * 1000:.0f} ms"
        f" | {before} / {peak} MB | {status} after {took:.1f} s |",
        flush=True,
    )


async def stopped(program: Program) -> int | str:
    try:
        return await program.stop()
    except trio.TooSlowError:
        return "not stopped"


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


async def main(seconds: float, only: Collection[str] = ()) -> None:
    print("| attack | connections | sent | longest pause | /health p95 / worst | memory | stop |")
    for name in only or ATTACKS:
        await run(name, seconds)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=ATTACKS, nargs="+")
    arguments = parser.parse_args()
    if arguments.watch:
        trio.run(watch, arguments.watch)
    else:
        trio.run(main, arguments.seconds, arguments.only or ())
