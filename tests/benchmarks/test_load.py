"""The load generator counts every frame, for any split into reads."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import zlib
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.exchange import Exchange, SeriesFeed, frame
from tests.benchmarks.load import Counter, Reader, Updates
from tests.benchmarks.processes import family


def update(volume: int) -> bytes:
    text = '{"type":"candle","symbol":"BTCUSDT","interval":"1m","candle":{"time":1,"open":1.0,'
    return f'{text}"high":1.0,"low":1.0,"close":1.0,"volume":{volume}.0}},"closed":false}}'.encode()


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in (*pieces, data) if piece]


@given(st.integers(0, 20), st.lists(st.integers(1, 300)))
def test_every_frame_is_counted_once(count: int, sizes: list[int]) -> None:
    data = frame(b'{"type":"heartbeat"}') + b"".join(frame(update(n)) for n in range(count))
    counter, reader = Counter(), Reader([])
    for piece in cut(data, sizes):
        counter.feed(piece)
        reader.feed(piece)
    assert counter.frames == reader.frames == count


def test_moments_are_read_from_plain_and_compressed_frames() -> None:
    latencies: list[int] = []
    reader = Reader(latencies)
    reader.is_measuring = True
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = deflate.compress(update(0)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    compressed = frame(packed[:-4])
    reader.feed(frame(update(0)) + bytes((compressed[0] | 0x40,)) + compressed[1:])
    assert reader.frames == 2
    assert len(latencies) == 2
    assert all(latency > 0 for latency in latencies)


def test_exchange_closes_a_candle_before_the_next() -> None:
    feed = SeriesFeed("BTCUSDT", "1m")
    assert feed.frames(60_000).count(b'"x":false') == 1
    turned = feed.frames(120_000)
    assert turned.index(b'"x":true') < turned.index(b'"x":false')


@dataclass
class CountingVenue:
    sent: int = 0

    def get(self, target: str) -> bytes:
        return json.dumps({"sent": self.sent}).encode()


@dataclass
class Subscriber:
    counter: Counter


async def lost(share: float, sent: int, received: tuple[int, int]) -> int:
    """Of `sent` updates, when clients have frames from before as well."""
    venue, clients = CountingVenue(), [Subscriber(Counter()), Subscriber(Counter())]
    updates = Updates(venue, share, clients)
    for client in clients:
        client.counter.frames = 7
    await updates.resume()
    venue.sent += sent
    for client, count in zip(clients, received, strict=True):
        client.counter.frames += count
    _, missing = await updates.pause()
    return missing


def test_updates_that_clients_have_not_received_are_counted() -> None:
    assert asyncio.run(lost(1.0, 120, (120, 120))) == 0
    assert asyncio.run(lost(1 / 6, 120, (20, 19))) == 1


def test_descendants_of_a_process_are_measured_with_it() -> None:
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdout is not None
        child = int(shell.stdout.readline())
        assert family(shell.pid) == [shell.pid, child]
        subprocess.run(["kill", str(child)], check=True)


class Recorder:
    """A connection to the exchange, with ten symbols, that notes when it is written to."""

    def __init__(self) -> None:
        names = [f"COIN{number}USDT" for number in range(10)]
        self.feeds = {name: [SeriesFeed(name, "1m")] for name in names}
        self.moments: list[float] = []

    def write(self, data: bytes) -> None:
        self.moments.append(time.monotonic())


async def moments_after_a_pause(gap: float) -> list[float]:
    exchange = Exchange(10 * gap, gap, 0.0, 6000, 1.0)
    stream: Any = Recorder()
    exchange.streams.add(stream)
    sending = asyncio.create_task(exchange.send_for_ever())
    await asyncio.sleep(gap / 2)
    exchange.answer("/pause")
    before = len(stream.moments)
    await asyncio.sleep(6 * gap)
    assert len(stream.moments) == before
    exchange.answer("/resume")
    while len(stream.moments) < before + 6:
        await asyncio.sleep(gap)
    sending.cancel()
    found: list[float] = stream.moments[before:]
    return found


def test_exchange_makes_up_for_nothing_after_a_pause() -> None:
    moments = asyncio.run(moments_after_a_pause(gap=0.1))
    assert moments[5] - moments[0] > 0.4
