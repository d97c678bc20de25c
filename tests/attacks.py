"""Attacks a service on loopback that it starts, and reports the effect on it and on a regular client.

    python -m tests.attacks [--only NAME ...] [--clients 1000]

A regular client follows a series meanwhile, and requests `/health` ten times a second. An attack
has failed when neither is affected and the process is as small afterwards as before; the outcome is
a row of the table in docs/security.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import trio
import trio_websocket

from tests import floods
from tests.fakes.processes import Program
from tests.fakes.redis_server import free_port
from tests.smarttrade.web.raw_client import BINARY, PING, TEXT, frame, frame_head, upgrade_request

SERIES = [
    {"symbol": symbol, "interval": interval, "snapshot": 1000}
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT")
    for interval in ("1m", "5m", "15m", "1h")
]
EVERYTHING = json.dumps({"subscriptions": SERIES}).encode()
SETTINGS = {
    "SMARTTRADE_MAX_CONNECTIONS": "3000",
    "SMARTTRADE_MAX_CONNECTIONS_PER_IP": "3000",
    "SMARTTRADE_TRUSTED_PROXIES": "127.0.0.1",
    "LOG_LEVEL": "warning",
}
FLOOD_SECONDS = 8.0
HEAD = b"GET /health HTTP/1.1\r\nHost: h\r\n"


@dataclass
class Target:
    """The service and what is observed of it."""

    program: Program
    clients: int
    pid: int
    regular: Path
    """Output of the regular client."""
    peak: int = 0

    @property
    def rss(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000

    async def open(self, *, receive_buffer: int | None = None) -> trio.SocketStream:
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await sock.connect(("127.0.0.1", self.program.port))
        except OSError:
            sock.close()
            raise
        return trio.SocketStream(sock)


Outcomes = Counter[str]
Attack = Callable[[Target], Awaitable[Outcomes]]


async def outcome(stream: trio.SocketStream, within: float = 15.0) -> str:
    """How the server ends the connection: a status, a close code, or neither; reads all it sends."""
    got = b""
    with trio.move_on_after(within) as waiting:
        try:
            while data := await stream.receive_some(65536):
                got = (got + data)[-4096:] if got[:5] != b"HTTP/" else got + data[: 4096 - len(got)]
        except trio.BrokenResourceError:
            return _described(got) or "reset"
    if waiting.cancelled_caught:
        return (_described(got) or "nothing") + ", open"
    return _described(got) or "closed"


def _described(got: bytes) -> str:
    if not got.startswith(b"HTTP/1.1 "):
        return ""
    status = got[9:12].decode()
    if status != "101":
        return status
    at = got.rfind(b"\x88", 0, len(got) - 3)
    code = int.from_bytes(got[-len(got) + at + 2 :][:2], "big") if at >= 0 else 0
    return f"101, close {code}" if 1000 <= code < 1020 else "101"


async def each(number: int, one: Callable[[int], Awaitable[str]], at_once: int = 500) -> Outcomes:
    outcomes: Outcomes = Counter()
    limit = trio.CapacityLimiter(at_once)

    async def run(index: int) -> None:
        async with limit:
            try:
                outcomes[await one(index)] += 1
            except OSError as error:
                outcomes[error.strerror or "refused"] += 1
            except trio.BrokenResourceError:
                outcomes["reset"] += 1

    async with trio.open_nursery() as nursery:
        for index in range(number):
            nursery.start_soon(run, index)
    return outcomes


# -- The attacks ------------------------------------------------------------------------------


async def slow_heads(target: Target) -> Outcomes:
    """Connections that send one byte of their head per second."""

    async def one(_: int) -> str:
        async with await target.open() as stream:
            for byte in b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 30:
                await stream.send_all(bytes((byte,)))
                await trio.sleep(1)
            return "was not cut off"

    return await each(target.clients, one, target.clients)


async def connections(target: Target) -> Outcomes:
    """10,000 connections opened as fast as possible and kept."""
    held: list[trio.SocketStream] = []

    async def one(_: int) -> str:
        stream = await target.open()
        held.append(stream)
        with trio.move_on_after(3):
            return "503" if b"503" in await stream.receive_some(2000) else "closed"
        return "no answer in 3 s"

    try:
        return await each(10_000, one, 10_000)
    finally:
        for stream in held:
            await trio.aclose_forcefully(stream)


async def non_reading_clients(target: Target) -> Outcomes:
    """Clients that subscribe to 20 series with 1000 candles each, and read nothing."""
    held: list[trio.SocketStream] = []

    async def one(_: int) -> str:
        stream = await target.open(receive_buffer=4096)
        held.append(stream)
        await stream.send_all(upgrade_request("/ws/candles") + frame(TEXT, EVERYTHING))
        await trio.sleep(45)
        return await outcome(stream, 1)

    try:
        return await each(target.clients, one, target.clients)
    finally:
        for stream in held:
            await trio.aclose_forcefully(stream)


async def flooding_clients(target: Target) -> Outcomes:
    """Clients that send requests as fast as they can, and read."""
    request = frame(TEXT, b'{"action":"list"}') * 50

    async def one(_: int) -> str:
        async with await target.open() as stream:
            await stream.send_all(upgrade_request("/ws/candles"))
            async with trio.open_nursery() as nursery:

                async def flood() -> None:
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        while True:
                            await stream.send_all(request)

                nursery.start_soon(flood)
                result = await outcome(stream)
                nursery.cancel_scope.cancel()
            return result

    return await each(target.clients, one, target.clients)


async def bad_requests(target: Target) -> Outcomes:
    """Clients that send invalid requests, a hundred of each kind."""
    texts = [b"{", b"[" * 60_000, b'{"a":' * 10_000, b"\xff\xfe", b"1e999999", b'"\\ud800"', b""]

    async def one(index: int) -> str:
        async with await target.open() as stream:
            text = texts[index % len(texts)]
            await stream.send_all(upgrade_request("/ws/candles") + frame(TEXT, text) * 100)
            return await outcome(stream)

    return await each(200, one, 50)


async def request_flood(target: Target) -> Outcomes:
    """20,000 requests from one address over persistent connections."""
    outcomes: Outcomes = Counter()

    async def one(_: int) -> str:
        left = 400
        while left:
            async with await target.open() as stream:
                lines = b"GET /candles/BTCUSDT/1m?limit=1 HTTP/1.1\r\nHost: h\r\n"
                request = lines + b"X-Forwarded-For: 203.0.113.7\r\n\r\n"
                with suppress(trio.BrokenResourceError):
                    while left:
                        left -= 1
                        await stream.send_all(request)
                        answer = await stream.receive_some(65536)
                        outcomes[answer[9:12].decode() or "closed"] += 1
                        if answer[9:12] != b"200":
                            break
        return "done"

    await each(50, one)
    return outcomes


async def handshake_flood(target: Target) -> Outcomes:
    """5000 WebSocket handshakes from one address."""

    async def one(_: int) -> str:
        async with await target.open() as stream:
            await stream.send_all(upgrade_request("/ws/candles", "X-Forwarded-For: 203.0.113.8"))
            return (await stream.receive_some(1000))[9:12].decode() or "closed"

    return await each(5000, one)


async def huge_messages(target: Target) -> Outcomes:
    """A frame that announces 600 MB, and one message in endless fragments."""

    async def one(index: int) -> str:
        async with await target.open() as stream:
            await stream.send_all(upgrade_request("/ws/candles"))
            begin = frame_head(TEXT, 600_000_000, masked=True) if index % 2 else b""
            async with trio.open_nursery() as nursery:

                async def pour() -> None:
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        await stream.send_all(begin or frame(TEXT, b"x", fin=False))
                        while True:
                            piece = b"x" * 16_384
                            await stream.send_all(piece if begin else frame(0, piece, fin=False))

                nursery.start_soon(pour)
                result = await outcome(stream)
                nursery.cancel_scope.cancel()
            return result

    return await each(200, one, 100)


async def odd_frames(target: Target) -> Outcomes:
    """Unmasked, reserved bits and opcodes, unnegotiated compression, long pings, orphan continuations."""
    bomb = bytes.fromhex("ecc1010d000000c2a0f7") + b"\x00" * 60_000
    kinds = [
        frame(TEXT, b"{}", masked=False),
        frame(TEXT, b"{}", reserved=7),
        frame(11, b""),
        frame(TEXT, bomb, reserved=4),
        frame(PING, b"x" * 126),
        frame(0, b"{}"),
        frame(BINARY, b"\x00" * 1000) * 100,
        frame(PING, b"x" * 125) * 5000,
        frame(8, b"\x03"),
        frame(8, struct.pack("!H", 999)),
        frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"),
    ]
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"

    async def one(index: int) -> str:
        async with await target.open() as stream:
            data = kinds[index % len(kinds)]
            await stream.send_all(upgrade_request("/ws/candles", offer) + data)
            return await outcome(stream, 3)

    return await each(220, one, 110)


async def odd_requests(target: Target) -> Outcomes:
    """Injected headers and hosts, non-ASCII, smuggling, HTTP/2, early bytes, huge bodies."""
    upgrade = upgrade_request("/ws/candles")
    kinds = [
        HEAD.replace(b"h\r\n", b'"><script>alert(1)</script>\r\n').replace(
            b"/health", b"/inspect-ws"
        )
        + b"\r\n",
        HEAD + b"X: a\r\n b: c\r\n\r\n",
        HEAD + b"Host: other\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        HEAD + b"Content-Length: 99999999999\r\n\r\n",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 9000\r\n\r\n" + b"\x1f\x8b" * 4500,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"ffffffffffff\r\n" + b"x" * 100_000,
        HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        HEAD + b"X: y\r\n" * 10_000 + b"\r\n",
        HEAD + b"X-Forwarded-For: " + b"1.1.1.1, " * 500 + b"\xff\r\n\r\n",
        b"GET /candles/%00%ff/1m%0d%0aX:%20y HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /static/../../../../etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /static/%2e%2e/%2e%2e/app.py HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http://elsewhere/health HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 1000,
        HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01" + b"\x00" * 500,
        b"GET / HTTP/9.9\r\n\r\n",
        upgrade.replace(b"websocket\r\n", b"websocket\r\nSec-WebSocket-Protocol: \xff\r\n"),
        upgrade.replace(b"websocket\r\n", b"websocket\r\nSec-WebSocket-Extensions: \xff\r\n"),
        upgrade + b"\x00" * 70_000,
    ]

    async def one(index: int) -> str:
        async with await target.open() as stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(kinds[index % len(kinds)])
                with suppress(OSError):
                    await stream.send_eof()
            return await outcome(stream, 12)

    return await each(len(kinds) * 20, one, 100)


async def noise(target: Target) -> Outcomes:
    """Random bytes, at the start and after a handshake."""
    generator = random.Random(8)

    async def one(index: int) -> str:
        async with await target.open() as stream:
            begin = upgrade_request("/ws/candles") if index % 2 else b""
            with suppress(trio.BrokenResourceError):
                await stream.send_all(begin + generator.randbytes(generator.randrange(1, 5000)))
                await stream.send_eof()
            return (await outcome(stream, 12)).partition(",")[0]

    return await each(4000, one, 200)


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        *(slow_heads, connections, flooding_clients, bad_requests, request_flood),
        *(handshake_flood, huge_messages, odd_frames, odd_requests, noise, non_reading_clients),
    )
}


# -- The regular client, in a process of its own -------------------------------------------------


async def run_regular_client(url: str) -> None:
    """Print `update` or `health` with the time and the seconds it took, until killed."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, url)
        nursery.start_soon(poll_health, url)


