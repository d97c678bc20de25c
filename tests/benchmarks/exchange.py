"""A stand-in for the exchange that needs little CPU, for both servers, in its own process.

Klines are made once. Every `period` each symbol's intervals are sent together, symbols `gap` apart.
The volume of a live candle is the moment at which it was sent, in microseconds of the monotonic
clock, which all processes of a machine share: every server passes it through, so any process that receives
the candle knows how long it was under way. The closing state is that of the REST rows, in which
symbols differ.

    GET /api/v3/exchangeInfo, /klines, /time   as the exchange answers them, `latency` later
    GET /stream?streams=...                    a WebSocket, which understands SUBSCRIBE
    GET /flood?count=N                         N updates as fast as the receiver takes them
    GET /stats                                  requests and messages so far, as JSON
    GET /pause, /resume                        no updates in between; answered as /stats
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import itertools
import json
import socket
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

MINUTE = 60_000
INTERVALS = ("1m", "5m", "15m", "1h", "4h", "1d")
LENGTHS = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}
MIDNIGHT = 1_764_633_600_000  # 2025-12-02
SPEED = 0.1
"""Of the exchange's clock, unless another is given: so slow that no minute ends within a run, whose
last state says nothing about when it was sent."""
VARIANTS = 16  # of the rows of an interval
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
CLOSES = [f"{96466.11 + step * 0.37:.2f}000000" for step in range(50)]
FLOOD_AT_ONCE = 60


def microseconds() -> int:
    """The monotonic clock."""
    return time.monotonic_ns() // 1000


def frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    return b"\x81\x7e" + size.to_bytes(2, "big") + payload


def frame_size(data: bytes) -> int | None:
    """Of the masked frame that begins there; None while it is not whole."""
    if len(data) < 8:
        size = 6 + (data[1] & 127) if len(data) >= 2 else 8
    else:
        short = data[1] & 127
        size = 8 + int.from_bytes(data[2:4], "big") if short == 126 else 6 + short
    return size if len(data) >= size else None


def variant_of(symbol: str) -> int:
    """Which of the rows a symbol has."""
    return zlib.crc32(symbol.encode()) % VARIANTS


def final_state(length: int, open_time: int, variant: int) -> tuple[str, ...]:
    """Open, high, low, close and volume of a candle that is over."""
    step = (open_time // length + 61 * variant) % 977
    price = 96466.11 + step * 1.37
    numbers = (price, price + 29.41, price - 26.11, price + 3.21, 6.6158 + step / 1e3)
    return tuple(f"{number:.8f}" for number in numbers)


class Klines:
    """The REST rows of one interval, the same for all symbols of a variant."""

    def __init__(self, interval: str, variant: int = 0) -> None:
        self._length = LENGTHS[interval] * MINUTE
        self._variant = variant
        self._rows: dict[int, bytes] = {}
        self._whole: dict[int, bytes] = {}

    def body(self, now: int, first: int | None, last: int | None, limit: int) -> bytes:
        newest = now - now % self._length
        if first is None and last is None:
            wanted = range(newest - (limit - 1) * self._length, newest + 1)
            if limit < 1000:
                return self._body(wanted)
            if newest not in self._whole:
                self._whole[newest] = self._body(wanted)
            return self._whole[newest]
        end = newest if last is None else min(last, newest)
        begin = end - (limit - 1) * self._length if first is None else first
        begin += -begin % self._length
        return self._body(range(begin, end + 1)[: limit * self._length])

    def _body(self, open_times: range) -> bytes:
        times = range(open_times.start, open_times.stop, self._length)
        return b"[" + b",".join([self._row(time) for time in times]) + b"]"

    def _row(self, open_time: int) -> bytes:
        row = self._rows.get(open_time)
        if row is None:
            values = ",".join(f'"{n}"' for n in final_state(self._length, open_time, self._variant))
            end = open_time + self._length - 1
            row = self._rows[open_time] = (
                f'[{open_time},{values},{end},"638339.60000000",1408,'
                f'"3.21000000","309744.00000000","0"]'
            ).encode()
        return row


@dataclass
class SeriesFeed:
    """The precomputed messages of one series, completed with what changes."""

    symbol: str
    interval: str
    open_time: int = 0
    _head: bytes = b""
    _middle: bytes = b""
    _tail: bytes = b""
    _closes: Iterator[str] = field(default_factory=lambda: itertools.cycle(CLOSES))

    def frames(self, now: int) -> bytes:
        """The states at `now`; before the first one of a new candle, the close of the previous."""
        length = LENGTHS[self.interval] * MINUTE
        open_time = now - now % length
        last = b""
        if open_time != self.open_time:
            if self.open_time:
                last = self._closing_frame(now, length)
            self._open(open_time, open_time + length - 1)
        return last + self._frame(now)

    def _open(self, open_time: int, close_time: int) -> None:
        self.open_time = open_time
        self._head = (
            f'{{"stream":"{self.symbol.lower()}@kline_{self.interval}","data":{{"e":"kline","E":'
        ).encode()
        self._middle = (
            f',"s":"{self.symbol}","k":{{"t":{open_time},"T":{close_time},"s":"{self.symbol}",'
            f'"i":"{self.interval}","f":5361041,"L":5362310,"o":"'
        ).encode()
        self._tail = b',"q":"638339.60000000","V":"3.21","Q":"309744.0","B":"0"}}}'

    def _frame(self, now: int) -> bytes:
        rest = (
            f'96440.00000000","c":"{next(self._closes)}","h":"96495.52000000","l":"96420.00000000",'
            f'"v":"{microseconds()}.00000000","n":1270,"x":false'
        ).encode()
        return frame(self._head + str(now).encode() + self._middle + rest + self._tail)

    def _closing_frame(self, now: int, length: int) -> bytes:
        state = final_state(length, self.open_time, variant_of(self.symbol))
        open_, high, low, close, volume = state
        rest = (
            f'{open_}","c":"{close}","h":"{high}","l":"{low}","v":"{volume}","n":1270,"x":true'
        ).encode()
        return frame(self._head + str(now).encode() + self._middle + rest + self._tail)


class Exchange:
    def __init__(
        self,
        period: float,
        gap: float,
        latency: float,
        weight: int,
        speed: float = SPEED,
        rows: int = 1000,
    ) -> None:
        self.period = period
        self.rows = rows
        self.speed = speed
        self.weight = weight
        self.gap = gap
        self.latency = latency
        self.began = time.monotonic()
        self.klines = {(i, v): Klines(i, v) for i in LENGTHS for v in range(VARIANTS)}
        self.stats: dict[str, Any] = {"requests": 0, "first": None, "last": None, "sent": 0}
        self.streams: set[Peer] = set()
        self.ahead = 0
        self._running = asyncio.Event()
        self._running.set()

    def now(self) -> int:
        """The exchange's time in ms."""
        return MIDNIGHT + 20_000 + int((time.monotonic() - self.began) * 1000 * self.speed)

    def answer(self, target: str) -> bytes:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match parts.path:
            case "/api/v3/klines":
                first, last = (
                    int(query[name]) if name in query else None for name in ("startTime", "endTime")
                )
                limit = min(self.rows, int(query.get("limit", 500)))
                klines = self.klines[query["interval"], variant_of(query["symbol"])]
                return klines.body(self.now(), first, last, limit)
            case "/api/v3/exchangeInfo":
                names = json.loads(query["symbols"])
                found = [{"symbol": name, "status": "TRADING"} for name in names]
                allowed = {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": self.weight,
                }
                return json.dumps({"rateLimits": [allowed], "symbols": found}).encode()
            case "/api/v3/time":
                return json.dumps({"serverTime": self.now()}).encode()
            case "/stats" | "/pause" | "/resume":
                if parts.path == "/pause":
                    self._running.clear()
                elif parts.path == "/resume":
                    self._running.set()
                return json.dumps(self.stats).encode()
            case "/flood":
                task = asyncio.get_running_loop().create_task(self.flood(int(query["count"])))
                self._floods = task
                return b"{}"
            case _:
                return b"{}"

    async def send_for_ever(self) -> None:
        due = time.monotonic()
        while True:
            symbols = list(dict.fromkeys(s for peer in self.streams for s in peer.feeds))
            gap = min(self.gap, self.period / max(1, len(symbols)))
            for number, symbol in enumerate(symbols):
                await asyncio.sleep(due + number * gap - time.monotonic())
                if not self._running.is_set():
                    await self._running.wait()
                    due = time.monotonic() - number * gap  # nothing is made up for
                for peer in tuple(self.streams):
                    if feeds := peer.feeds.get(symbol):
                        self._send(peer, feeds, self.now())
            due = max(due + self.period, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def _send(self, peer: Peer, feeds: list[SeriesFeed], now: int) -> None:
        peer.write(b"".join([feed.frames(now) for feed in feeds]))
        self.stats["sent"] += len(feeds)

    async def flood(self, count: int) -> None:
        """Send `count` updates to each connection, as fast as it reads them."""
        for peer in tuple(self.streams):
            feeds = itertools.cycle([feed for feeds in peer.feeds.values() for feed in feeds])
            while count > 0:
                await peer.writable.wait()
                burst = list(itertools.islice(feeds, min(count, FLOOD_AT_ONCE)))
                count -= len(burst)
                # Faster than the clock, whose milliseconds distinguish the states of a candle.
                self.ahead = max(self.ahead + 1, self.now())
                self._send(peer, burst, self.ahead)
                await asyncio.sleep(0)


class Peer(asyncio.Protocol):
    """One connection, HTTP or WebSocket."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._buffer = b""
        self.feeds: dict[str, list[SeriesFeed]] = {}
        self.writable = asyncio.Event()
        self.writable.set()
        self._is_stream = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._exchange.streams.discard(self)
        self.writable.set()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._is_stream:
            self._buffer += data
            while (size := frame_size(self._buffer)) is not None:
                one, self._buffer = self._buffer[:size], self._buffer[size:]
                self._hear(one)
            return
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            target = head.split(b" ", 2)[1].decode()
            if target.startswith("/stream"):
                self._upgrade(target, head)
                return
            self._answer(target)

    def _hear(self, data: bytes) -> None:
        """Answer one masked frame."""
        begin = 8 if data[1] & 127 == 126 else 6
        mask = data[begin - 4 : begin]
        plain = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data[begin:]))
        match data[0] & 15:
            case 1:
                request = json.loads(plain)
                self._subscribe(request["params"])
                self.write(frame(json.dumps({"result": None, "id": request["id"]}).encode()))
            case 8:
                self._transport.close()
            case 9:
                self.write(bytes((0x8A, len(plain))) + plain)

    def _subscribe(self, names: Iterable[str]) -> None:
        for name in names:
            symbol, _, interval = name.partition("@kline_")
            feed = SeriesFeed(symbol.upper(), interval)
            self.feeds.setdefault(feed.symbol, []).append(feed)

    def _answer(self, target: str) -> None:
        is_api = target.startswith("/api/")
        stats = self._exchange.stats
        if is_api:
            stats["requests"] += 1
            stats["first"] = stats["first"] or microseconds()
        body = self._exchange.answer(target)
        data = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-MBX-USED-WEIGHT-1M: 10\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        ) + body
        if is_api and self._exchange.latency:
            asyncio.get_running_loop().call_later(self._exchange.latency, self._last, data)
        else:
            self._last(data)

    def _last(self, data: bytes) -> None:
        self._exchange.stats["last"] = microseconds()
        self.write(data)

    def _upgrade(self, target: str, head: bytes) -> None:
        lower = head.lower()
        begin = lower.index(b"sec-websocket-key:") + len(b"sec-websocket-key:")
        key = head[begin:].split(b"\r\n", 1)[0].strip()
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        self.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._subscribe(parse_qs(urlsplit(target).query)["streams"][0].split("/"))
        self._is_stream = True
        self._exchange.streams.add(self)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--period", type=float, default=2.0, help="seconds; 0 sends nothing")
    parser.add_argument("--gap", type=float, default=0.005, help="seconds between two symbols")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--weight", type=int, default=6000, help="a minute, that is allowed")
    parser.add_argument("--speed", type=float, default=SPEED, help="of its clock")
    parser.add_argument("--rows", type=int, default=1000, help="in an answer at most")
    given = parser.parse_args()
    exchange = Exchange(
        given.period, given.gap, given.latency, given.weight, given.speed, given.rows
    )
    for interval in exchange.klines.values():
        interval.body(exchange.now(), None, None, 1000)
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Peer(exchange), "127.0.0.1", given.port)
    if given.period:
        await exchange.send_for_ever()
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
