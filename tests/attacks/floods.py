"""Attacks from one address within its limits: as much of something as it may send."""

from __future__ import annotations

import json
import random
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import trio

from tests.smarttrade.web.raw_client import PING, PONG, TEXT, frame

from .attacker import Attacker, read_all
from .regular_client import SYMBOLS

MEDIA_TYPES = ",".join(f"a/b{number}" for number in range(1500))
INTERVALS = ("1m", "5m", "15m", "1h", "4h", "1d")


def subscriptions(candles: Callable[[], int]) -> bytes:
    """A request for all 60 series."""
    series = [
        {"symbol": symbol, "interval": interval, "snapshot": candles()}
        for symbol in SYMBOLS
        for interval in INTERVALS
    ]
    return frame(TEXT, json.dumps({"subscriptions": series}).encode())


async def none(_: Attacker) -> None:
    """What the regular client sees without an attack."""
    await trio.sleep_forever()


async def continuations(attacker: Attacker) -> None:
    """Empty continuation frames."""
    await _flood(attacker, frame(0, fin=False) * 2730, frame(TEXT, fin=False))


async def pongs(attacker: Attacker) -> None:
    """Pongs without a ping."""
    await _flood(attacker, frame(PONG) * 2730)


async def pings(attacker: Attacker) -> None:
    """Pings, each of which is answered."""
    await _flood(attacker, frame(PING) * 2730)


async def pieces(attacker: Attacker) -> None:
    """A message in packets of one byte."""
    async with await attacker.websocket() as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await attacker.send(stream, frame(TEXT, b"x" * 60_000)[:8])
        while True:
            await attacker.send(stream, b"x")


async def snapshots_unread(attacker: Attacker) -> None:
    """All series, of each another number of candles, and nothing is read."""
    request = subscriptions(lambda: random.randrange(500, 1001))
    async with await attacker.websocket(receive_buffer=4096) as stream:
        await attacker.send(stream, request)
        await trio.sleep_forever()


async def snapshots_read(attacker: Attacker) -> None:
    """All series with 1000 candles each, again and again."""
    await _flood(attacker, subscriptions(lambda: 1000))


async def bad_entries(attacker: Attacker) -> None:
    """Requests of 1024 subscriptions that are none."""
    await _flood(attacker, frame(TEXT, b'{"subscriptions":[' + b"{}," * 1023 + b"{}]}"))


async def status(attacker: Attacker) -> None:
    """Every series at a glance."""
    await _request(attacker, lambda: "/streaming/status")


async def metrics(attacker: Attacker) -> None:
    """Every metric."""
    await _request(attacker, lambda: "/metrics")


async def pages(attacker: Attacker) -> None:
    """Pages of candles that are compressed for each request."""

    def target() -> str:
        series = f"{random.choice(SYMBOLS)}/{random.choice(INTERVALS)}"
        return f"/candles/{series}?limit={random.randrange(500, 1001)}"

    await _request(attacker, target, "Accept-Encoding: gzip")


async def short_pages(attacker: Attacker) -> None:
    """Pages of one candle, each another, all of which are kept."""

    def target() -> str:
        before = random.randrange(1_000_000_000, 2_000_000_000)
        return f"/candles/{random.choice(SYMBOLS)}/1m?limit=1&before={before}"

    await _request(attacker, target)


async def long_heads(attacker: Attacker) -> None:
    """Requests of 3000 headers, or of one that names 1500 media types."""
    headers = "a:\r\n" * 3000 if random.random() < 0.5 else f"Accept: {MEDIA_TYPES}\r\n"
    await _request(attacker, lambda: "/candles/BTCUSDT/1m?limit=1", headers[:-2])


async def handshakes(attacker: Attacker) -> None:
    """WebSockets that are closed as soon as they are open."""
    async with await attacker.websocket() as stream:
        await stream.receive_some(65536)


async def tls_greetings(attacker: Attacker) -> None:
    """The first message of TLS, always the same, which a server answers with a signature."""
    async with await attacker.connect() as stream:
        await attacker.send(stream, tls_greeting())
        answer = await stream.receive_some(65536)
        attacker.outcomes["answered" if answer else "closed"] += 1


@cache
def tls_greeting() -> bytes:
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname="localhost"
    )
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def _flood(attacker: Attacker, data: bytes, begin: bytes = b"") -> None:
    """Send the same again and again, and read."""
    async with await attacker.websocket() as stream, trio.open_nursery() as nursery:
        nursery.start_soon(read_all, stream)
        await attacker.send(stream, begin)
        try:
            while True:
                await attacker.send(stream, data)
        finally:
            nursery.cancel_scope.cancel()


async def _request(attacker: Attacker, target: Callable[[], str], *lines: str) -> None:
    """HTTP requests, one after the other over a kept connection, until it is closed."""
    head = "".join(f"{line}\r\n" for line in ("Host: h", *lines, ""))
    async with await attacker.connect() as stream:
        while True:
            await attacker.send(stream, f"GET {target()} HTTP/1.1\r\n{head}".encode())
            await stream.receive_some(65536)
