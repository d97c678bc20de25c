"""Honest clients are never refused, however many come at once: with the default limits.

Four thousand clients of forty addresses come back after an outage, each with `since` for sixty
series. `RETURNING_CLIENTS` says another number.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.attacks.regular_client import SYMBOLS
from tests.fakes.ports import free_port
from tests.fakes.processes import Program
from tests.smarttrade.web.raw_client import TEXT, frame, upgrade_request

pytestmark = pytest.mark.slow

CLIENTS = int(os.environ.get("RETURNING_CLIENTS", "4000"))
ADDRESSES = 40
INTERVALS = ("1m", "5m", "15m", "1h", "4h", "1d")
AWAY = 600  # seconds
TIMEOUT = 300.0  # seconds; what a busy machine takes
LIMITS = {
    # The defaults; set explicitly, they hold for this machine's addresses too.
    "SMARTTRADE_REQUESTS_PER_SECOND_PER_IP": "200",
    "SMARTTRADE_REQUEST_BURST_PER_IP": "1000",
}


@asynccontextmanager
async def service(directory: Path) -> AsyncGenerator[Program]:
    program = Program(
        directory / "log",
        *("serve", "--simulated", "--memory", "--port", str(free_port())),
        **LIMITS,
    )
    try:
        await program.start().ready()
        yield program
    finally:
        program.kill()


def request(**wanted: int) -> bytes:
    series = [
        {"symbol": symbol, "interval": interval, **wanted}
        for symbol in SYMBOLS
        for interval in INTERVALS
    ]
    return frame(TEXT, json.dumps({"subscriptions": series}).encode())


async def connect(port: int, address: str) -> trio.SocketStream:
    sock = trio.socket.socket()
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
    await sock.bind((address, 0))
    await sock.connect(("127.0.0.1", port))
    return trio.SocketStream(sock)


async def read_snapshots(stream: trio.SocketStream) -> int:
    """Read until there is one of each series; how many bytes that took."""
    received = b""
    while received.count(b'"type":"snapshot"') < len(SYMBOLS) * len(INTERVALS):
        data = await stream.receive_some(1 << 18)
        assert data, f"ended: {received[-200:]!r}"
        received += data
        assert received.startswith(b"HTTP/1.1 101")
    [subscribed] = [part for part in received.split(b"\x81") if b'"type":"subscribed"' in part]
    assert b'"errors":[]' in subscribed
    return len(received)


async def come_back(port: int, address: str, since: int) -> trio.SocketStream:
    stream = await connect(port, address)
    await stream.send_all(upgrade_request("/ws/candles") + request(since=since))
    await read_snapshots(stream)
    return stream


async def test_thousands_that_come_back_are_all_served(tmp_path: Path) -> None:
    async with service(tmp_path) as program:
        [newest] = (await program.get("/candles/BTCUSDT/1m?limit=1"))["candles"]
        since, streams = newest["time"] - AWAY, []
        began = time.monotonic()

        async def one(number: int) -> None:
            address = f"127.0.3.{number % ADDRESSES + 1}"
            streams.append(await come_back(program.port, address, since))

        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as nursery:
                for number in range(CLIENTS):
                    nursery.start_soon(one, number)
                own = await come_back(program.port, "127.0.4.1", since)
                print(f"one of its own address: {time.monotonic() - began:.1f} s")
        print(f"{len(streams)} clients: {time.monotonic() - began:.1f} s")
        page = await connect(program.port, "127.0.4.2")
        with trio.fail_after(TIMEOUT):
            await page.send_all(upgrade_request("/ws/candles") + request(snapshot=1000))
            assert await read_snapshots(page) > 5_000_000
        for stream in (*streams, own, page):
            await trio.aclose_forcefully(stream)
        assert "Traceback" not in program.log.read_text()
