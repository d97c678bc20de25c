"""Attacks with what no client sends: malformed frames, requests and noise."""

from __future__ import annotations

import random
import struct
from contextlib import suppress

import trio

from tests.smarttrade.web.raw_client import BINARY, PING, TEXT, frame, upgrade_request

from .attacker import Attacker

HEAD = b"GET /health HTTP/1.1\r\nHost: h\r\n"

BOMB = bytes.fromhex("ecc1010d000000c2a0f7") + b"\x00" * 60_000
ODD_FRAMES = [
    frame(TEXT, b"{}", masked=False),
    frame(TEXT, b"{}", reserved=7),
    frame(11, b""),
    frame(TEXT, BOMB, reserved=4),
    frame(PING, b"x" * 126),
    frame(0, b"{}"),
    frame(BINARY, b"\x00" * 1000) * 100,
    frame(PING, b"x" * 125) * 5000,
    frame(8, b"\x03"),
    frame(8, struct.pack("!H", 999)),
    frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"),
]
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"

UPGRADE = upgrade_request("/ws/candles")
ODD_REQUESTS = [
    HEAD.replace(b"h\r\n", b'"><script>alert(1)</script>\r\n').replace(b"/health", b"/inspect-ws")
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
    UPGRADE.replace(b"websocket\r\n", b"websocket\r\nSec-WebSocket-Protocol: \xff\r\n"),
    UPGRADE.replace(b"websocket\r\n", b"websocket\r\nSec-WebSocket-Extensions: \xff\r\n"),
    UPGRADE + b"\x00" * 70_000,
]

GENERATOR = random.Random(8)


async def odd_frames(attacker: Attacker) -> None:
    """Unmasked, reserved, compressed, orphan and oversized frames."""
    data = ODD_FRAMES[attacker.outcomes.total() % len(ODD_FRAMES)]
    async with await attacker.websocket(OFFER) as stream:
        await attacker.send(stream, data)
        await attacker.note_outcome(stream, 3)


async def odd_requests(attacker: Attacker) -> None:
    """Injected headers and hosts, smuggling, HTTP/2, TLS, bombs, paths out of `/static/`."""
    await _send_and_end(attacker, ODD_REQUESTS[attacker.outcomes.total() % len(ODD_REQUESTS)])


async def noise(attacker: Attacker) -> None:
    """Random bytes, half of them after a handshake."""
    begin = UPGRADE if GENERATOR.random() < 0.5 else b""
    await _send_and_end(attacker, begin + GENERATOR.randbytes(GENERATOR.randrange(1, 5000)))


async def _send_and_end(attacker: Attacker, data: bytes) -> None:
    async with await attacker.connect() as stream:
        with suppress(trio.BrokenResourceError, OSError):
            await attacker.send(stream, data)
            await stream.send_eof()
        await attacker.note_outcome(stream, 12)
