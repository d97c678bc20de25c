"""WebSocket clients, thousands in one process: raw protocols that count frames, and measure some.

A JSON job on the command line, a JSON result on standard output. In a frame from a server the two
bytes 0x81 0x7e begin a frame of 126 bytes or more and occur nowhere else, as messages are ASCII;
so most clients only count them. The measured ones, evenly spread, read each candle's moment of
sending (see exchange.py) and compare it with the moment at which the event loop gave them the data.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import sys
import time
import zlib
from typing import Any

from tests.benchmarks.exchange import microseconds
from tests.benchmarks.processes import allow_many_files, cpu_seconds, rss_bytes, waited_seconds

CONNECT_AT_ONCE = 50
MEASURED = 100  # clients of all
SENT_AT = re.compile(rb'"volume":(\d+)')
TOO_BUSY = 0.7  # share of a processor from which on the load itself adds latency


def masked(text: str) -> bytes:
    """A client's text frame, masked with zero, which leaves the payload unchanged."""
    size = len(text)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + bytes(4) + text.encode()


class Counter:
    """Counts frames of 126 bytes or more, for any split into reads."""

    def __init__(self) -> None:
        self.frames = 0
        self._split = False

    def feed(self, data: bytes) -> None:
        self.frames += data.count(b"\x81\x7e")
        if self._split and data[0] == 0x7E:
            self.frames += 1
        self._split = data[-1] == 0x81


class Reader:
    """Parses frames, compressed ones too, and the send times in them."""

    def __init__(self, latencies: list[int]) -> None:
        self.frames = 0
        self.is_measuring = False
        self._latencies = latencies
        self._rest = b""
        self._inflate = zlib.decompressobj(-15)

    def feed(self, data: bytes) -> None:
        now = microseconds()
        data = self._rest + data
        start, end = 0, len(data)
        while start + 4 <= end:
            size, head = data[start + 1], 2
            if size == 126:
                size, head = int.from_bytes(data[start + 2 : start + 4], "big"), 4
            elif size == 127:
                if start + 10 > end:
                    break
                size, head = int.from_bytes(data[start + 2 : start + 10], "big"), 10
            if start + head + size > end:
                break
            self._take(data[start], data[start + head : start + head + size], now)
            start += head + size
        self._rest = data[start:]

    def _take(self, first: int, payload: bytes, now: int) -> None:
        if first & 0x40:
            payload = self._inflate.decompress(payload + b"\x00\x00\xff\xff")
        if not payload.startswith(b'{"type":"candle"'):
            return
        self.frames += 1
        if self.is_measuring and (found := SENT_AT.search(payload)):
            self._latencies.append(now - int(found[1]))


class CompressedCounter(Reader):
    """Counts compressed data frames without parsing them."""

    def _take(self, first: int, payload: bytes, now: int) -> None:
        self.frames += first & 15 < 8


class Client(asyncio.Protocol):
    def __init__(self, job: dict[str, Any], counter: Counter | Reader, *, reads: bool) -> None:
        self.counter = counter
        self.is_ready = asyncio.get_running_loop().create_future()
        self.is_lost = False
        self._job = job
        self._reads = reads
        self._head = b""
        self._is_open = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if not self._reads:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        key = base64.b64encode(os.urandom(16)).decode()
        offer = (
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
            if self._job.get("deflate")
            else ""
        )
        transport.write(
            f"GET /ws/candles HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"{offer}\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self.is_ready.done():
            self.counter.feed(data)
            return
        self._head += data
        if not self._is_open and b"\r\n\r\n" in self._head:
            status, _, self._head = self._head.partition(b"\r\n\r\n")
            if b" 101 " not in status[:20]:
                self.is_ready.set_exception(RuntimeError(status.decode()))
                return
            self._is_open = True
            if self._job["series"]:
                request = {"action": "subscribe", "subscriptions": self._job["series"]}
                self.transport.write(masked(json.dumps(request)))
        if self._is_open and (not self._job["series"] or self._is_subscribed()):
            if self._head:
                self.counter.feed(self._head)
            self.is_ready.set_result(None)
            if not self._reads:
                self.transport.pause_reading()

    def _is_subscribed(self) -> bool:
        # A compressed answer counts as well: nothing else is that long at the start.
        return b'"type":"subscribed"' in self._head or (
            bool(self._job.get("deflate")) and b"\xc1" in self._head
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if not self.is_ready.done():
            self.is_ready.set_exception(ConnectionResetError("lost before it was subscribed"))


async def connect(job: dict[str, Any], latencies: list[int], ports: list[int]) -> list[Client]:
    """All clients, `slow` ones that read nothing among them, over `ports` in turn."""
    loop = asyncio.get_running_loop()
    count, slow = job["clients"], job.get("slow", 0)
    measured = set(range(0, count, max(1, count // MEASURED)))
    gate = asyncio.Semaphore(CONNECT_AT_ONCE)

    async def one(number: int) -> Client:
        counter: Counter | Reader
        if number in measured:
            counter = Reader(latencies)
        else:
            counter = CompressedCounter([]) if job.get("deflate") else Counter()
        async with gate:
            client = Client(job, counter, reads=number < count)
            port = ports[number % len(ports)]
            await loop.create_connection(lambda: client, "127.0.0.1", port)
            await asyncio.wait_for(client.is_ready, 60)
        return client

    return list(await asyncio.gather(*(one(number) for number in range(count + slow))))


async def run(job: dict[str, Any]) -> dict[str, Any]:
    latencies: list[int] = []
    ports, pids = job["ports"], job["pids"]
    before = sum(map(rss_bytes, pids))
    started = sum(map(cpu_seconds, pids))
    clients = await connect(job, latencies, ports)
    connect_cpu = sum(map(cpu_seconds, pids)) - started
    await asyncio.sleep(job.get("settle", 3))
    healthy = clients[: job["clients"]]
    memory = [sum(map(rss_bytes, pids))]
    for client in healthy:
        if isinstance(client.counter, Reader):
            client.counter.is_measuring = True
    frames = sum(client.counter.frames for client in healthy)
    cpu = sum(map(cpu_seconds, pids))
    waited = sum(map(waited_seconds, pids))
    own, own_waited = time.process_time(), waited_seconds(os.getpid())
    began = time.monotonic()
    while (left := began + job["seconds"] - time.monotonic()) > 0:
        await asyncio.sleep(min(left, job.get("every", 1)))
        memory.append(sum(map(rss_bytes, pids)))
    seconds = time.monotonic() - began
    cpu = sum(map(cpu_seconds, pids)) - cpu
    frames = sum(client.counter.frames for client in healthy) - frames
    own = (time.process_time() - own) / seconds
    latencies.sort()
    return {
        "frames": frames,
        "seconds": seconds,
        "cpu": cpu,
        "connect_cpu": connect_cpu / len(clients),
        "waited": (sum(map(waited_seconds, pids)) - waited) / seconds,
        "p50": _percentile(latencies, 0.50),
        "p99": _percentile(latencies, 0.99),
        "samples": len(latencies),
        "memory": memory,
        "per_client": (memory[0] - before) / len(clients),
        "lost": sum(client.is_lost for client in healthy),
        "slow_lost": sum(client.is_lost for client in clients[job["clients"] :]),
        "load": own,
        "load_waited": (waited_seconds(os.getpid()) - own_waited) / seconds,
        "load_is_bottleneck": own > TOO_BUSY,
    }


def _percentile(sorted_values: list[int], share: float) -> float:
    """In ms."""
    if not sorted_values:
        return float("nan")
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))] / 1000


if __name__ == "__main__":
    import uvloop

    allow_many_files()
    print(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
