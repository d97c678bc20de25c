"""WebSocket clients, thousands in one process: raw protocols that count frames, and measure some.

A JSON job on the command line, a JSON result on standard output. In a frame from a server the two
bytes 0x81 0x7e begin a frame of 126 bytes or more and occur nowhere else, as messages are ASCII;
so most clients only count them. The measured ones, evenly spread, read each candle's moment of
sending (see exchange.py) and compare it with the moment at which the event loop gave them the data.

With the exchange's port as `venue` in the job, updates pause before and after the measurement until
nothing arrives any more, and `lost_updates` counts those that clients have not received.
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
from collections.abc import Sequence
from typing import Any, Protocol

from tests.benchmarks.exchange import microseconds
from tests.benchmarks.peers import ENDPOINT
from tests.benchmarks.processes import (
    INTERVALS,
    SYMBOLS,
    Process,
    allow_many_files,
    cpu_seconds,
    family,
    rss_bytes,
    waited_seconds,
)

CONNECT_AT_ONCE = 50
MEASURED = 100  # clients of all
SENT_AT = re.compile(rb'"volume":(\d+)')
QUIET = 0.3  # seconds without a frame after which none is under way
DRAIN_TIMEOUT = 15.0  # seconds, for a server that is behind
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


class Receiver(Protocol):
    @property
    def counter(self) -> Counter | Reader: ...


class Client(asyncio.Protocol):
    def __init__(self, job: dict[str, Any], counter: Counter | Reader, *, reads: bool) -> None:
        self.counter = counter
        self.is_ready = asyncio.get_running_loop().create_future()
        self.is_lost = False
        self._job = job
        self._reads = reads
        self._head = b""
        self._is_open = False
        self._asks = bool(job["series"]) and job.get("path", ENDPOINT) == ENDPOINT

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
            f"GET {self._job.get('path', ENDPOINT)} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
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
            if self._asks:
                request = {"action": "subscribe", "subscriptions": self._job["series"]}
                self.transport.write(masked(json.dumps(request)))
        if self._is_open and (not self._asks or self._is_subscribed()):
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


class Venue(Protocol):
    """The exchange, see exchange.py."""

    def get(self, target: str) -> bytes: ...


class Updates:
    """The exchange's updates, which can be paused, and what clients have received of them."""

    def __init__(self, venue: Venue | None, share: float, clients: Sequence[Receiver]) -> None:
        self._venue = venue
        self._share = share
        self._clients = clients
        self._received = self._sent = 0

    def received(self) -> int:
        """Frames since the last resume."""
        return sum(client.counter.frames for client in self._clients) - self._received

    async def resume(self) -> None:
        self._received += self.received()
        if self._venue is not None:
            self._sent = json.loads(await asyncio.to_thread(self._venue.get, "/resume"))["sent"]

    async def pause(self) -> tuple[float, int]:
        """Pause until nothing arrives: when the last frame came, and how many did not come."""
        if self._venue is None:
            return time.monotonic(), 0
        sent = json.loads(await asyncio.to_thread(self._venue.get, "/pause"))["sent"] - self._sent
        last, seen = time.monotonic(), self.received()
        deadline = last + DRAIN_TIMEOUT
        while last + QUIET > time.monotonic() < deadline:
            await asyncio.sleep(0.02)
            if self.received() != seen:
                last, seen = time.monotonic(), self.received()
        return last, round(sent * self._share * len(self._clients)) - seen


async def run(job: dict[str, Any]) -> dict[str, Any]:
    latencies: list[int] = []
    ports, pids = job["ports"], [member for pid in job["pids"] for member in family(pid)]
    before = sum(map(rss_bytes, pids))
    started = sum(map(cpu_seconds, pids))
    clients = await connect(job, latencies, ports)
    connect_cpu = sum(map(cpu_seconds, pids)) - started
    await asyncio.sleep(job.get("settle", 3))
    healthy = clients[: job["clients"]]
    venue = Process(0, job["venue"], 0.0) if "venue" in job else None
    share = len(job["series"]) / (len(SYMBOLS) * len(INTERVALS))
    updates = Updates(venue, share, healthy)
    memory = [sum(map(rss_bytes, pids))]
    await updates.pause()
    for client in healthy:
        if isinstance(client.counter, Reader):
            client.counter.is_measuring = True
    cpu = sum(map(cpu_seconds, pids))
    waited = sum(map(waited_seconds, pids))
    own, own_waited = time.process_time(), waited_seconds(os.getpid())
    began = time.monotonic()
    await updates.resume()
    while (left := began + job["seconds"] - time.monotonic()) > 0:
        await asyncio.sleep(min(left, job.get("every", 1)))
        memory.append(sum(map(rss_bytes, pids)))
    ended, lost_updates = await updates.pause()
    seconds = ended - began
    cpu = sum(map(cpu_seconds, pids)) - cpu
    own = (time.process_time() - own) / seconds
    latencies.sort()
    return {
        "frames": updates.received(),
        "lost_updates": lost_updates,
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