async def watch(url: str) -> None:
    heard_at = time.monotonic()
    address = url.replace("http", "ws") + "/ws/candles"
    async with trio_websocket.open_websocket_url(address) as websocket:
        series = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"]
        subscriptions = [{"symbol": symbol, "interval": "1m"} for symbol in series]
        await websocket.send_message(json.dumps({"subscriptions": subscriptions}))
        while True:
            if json.loads(await websocket.get_message())["type"] == "candle":
                now = time.monotonic()
                print("update", now, now - heard_at, flush=True)
                heard_at = now


async def poll_health(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        while True:
            began = time.monotonic()
            await http.get(f"{url}/health")
            print("health", began, time.monotonic() - began, flush=True)
            await trio.sleep(0.1)


def delays(path: Path, kind: str, since: float) -> list[float]:
    lines = [line.split() for line in path.read_text().splitlines()[:-1]]
    return [float(took) for what, at, took in lines if what == kind and float(at) >= since]


async def track_memory(target: Target) -> None:
    while True:
        target.peak = max(target.peak, target.rss)
        await trio.sleep(0.1)


@asynccontextmanager
async def attacked(clients: int) -> AsyncGenerator[Target]:
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        port = str(free_port())
        program = Program(log, "serve", "--simulated", "--memory", "--port", port, **SETTINGS)
        program.start()
        try:
            await program.ready()
            assert program._process is not None
            regular = Path(directory) / "regular"
            with regular.open("wb") as file:
                command = [sys.executable, "-m", "tests.attacks", "--watch", program.url]
                watcher = subprocess.Popen(command, stdout=file)  # noqa: ASYNC220 - takes no time
            yield Target(program, clients, program._process.pid, regular)
        finally:
            watcher.kill()
            watcher.wait()
            program.kill()
            text = log.read_text()
            print(f"\nlog: {len(text.splitlines())} lines, {text.count('Traceback')} tracebacks")
            print(text[-20_000:], file=sys.stderr)


async def stop_with_non_reading_clients(target: Target) -> None:
    streams = []
    for _ in range(target.clients):
        stream = await target.open(receive_buffer=4096)
        await stream.send_all(upgrade_request("/ws/candles") + frame(TEXT, EVERYTHING))
        streams.append(stream)
    await trio.sleep(3)
    began = time.monotonic()
    status = await target.program.stop()
    took = time.monotonic() - began
    print(f"SIGTERM with {target.clients} stuck clients: exit {status} after {took:.2f} s")
    for stream in streams:
        await trio.aclose_forcefully(stream)


async def main(clients: int, only: Collection[str]) -> None:
    async with attacked(clients) as target:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(track_memory, target)
            await trio.sleep(3)
            for name, attack in ATTACKS.items():
                if not only or name in only:
                    await report(target, name, attack)
            nursery.cancel_scope.cancel()
        if not only:
            await stop_with_non_reading_clients(target)
    if not only:
        await floods.main(FLOOD_SECONDS)


async def report(target: Target, name: str, attack: Attack) -> None:
    before, began = target.rss, time.monotonic()
    target.peak = before
    outcomes = await attack(target)
    took = time.monotonic() - began
    await trio.sleep(4)
    waits = sorted(delays(target.regular, "health", began))
    pauses = delays(target.regular, "update", began)
    summary = ", ".join(f"{count} x {what}" for what, count in outcomes.most_common(8))
    print(
        f"| {name} | {summary} | {took:.0f} s | {before} / {target.peak} / {target.rss} MB"
        f" | {waits[len(waits) // 2] * 1000:.0f} / {waits[-1] * 1000:.0f} ms"
        f" | {len(pauses)}, {max(pauses):.1f} s |",
        flush=True,
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=ATTACKS, nargs="+")
    arguments = parser.parse_args()
    if arguments.watch:
        trio.run(run_regular_client, arguments.watch)
    else:
        trio.run(main, arguments.clients, arguments.only or ())
