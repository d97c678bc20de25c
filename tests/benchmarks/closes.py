"""Many clients of several gateways, while the leading ingest is killed again and again.

python -m tests.benchmarks.closes [clients] [kills] [symbols] [speed] [period] [rows]

Every client must receive every close of its series once, in order, and equal to the exchange's
history. The exchange's minutes last 60 s by its `speed`, and each symbol, of which there are six
series, is sent every `period` seconds: 30 s and 4 s, unless the machine is too busy for that. A
start is shorter when the exchange gives no more than so many `rows` of history. The
leader is killed at the turn of a minute, while the closes of that minute are under way. Clients of
each gateway are subscribed to every 1m and 5m series.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
import urllib.error
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from tests.fakes.ports import free_port
from tests.fakes.processes import Program

from .exchange import MINUTE
from .load import Client, Reader
from .processes import INTERVALS, Process, allow_many_files, exchange, redis

INTERVALS_OF_CLIENTS = ("1m", "5m")
GATEWAYS = 3
WEIGHT = 10_000_000
READY_TIMEOUT = 600.0  # seconds
BETWEEN_KILLS = 20.0  # seconds
AFTER_TURN = 0.3  # seconds after which the leader is killed: a part of the closes is written
CONNECT_AT_ONCE = 20
PASSED_ON = ("SMARTTRADE_LEASE_TTL", "SMARTTRADE_STALE_AFTER", "SMARTTRADE_REDIS_TIMEOUT")
"""Of the environment, to the measured processes: on a busy machine the defaults are too short."""

Close = tuple[int, bytes]
"""Open time in seconds, and the candle as it was sent."""


class Closes(Reader):
    """Keeps the closes that one client receives, by series."""

    def __init__(self) -> None:
        super().__init__([])
        self.closes: dict[str, list[Close]] = defaultdict(list)
        self.forming: dict[str, int] = {}
        """By series: the candle that the client began with."""
        self.stale = 0
        self.corrected = 0

    def _take(self, first: int, payload: bytes, now: int) -> None:
        if payload.startswith(b'{"type":"candle"'):
            if b'"closed":true' in payload:
                self._close(json.loads(payload))
        elif payload.startswith(b'{"type":"snapshot"'):
            message = json.loads(payload)
            newest = message["candles"][-1]["time"]
            self.forming.setdefault(_series(message), newest + message["closed"])
        elif payload.startswith(b'{"type":"status"'):
            self.stale += b'"stale"' in payload

    def _close(self, message: dict[str, Any]) -> None:
        if message.get("corrected"):
            self.corrected += 1
            return
        text = json.dumps(message["candle"]).encode()
        self.closes[_series(message)].append((message["candle"]["time"], text))

    def faults(self, truth: dict[str, dict[int, bytes]], until: dict[str, int]) -> Iterator[str]:
        """Closes that are missing, repeated, out of order, or not the exchange's."""
        for series, begin in self.forming.items():
            expected = [(t, truth[series][t]) for t in truth[series] if begin <= t < until[series]]
            received = [close for close in self.closes[series] if close[0] < until[series]]
            if received != expected:
                missing = [t for t, _ in expected if t not in dict(received)]
                yield f"{series}: {len(received)} of {len(expected)} closes, missing {missing[:5]}"


def _series(message: dict[str, Any]) -> str:
    return f"{message['symbol']} {message['interval']}"


