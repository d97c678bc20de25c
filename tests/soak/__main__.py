"""Hours of ordinary faults and of attacks: nothing is lost, and nothing grows.

    python -m tests.soak --minutes 60 --clients 500 [--no-attacks] [--plot docs/images/soak.svg]

Runs the service at real speed against the simulator with a Redis of its own. Each second a few
clients leave and others come; some read slowly. Each minute there is a fault in turn: the exchange
hangs, or is killed and started again, or Redis is. From another address comes an attack every half
minute. Before a client leaves, its charts must be what the service has. At the end all clients
leave. Memory, descriptors and threads are sampled every two seconds, reported, and plotted; the
exit status is 1 if something grew that should not have, or a client was disconnected, or a chart
was wrong or could not be compared.

Memory has two limits. All of it must stay below what the service's own limits allow. What it holds
beside caches and bytes that wait, which have such limits, must not grow once every attack had its
turn; to see that takes a run of three rounds of attacks, half an hour.

Beside other programs give it precedence, or its clients are late by themselves. On Linux `nice`
alone does nothing against programs of other sessions (sched(7), "The autogroup feature"):

    setsid sh -c 'echo -20 > /proc/self/autogroup; exec nice -n -20 python -m tests.soak'
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import trio

from tests.attacks.in_turn import ROUND
from tests.attacks.regular_client import noticed
from tests.fakes.ports import free_port
from tests.fakes.processes import Program
from tests.fakes.redis_server import RedisServer, redis_binary

from .faults import Faults
from .honest_client import SYMBOLS, HonestClient, Tally
from .plot import draw
from .samples import Sample, grows, growth, held_in, most_allowed, take_sample

INTERVALS = ("1m", "5m", "1h")
SAMPLE_INTERVAL = 2.0  # seconds
ADDRESSES = 10  # of the honest clients, who share each with others
LIMITS = {
    # The defaults; set explicitly, they hold for this machine's addresses too.
    "SMARTTRADE_REQUESTS_PER_SECOND_PER_IP": "200",
    "SMARTTRADE_REQUEST_BURST_PER_IP": "1000",
}


@dataclass
class Soak:
    service: Program
    faults: Faults
    rest: httpx.AsyncClient
    rng: random.Random
    tally: Tally = field(default_factory=Tally)
    samples: list[Sample] = field(default_factory=list)
    began: float = field(default_factory=trio.current_time)
    _numbers: count[int] = field(default_factory=count)

    async def sample(self) -> None:
        """What the service does not answer is as it was."""
        held = self.samples[-1].held if self.samples else 0.0
        with trio.move_on_after(SAMPLE_INTERVAL), suppress(httpx.HTTPError):
            held = held_in((await self.rest.get("/metrics")).text)
        at = trio.current_time() - self.began
        self.samples.append(take_sample(self.service.pid, at, held, self.tally.present))

    async def watch(self) -> None:
        while True:
            await self.sample()
            await trio.sleep(SAMPLE_INTERVAL)

    async def keep_clients(self, number: int) -> None:
        """Keep about `number` clients connected."""
        async with trio.open_nursery() as nursery:
            while True:
                for _ in range(min(25, number - self.tally.present)):
                    address = f"127.0.2.{next(self._numbers) % ADDRESSES + 1}"
                    client = HonestClient(
                        self.service.port, address, self.rest, self.tally, self.rng
                    )
                    nursery.start_soon(client.visit)
                await trio.sleep(0.5)


@asynccontextmanager
async def service_with_faults(place: Path) -> AsyncGenerator[tuple[Program, Faults]]:
    with RedisServer(redis_binary(), place) as redis:
        exchange = Program(
            place / "exchange.log",
            *("simulator", "--port", str(free_port())),
            *("--symbols", ",".join(SYMBOLS)),
        )
        service = Program(
            place / "service.log",
            *("serve", "--port", str(free_port())),
            *("--symbols", ",".join(SYMBOLS), "--intervals", ",".join(INTERVALS)),
            BINANCE_REST_URL=exchange.url,
            BINANCE_WS_URL=exchange.url.replace("http", "ws"),
            REDIS_URL=redis.url,
            **LIMITS,
        )
        try:
            await exchange.start().until("/api/v3/time", lambda _: True)
            await service.start().ready()
            yield service, Faults(exchange, redis)
        finally:
            service.kill()
            exchange.kill()


async def soak(minutes: float, clients: int, seed: int, plot: Path | None, *, attacks: bool) -> int:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        async with service_with_faults(place) as (service, faults):
            async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=30) as rest:
                running = Soak(service, faults, rest, random.Random(seed))
                await _run(running, place, minutes, clients, attacks=attacks)
            status = await service.stop()
        tracebacks = service.log.read_text().count("Traceback")
        if plot is not None:
            begun = [(at - running.began, name) for at, name in faults.begun]
            await trio.Path(plot).write_text(draw(running.samples, begun))
        print_notices(place, running)
        return report(running, clients, status, tracebacks)


async def _run(running: Soak, place: Path, minutes: float, clients: int, *, attacks: bool) -> None:
    await trio.sleep(SAMPLE_INTERVAL)
    await running.sample()
    port, url = running.service.port, running.service.url
    regular = place / "regular"
    helpers = [_process(regular, "tests.attacks.regular_client", url)]
    if attacks:
        helpers.append(_process(place / "attacks", "tests.attacks.in_turn", str(port)))
    try:
        async with trio.open_nursery() as watching:
            watching.start_soon(running.watch)
            with trio.move_on_after(minutes * 60):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(running.faults.run)
                    nursery.start_soon(running.keep_clients, clients)
            for helper in helpers:
                helper.kill()
            await trio.sleep(15)
            await running.sample()
            watching.cancel_scope.cancel()
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()


def _process(output: Path, module: str, argument: str) -> subprocess.Popen[bytes]:
    with output.open("wb") as file:
        return subprocess.Popen([sys.executable, "-m", module, argument], stdout=file)


def print_notices(place: Path, running: Soak) -> None:
    """What the regular client noticed."""
    seen = noticed(place / "regular", time.monotonic() - trio.current_time() + running.began)
    for name, values in (
        ("/health", seen.health),
        ("chart", seen.charts),
    ):
        shares = [values[int(len(values) * share)] for share in (0.5, 0.95, 0.99)]
        quantiles = ", ".join(f"{value * 1000:.0f}" for value in (*shares, values[-1]))
        print(f"{name}: {len(values)}; median, p95, p99, worst {quantiles} ms")


def report(running: Soak, clients: int, status: int, tracebacks: int) -> int:
    """Print the figures; 1 if something is wrong with them."""
    tally, samples, begun = running.tally, running.samples, running.faults.begun
    empty, last = samples[0], samples[-1]
    full = [each for each in samples if each.clients >= clients * 0.9] or [last]
    print(f"{tally.came} clients, {tally.lost.total()} disconnected, {tally.updates} updates")
    for reason, number in tally.lost.most_common():
        print(f"  {number} x {reason}")
    checked = tally.checked - tally.unanswered
    print(f"{checked} charts compared, {tally.unanswered} not; {len(begun)} faults")
    print("            memory MB  of it held  descriptors  threads")
    for name, each in ("before", empty), ("full", full[-1]), ("after", last):
        print(f"{name:10}{each.memory:11.1f}{each.held:12.1f}{each.descriptors:13}{each.threads:9}")
    settled, allowed = _settled(full), most_allowed(empty, clients)
    most = max(each.memory for each in samples)
    print(f"at most {most:.1f} MB, of {allowed:.0f} that are allowed")
    print(_growth_text(settled))
    print(f"exit status {status}, {tracebacks} tracebacks logged")
    wrong = [*tally.wrong[:10]]
    if tally.lost:
        wrong.append("clients were disconnected")
    if tally.unanswered:
        wrong.append("charts could not be compared")
    if grows(settled, ROUND):
        wrong.append("memory grows")
    if most > allowed:
        wrong.append("memory is over its limits")
    if last.descriptors > empty.descriptors + 8:
        wrong.append("descriptors are left")
    if last.threads > empty.threads + 8:
        wrong.append("threads are left")
    if status != 0:
        wrong.append("it did not stop in order")
    print("\n".join(wrong) or "nothing lost, nothing grew")
    return int(bool(wrong))


def _settled(full: Sequence[Sample]) -> Sequence[Sample]:
    """Those after every attack had its turn; all, if that never was."""
    return [each for each in full if each.at >= full[0].at + ROUND] or full


def _growth_text(settled: Sequence[Sample]) -> str:
    grown = growth(settled, ROUND)
    if grown is None:
        return f"shorter than {3 * ROUND / 60:.0f} min: whether memory grows cannot be seen"
    floor, top = min(each.rest for each in settled), max(each.rest for each in settled)
    return (
        f"beside what is held: {floor:.1f} to {top:.1f} MB from {settled[0].at / 60:.1f} min on;"
        f" the lowest of the last round of attacks is {grown:+.1f} MB above that of the first"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-attacks", action="store_true")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    sys.exit(
        trio.run(
            lambda: soak(
                given.minutes, given.clients, given.seed, given.plot, attacks=not given.no_attacks
            )
        )
    )
