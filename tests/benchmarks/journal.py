"""The load on Redis, and its effect on the feed. Prints a table; see docs/operations.md.

python -m tests.benchmarks.journal [updates a second] [seconds]
"""

from __future__ import annotations

import resource
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

from actors import Mailbox
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.store.actor import run_store
from smarttrade.store.events import HubEvent
from smarttrade.store.journal import Journal, run_journal
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import PutHistory, PutUpdates, StoreMessage
from smarttrade.store.redis_database import RedisDatabase
from tests.fakes.redis_server import RedisServer, redis_binary

INTERVALS = tuple(map(Interval, ("1m", "5m", "15m", "1h", "4h", "1d")))
BEGAN = 1_764_633_600_000
TICK = 0.005  # seconds between two messages of the feed


@dataclass
class Found:
    series: int
    rate: float
    memory: float
    """KB of a series."""
    commands: float
    candles: float
    received: float
    sent: float
    redis_cpu: float
    our_cpu: float
    longest: float
    """Longest wait of the feed for the store, in milliseconds."""
    lag: int


def window(series: Series) -> list[Candle]:
    interval = series.interval
    newest = interval.floor(BEGAN)
    times = [interval.back(newest, WINDOW_SIZE - 1 - n) for n in range(WINDOW_SIZE)]
    return [
        Candle(t, 96466.11, 96495.52, 96440.0, 96440.0 + n % 7, 6.61580 + n, t < newest, t, False)
        for n, t in enumerate(times)
    ]


async def measure(server: RedisServer, symbols: int, rate: float, seconds: float) -> Found:
    names = [f"S{n:05}USDT" for n in range(symbols)]
    memory = MemoryStore(names, INTERVALS)
    database = RedisDatabase(server.url, "bench", timeout=1.0, stream_length=10_000)
    journal = Journal(memory, database, lease=3.0)
    store = Mailbox[StoreMessage]("store", capacity=1024)
    hub = Mailbox[HubEvent]("hub", capacity=1024)
    before_all = server.info("memory")["used_memory"]

    async def listen() -> None:
        while True:
            await hub.receive_batch(256)

    async with trio.open_nursery() as nursery:
        await nursery.start(run_journal, journal, store)
        run = partial(run_store, hub=hub, gaps=None, backlog=journal.backlog)
        await nursery.start(run, store, memory)
        nursery.start_soon(listen)
        for series in memory.listed:
            await store.tell(PutHistory(series, window(series), None))
        while journal.report.written < WINDOW_SIZE * len(memory.listed):
            await trio.sleep(0.05)
        await trio.sleep(1)
        used = server.info("memory")["used_memory"] - before_all
        before, cpu = _counts(server), _cpu()
        longest = await _feed(store, memory, rate, seconds)
        after, cpu = _counts(server), _cpu() - cpu
        lag = len(journal.backlog)
        nursery.cancel_scope.cancel()

    def each_second(name: str) -> float:
        return float(after[name] - before[name]) / seconds

    return Found(
        len(memory.listed),
        rate,
        used / len(memory.listed) / 1024,
        each_second("calls"),
        each_second("written"),
        each_second("in") / 1024,
        each_second("out") / 1024,
        100 * each_second("cpu"),
        100 * cpu / seconds,
        longest * 1000,
        lag,
    )


async def _feed(
    store: Mailbox[StoreMessage], memory: MemoryStore, rate: float, seconds: float
) -> float:
    newest = {series: window(series)[-1] for series in memory.listed}
    listed, sent, longest = memory.listed, 0, 0.0
    began = trio.current_time()
    while (now := trio.current_time() - began) < seconds:
        due = int(rate * now) - sent
        updates = []
        for number in range(sent, sent + due):
            series = listed[number % len(listed)]
            held = newest[series]
            newest[series] = held._replace(
                close=96440.0 + number % 50,
                volume=held.volume + 0.001,
                event_time=held.event_time + 1,
            )
            updates.append((series, newest[series]))
        sent += due
        began = trio.current_time()
        if updates:
            await store.tell(PutUpdates(updates))
        longest = max(longest, trio.current_time() - began)
        await trio.sleep(TICK)
    return longest


def _counts(server: RedisServer) -> dict[str, Any]:
    stats, cpu = server.info("stats"), server.info("cpu")
    calls = server.info("commandstats")
    return {
        "calls": calls["cmdstat_evalsha"]["calls"],
        "in": stats["total_net_input_bytes"],
        "out": stats["total_net_output_bytes"],
        "cpu": cpu["used_cpu_sys"] + cpu["used_cpu_user"],
        "written": calls.get("cmdstat_lset", {"calls": 0})["calls"]
        + calls["cmdstat_rpush"]["calls"],
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    print("series  updates/s  KB/series  scripts/s  candles/s  in KB/s  out KB/s  "
          "Redis %CPU  ours %CPU  feed waited ms  waiting")  # fmt: skip
    for symbols in (10, 100, 500):
        # Each series is updated every two seconds, as by the exchange.
        pace = rate or symbols * len(INTERVALS) / 2
        with (
            tempfile.TemporaryDirectory() as directory,
            RedisServer(redis_binary(), Path(directory)) as server,
        ):
            found = trio.run(measure, server, symbols, pace, seconds)
        print(
            f"{found.series:6}  {found.rate:9.0f}  {found.memory:9.1f}  {found.commands:9.0f}  "
            f"{found.candles:9.0f}  {found.received:7.0f}  {found.sent:8.0f}  "
            f"{found.redis_cpu:10.1f}  {found.our_cpu:9.1f}  {found.longest:14.1f}  {found.lag:7}",
            flush=True,
        )


if __name__ == "__main__":
    main()