class Deployment:
    def __init__(
        self, stack: ExitStack, symbols: Sequence[str], speed: float, period: float, rows: int
    ) -> None:
        self._speed = speed
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._stack = stack
        self._symbols = ",".join(symbols)
        self._started = 0
        self._redis = stack.enter_context(redis())
        self._exchange = stack.enter_context(
            exchange(weight=WEIGHT, speed=speed, period=period, rows=rows)
        )

    def start(self, command: str) -> Program:
        self._started += 1
        program = Program(
            self._folder / f"{self._started}-{command}.log",
            command,
            "--port",
            str(free_port()),
            BINANCE_REST_URL=self._exchange.url,
            BINANCE_WS_URL=self._exchange.url.replace("http", "ws"),
            REDIS_URL=self._redis,
            SMARTTRADE_SYMBOLS=self._symbols,
            SMARTTRADE_INTERVALS=",".join(INTERVALS),
            SMARTTRADE_MAX_CONNECTIONS_PER_IP="10000",
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        )
        self._stack.callback(program.kill)
        return program.start()

    async def turn_of_minute(self) -> None:
        """Wait for the exchange's next minute, and a moment longer."""
        now = json.loads(self._exchange.get("/api/v3/time"))["serverTime"]
        await asyncio.sleep((MINUTE - now % MINUTE) / 1000 / self._speed + AFTER_TURN)

    def truth(self, series: str) -> dict[int, bytes]:
        """Closed candles of the exchange's history, by open time."""
        symbol, interval = series.split()
        target = f"/api/v3/klines?symbol={symbol}&interval={interval}&limit=1000"
        names = ("open", "high", "low", "close", "volume")
        found = {}
        for row in json.loads(self._exchange.get(target))[:-1]:
            values = zip(names, map(float, row[1:6]), strict=True)
            found[row[0] // 1000] = json.dumps({"time": row[0] // 1000, **dict(values)}).encode()
        return found


def _get(program: Program, target: str) -> bytes:
    return Process(0, program.port, 0.0).get(target)


def _until(program: Program, target: str, is_good: Any) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < deadline:
        with suppress(urllib.error.URLError, OSError):
            if is_good(json.loads(_get(program, target))):
                return
        time.sleep(0.2)
    raise TimeoutError(f"{target} of {program.log.name}: {program.log.read_text()[-2000:]}")


def _leader(ingests: Sequence[Program]) -> Program:
    """Wait for the one that leads."""
    deadline = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < deadline:
        for program in ingests:
            if json.loads(_get(program, "/system"))["store"]["role"] == "leading":
                return program
        time.sleep(0.2)
    raise TimeoutError("none leads")


async def run(deployment: Deployment, count: int, kills: int, symbols: Sequence[str]) -> bool:
    ingests = [deployment.start("ingest") for _ in range(kills + 1)]
    for program in ingests:
        _until(program, "/ready", lambda _: True)
    print(f"{len(ingests)} ingests are ready", flush=True)
    gateways = [deployment.start("gateway") for _ in range(GATEWAYS)]
    for program in gateways:
        _until(program, "/ready", lambda _: True)
    wanted = [f"{symbol} {interval}" for symbol in symbols for interval in INTERVALS_OF_CLIENTS]
    readers = await _connect(count, wanted, [gateway.port for gateway in gateways])
    print(f"{count} clients are subscribed to {len(wanted)} series", flush=True)
    for number in range(kills):
        await asyncio.sleep(BETWEEN_KILLS)
        await deployment.turn_of_minute()
        leader = _leader(ingests)
        leader.kill()
        ingests.remove(leader)
        killed_at = time.monotonic()
        await asyncio.to_thread(_leader, ingests)
        seconds = time.monotonic() - killed_at
        print(f"kill {number + 1}: another leads {seconds:.1f} s later", flush=True)
    await asyncio.sleep(BETWEEN_KILLS)
    truth = {series: await asyncio.to_thread(deployment.truth, series) for series in wanted}
    until = {series: max(known) for series, known in truth.items()}
    await asyncio.sleep(BETWEEN_KILLS / 2)
    return _report(readers, truth, until)


async def _connect(count: int, wanted: Sequence[str], ports: Sequence[int]) -> list[Closes]:
    """Clients that follow each other in number have the same series, at another gateway each."""
    loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(CONNECT_AT_ONCE)
    each = max(2, -(-len(wanted) // (count // len(ports))))

    async def one(number: int) -> Closes:
        reader = Closes()
        first = number // len(ports) * each
        picked = [wanted[(first + n) % len(wanted)] for n in range(each)]
        entries = [dict(zip(("symbol", "interval"), s.split(), strict=True)) for s in picked]
        job = {"series": [entry | {"snapshot": 1} for entry in entries]}
        async with gate:
            client = Client(job, reader, reads=True)
            port = ports[number % len(ports)]
            await loop.create_connection(lambda: client, "127.0.0.1", port)
            await asyncio.wait_for(client.is_ready, 60)
        return reader

    return list(await asyncio.gather(*(one(number) for number in range(count))))


def _report(
    readers: Sequence[Closes], truth: dict[str, dict[int, bytes]], until: dict[str, int]
) -> bool:
    faults = [fault for reader in readers for fault in reader.faults(truth, until)]
    closes = sum(len(each) for reader in readers for each in reader.closes.values())
    stale = sum(reader.stale > 0 for reader in readers)
    corrected = sum(reader.corrected for reader in readers)
    print(f"{closes} closes, {corrected} corrections, {stale} clients received `stale`")
    print(f"{len(faults)} faults: {faults[:5]}", flush=True)
    return not faults


def main() -> None:
    defaults = ("1000", "3", "10", "2", "4", "1000")
    given = (*sys.argv[1:], *defaults[len(sys.argv) - 1 :])
    count, kills, number, rows = map(int, (*given[:3], given[5]))
    speed, period = map(float, given[3:5])
    symbols = [f"S{n:03}USDT" for n in range(number)]
    allow_many_files()
    with ExitStack() as stack:
        is_good = asyncio.run(
            run(Deployment(stack, symbols, speed, period, rows), count, kills, symbols)
        )
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
