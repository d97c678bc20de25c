"""Hours of ordinary faults: clients connect and leave, the exchange fails, Redis is restarted.

    python -m tests.soak --minutes 60 --clients 500 [--plot docs/images/soak.svg]

Runs the service at real speed against the simulator with a Redis of its own. Each second a few
clients leave and others come; some read slowly. Each minute there is a fault in turn: the exchange
hangs, or is killed and started again, or Redis is. At the end all clients leave. Memory,
descriptors, threads and sessions are sampled every two seconds, reported, and plotted; the exit status is
1 if a resource grew that should not have, or if a client got its series out of order.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import httpx
import trio
import trio_websocket

from tests.fakes.processes import Program
from tests.fakes.redis_server import RedisServer, binaries, free_port

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "LTCUSDT")
INTERVALS = ("1m", "5m", "1h")
SAMPLE_INTERVAL = 2.0  # seconds between two samples
FAULT_INTERVAL = 60.0  # seconds
FAULT_DURATION = 8.0  # seconds
MEAN_STAY = 60.0  # seconds that a client stays, on average


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    """Seconds since the start."""
    memory: float
    """Megabytes resident."""
    descriptors: int
    threads: int
    clients: int


@dataclass
class Soak:
    service: Program
    exchange: Program
    redis: RedisServer
    random: random.Random
    began: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)
    faults: list[tuple[float, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    clients: int = 0
    came: int = 0
    lost: int = 0
    """Sessions ended by the server or the network."""
    updates: int = 0

    @property
    def now(self) -> float:
        return time.monotonic() - self.began

    def sample(self) -> None:
        process = self.service._process
        assert process is not None
        place = Path(f"/proc/{process.pid}")
        pages = int((place / "statm").read_text().split()[1])
        self.samples.append(
            Sample(
                self.now,
                pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
                sum(1 for _ in (place / "fd").iterdir()),
                sum(1 for _ in (place / "task").iterdir()),
                self.clients,
            )
        )

    async def watch(self) -> None:
        while True:
            self.sample()
            await trio.sleep(SAMPLE_INTERVAL)

    async def client(self) -> None:
        """A client that stays for a while; one in ten reads slowly."""
        self.came += 1
        self.clients += 1
        slow = self.random.random() < 0.1
        series = [(symbol, "1m") for symbol in self.random.sample(SYMBOLS, 3)]
        stays = self.random.expovariate(1 / MEAN_STAY)
        try:
            with trio.move_on_after(stays) as leaving:
                await self._listen(series, 0.5 if slow else 0.0)
        except* (OSError, trio_websocket.HandshakeError, trio_websocket.ConnectionClosed):
            self.lost += 1
        else:
            self.lost += not leaving.cancelled_caught
        finally:
            self.clients -= 1

    async def _listen(self, series: Sequence[tuple[str, str]], pause: float) -> None:
        newest: dict[tuple[str, str], int] = {}
        address = self.service.url.replace("http", "ws") + "/ws/candles"
        wanted = [{"symbol": s, "interval": i, "snapshot": 100} for s, i in series]
        async with trio_websocket.open_websocket_url(address) as websocket:
            await websocket.send_message(json.dumps({"subscriptions": wanted}))
            while True:
                message = json.loads(await websocket.get_message())
                if message["type"] == "candle":
                    self.updates += 1
                    key = message["symbol"], message["interval"]
                    moment = message["candle"]["time"]
                    if moment < newest.get(key, 0) and not message.get("corrected"):
                        self.wrong.append(f"{key}: {moment} after {newest[key]}")
                    newest[key] = max(moment, newest.get(key, 0))
                await trio.sleep(pause)

    async def keep_clients(self, number: int, nursery: trio.Nursery) -> None:
        """Keep about `number` clients connected."""
        while True:
            for _ in range(min(50, number - self.clients)):
                nursery.start_soon(self.client)
            await trio.sleep(0.5)

    async def poll_rest(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as http:
            while True:
                symbol = self.random.choice(SYMBOLS)
                with suppress(httpx.HTTPError):
                    await http.get(f"{self.service.url}/candles/{symbol}/1m")
                await trio.sleep(0.05)

    async def inject_faults(self) -> None:
        kinds = [self.exchange_hangs, self.redis_restarts, self.redis_hangs, self.exchange_restarts]
        while True:
            for kind in kinds:
                await trio.sleep(FAULT_INTERVAL - FAULT_DURATION)
                self.faults.append((self.now, kind.__name__))
                await kind()

    async def exchange_hangs(self) -> None:
        self.exchange.send(signal.SIGSTOP)
        await trio.sleep(FAULT_DURATION)
        self.exchange.send(signal.SIGCONT)

    async def exchange_restarts(self) -> None:
        self.exchange.kill()
        await trio.sleep(FAULT_DURATION)
        self.exchange.start()

    async def redis_hangs(self) -> None:
        self.redis.freeze()
        await trio.sleep(FAULT_DURATION)
        self.redis.thaw()

    async def redis_restarts(self) -> None:
        self.redis.kill()
        await trio.sleep(FAULT_DURATION)
        self.redis.start()


async def soak(minutes: float, clients: int, seed: int, plot: Path | None) -> int:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with RedisServer(next(binaries())[1], place) as redis:
            exchange = Program(
                *(place / "exchange.log", "simulator", "--port", str(free_port())),
                *("--symbols", ",".join(SYMBOLS)),
            )
            service = Program(
                *(place / "service.log", "serve", "--port", str(free_port())),
                *("--symbols", ",".join(SYMBOLS), "--intervals", ",".join(INTERVALS)),
                BINANCE_REST_URL=exchange.url,
                BINANCE_WS_URL=exchange.url.replace("http", "ws"),
                REDIS_URL=redis.url,
                SMARTTRADE_MAX_CONNECTIONS_PER_IP="10000",
            )
            try:
                await exchange.start().until("/api/v3/time", lambda _: True)
                await service.start().ready()
                running = Soak(service, exchange, redis, random.Random(seed))
                empty, full = await _run(running, minutes, clients)
                status = await service.stop()
            finally:
                service.kill()
                exchange.kill()
            tracebacks = count_tracebacks(service.log)
    if plot is not None:
        await trio.Path(plot).write_text(draw(running.samples, running.faults))
    return report(running, empty, full, status, tracebacks)


def count_tracebacks(log: Path) -> int:
    return log.read_text().count("Traceback")


async def _run(running: Soak, minutes: float, clients: int) -> tuple[Sample, list[Sample]]:
    """The sample before the first client, and those while all were connected."""
    running.sample()
    async with trio.open_nursery() as watching:
        watching.start_soon(running.watch)
        async with trio.open_nursery() as nursery:
            for task in (running.inject_faults, running.poll_rest):
                nursery.start_soon(task)
            nursery.start_soon(running.keep_clients, clients, nursery)
            await trio.sleep(minutes * 60)
            nursery.cancel_scope.cancel()
        full = [each for each in running.samples if each.clients >= clients * 0.9]
        await trio.sleep(15)
        running.sample()
        watching.cancel_scope.cancel()
    return running.samples[0], full


def report(
    running: Soak, empty: Sample, full: Sequence[Sample], status: int, tracebacks: int
) -> int:
    """Print the figures; 1 if something is wrong with them."""
    last = running.samples[-1]
    third = max(1, len(full) // 3)
    early = mean(each.memory for each in full[third : 2 * third] or full)
    late = mean(each.memory for each in full[2 * third :] or full)
    print(
        f"{running.came} clients connected, {running.lost} were disconnected, {running.updates} updates"
    )
    print(f"faults: {', '.join(f'{name} at {at:.0f} s' for at, name in running.faults) or 'none'}")
    print("            memory MB  descriptors  threads")
    for name, each in ("before", empty), ("full", full[-1] if full else last), ("after", last):
        print(f"{name:10}{each.memory:11.1f}{each.descriptors:13}{each.threads:9}")
    print(f"memory with all clients: second third {early:.1f} MB, last third {late:.1f} MB")
    print(f"exit status {status}, {tracebacks} tracebacks logged")
    wrong = [*running.wrong[:10]]
    if late > early * 1.1 + 5:
        wrong.append("memory grows")
    if last.descriptors > empty.descriptors + 8:
        wrong.append("descriptors are left")
    if last.threads > empty.threads + 8:
        wrong.append("threads are left")
    if status != 0:
        wrong.append("it did not stop in order")
    print("\n".join(wrong) or "nothing grew, all in order")
    return int(bool(wrong))


# -- The plot ---------------------------------------------------------------------------------

FRAME = 'fill="none" stroke="#ccc"'
WIDTH, HEIGHT, LEFT, TOP, GAP = 900, 110, 70, 20, 40


def draw(samples: Sequence[Sample], faults: Sequence[tuple[float, str]]) -> str:
    """An SVG with one curve below the other, and the faults as vertical lines."""
    end = samples[-1].at
    curves = {
        "memory, MB": [each.memory for each in samples],
        "descriptors": [float(each.descriptors) for each in samples],
        "threads": [float(each.threads) for each in samples],
        "clients": [float(each.clients) for each in samples],
    }
    height = TOP + len(curves) * (HEIGHT + GAP)
    box = f'viewBox="0 0 {WIDTH + LEFT + 20} {height}" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for at, name in faults:
        x = LEFT + WIDTH * at / end
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - GAP}" stroke="#e5b8a8">'
            f"<title>{name}</title></line>"
        )
    for number, (name, values) in enumerate(curves.items()):
        top = TOP + number * (HEIGHT + GAP)
        most = max(*values, 1) * 1.1
        points = " ".join(
            f"{LEFT + WIDTH * each.at / end:.1f},{top + HEIGHT * (1 - value / most):.1f}"
            for each, value in zip(samples, values, strict=True)
        )
        parts += [
            f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" {FRAME}/>',
            f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{most:.0f}</text>',
            f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>',
            f'<text x="{LEFT + 6}" y="{top + 14}">{name}</text>',
            f'<polyline points="{points}" fill="none" stroke="#2563a8" stroke-width="1.5"/>',
        ]
    parts.append(
        f'<text x="{LEFT}" y="{height - GAP + 16}">0</text><text x="{LEFT + WIDTH}"'
        f' y="{height - GAP + 16}" text-anchor="end">{end / 60:.1f} min</text></svg>'
    )
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    sys.exit(trio.run(soak, arguments.minutes, arguments.clients, arguments.seed, arguments.plot))
