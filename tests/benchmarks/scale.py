"""Scale: what a process costs, and how soon another takes over, from 60 to 8000 series.

python -m tests.benchmarks.scale 2400 one             one process: start, memory, CPU, endpoints
python -m tests.benchmarks.scale 8000 one 10          each series sent every 10 s, not every 2 s
python -m tests.benchmarks.scale 2400 takeover        two ingests and a gateway; the leader is killed
python -m tests.benchmarks.scale 2400 takeover SIGSTOP 10     stopped, each series sent every 10 s

The exchange does not limit the weight, so a start takes as long as its requests and the program do.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import statistics
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from .options import Options
from .processes import (
    INTERVALS,
    PRODUCT,
    Process,
    cpu_seconds,
    exchange,
    load,
    redis,
    rss_bytes,
    server,
    temporary_file,
    waited_seconds,
)
from .report import Report

SERIES = (60, 600, 2400, 8000)
WEIGHT = 10_000_000
PERIOD = 2.0  # seconds between two updates of a series, as at the exchange
READY_TIMEOUT = 600.0  # seconds
HEALTH_INTERVAL = 0.05  # seconds
SECONDS = 10.0  # for which the load of live updates is measured
MAX_HOLD = 10.0  # ms
MAX_HEALTH = 100.0  # ms, p99 during the start
MAX_TAKEOVER = 5.0  # seconds
ENDPOINTS = (
    "/ready",
    "/metrics",
    "/streaming/status",
    "/streaming/status?limit=50",
    "/system",
    "/inspect",
    "/symbols",
)
GRACE = 45.0  # seconds after a takeover for which clients go on comparing


def measure(options: Options, report: Report) -> None:
    for count in SERIES[:1] if options.quick else SERIES:
        measure_one(count, report)
        measure_takeover(count, report, "kill -9")
        if not options.quick:
            measure_takeover(count, report, "SIGSTOP")


def names(count: int) -> list[str]:
    """Symbols for so many series, or a few more."""
    return [f"S{number:04}USDT" for number in range(-(-count // len(INTERVALS)))]


# -- one process --------------------------------------------------------------------------------


def measure_one(count: int, report: Report, period: float = PERIOD) -> None:
    with ExitStack() as stack:
        steps = stack.enter_context(temporary_file())
        venue = stack.enter_context(exchange(weight=WEIGHT, period=period))
        process = stack.enter_context(
            server(PRODUCT, venue, symbols=names(count), wait=False, steps=steps)
        )
        _until_healthy(process)
        _longest(process, steps)  # of the imports, before anything is served
        with health_watched(process) as answers:
            ready = until_ready(process)
        case = f"{count} series" + _every(period)
        add(report, case, "start to ready", "s", ready)
        add(report, case, "CPU of the start", "s", cpu_seconds(process.pid))
        for what, seconds in (("", answers.seconds), (", without waits", answers.without_waits)):
            p50, p99 = (statistics.quantiles(seconds, n=100)[at] * 1000 for at in (49, 98))
            limit = {"limit": MAX_HEALTH} if what else {}
            add(report, case, f"/health p50 during the start{what}", "ms", p50)
            add(report, case, f"/health p99 during the start{what}", "ms", p99, **limit)
        held = _longest(process, steps)
        add(report, case, "longest hold of the loop, start", "ms", held, limit=MAX_HOLD)
        time.sleep(SECONDS / 2)
        began = cpu_seconds(process.pid)
        _longest(process, steps)
        time.sleep(SECONDS)
        cpu = (cpu_seconds(process.pid) - began) / SECONDS
        add(report, case, "CPU while live", "%", cpu * 100)
        held = _longest(process, steps)
        add(report, case, "longest hold of the loop, live", "ms", held, limit=MAX_HOLD)
        memory = rss_bytes(process.pid) / 1e6
        add(report, case, "memory", "MB", memory)
        for target in ENDPOINTS:
            _measure_endpoint(report, case, target, process, steps, cpu)


def _measure_endpoint(
    report: Report, case: str, target: str, process: Process, steps: Path, idle: float
) -> None:
    _longest(process, steps)
    repeated = 5
    began, used = time.monotonic(), cpu_seconds(process.pid)
    for _ in range(repeated):
        body = process.get(target)
    took = time.monotonic() - began
    cpu = cpu_seconds(process.pid) - used - idle * took
    held = _longest(process, steps)
    add(report, case, f"{target}: CPU", "ms", cpu / repeated * 1000)
    add(report, case, f"{target}: answer", "ms", took / repeated * 1000)
    add(report, case, f"{target}: size", "KB", len(body) / 1000)
    add(report, case, f"{target}: longest hold", "ms", held, limit=MAX_HOLD)


@dataclass
class Answers:
    seconds: list[float] = field(default_factory=list)
    without_waits: list[float] = field(default_factory=list)
    """The same without the time for which the server or the client could have run, and other
    programs had the processor."""


@contextmanager
def health_watched(process: Process) -> Iterator[Answers]:
    """How long each answer of `/health` took, from the first answer on."""
    answers = Answers()
    is_over = threading.Event()

    def waited() -> float:
        return waited_seconds(process.pid) + waited_seconds(threading.get_native_id())

    def watch() -> None:
        while not is_over.wait(HEALTH_INTERVAL):
            began, had_waited = time.monotonic(), waited()
            with suppress(urllib.error.URLError, OSError):
                process.get("/health")
                took = time.monotonic() - began
                answers.seconds.append(took)
                answers.without_waits.append(max(0.0, took - (waited() - had_waited)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        thread.join()


def _until_healthy(process: Process) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < deadline:
        with suppress(urllib.error.URLError, OSError):
            process.get("/health")
            return
        time.sleep(0.02)
    raise TimeoutError("does not answer")


def until_ready(process: Process) -> float:
    """Seconds from the process's start."""
    deadline = time.monotonic() + READY_TIMEOUT
    while True:
        with suppress(urllib.error.URLError, OSError):
            process.get("/ready")
            return time.monotonic() - process.began
        if time.monotonic() > deadline:
            raise TimeoutError("not ready")
        time.sleep(0.2)


def _longest(process: Process, steps: Path) -> float:
    """Milliseconds of the longest step of a task since the last call; the longest turns are shown."""
    steps.unlink(missing_ok=True)
    os.kill(process.pid, signal.SIGUSR1)
    while not steps.exists():
        time.sleep(0.01)
    found = json.loads(steps.read_text())
    for what in ("steps", "turns"):
        for took, name in found[what][:4]:
            print(f"    {what[:-1]} {took * 1000:.1f} ms {name}", flush=True)
    longest = found["steps"]
    return float(longest[0][0]) * 1000 if longest else 0.0


# -- takeover -----------------------------------------------------------------------------------


def measure_takeover(count: int, report: Report, how: str, period: float = PERIOD) -> None:
    """The leader is killed or stopped; when a gateway's client gets candles again."""
    symbols = names(count)
    with ExitStack() as stack:
        venue = stack.enter_context(exchange(weight=WEIGHT, period=period))
        url = stack.enter_context(redis())

        def start(command: str) -> Process:
            process = stack.enter_context(
                server(
                    PRODUCT,
                    venue,
                    redis_url=url,
                    command=command,
                    symbols=symbols,
                    wait=False,
                    may_end=True,
                )
            )
            until_ready(process)
            return process

        leader = start("ingest")
        _until_written(leader)
        standby = start("ingest")
        gateway = start("gateway")
        found = load(
            "takeover",
            port=gateway.port,
            pid=leader.pid,
            how=how,
            series=[f"{s} {i}" for s, i in itertools.product(symbols, INTERVALS)][:1000],
            standby=standby.port,
            seconds=GRACE,
        )
    case = f"{count} series, {how}" + _every(period)
    print(f"scale, {case}: {found}", flush=True)
    add(report, case, "first candle after", "s", found["first"], limit=MAX_TAKEOVER)
    add(report, case, "candles of nine in ten series after", "s", found["most"],
        limit=MAX_TAKEOVER)  # fmt: skip
    if found["stale"] is not None:
        add(report, case, "`stale` after", "s", found["stale"])
    if found["compared"] is not None:
        add(report, case, "all that is stored compared after", "s", found["compared"])
    assert not found["faults"], found["faults"]


def _until_written(leader: Process) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    while True:
        store = json.loads(leader.get("/system"))["store"]
        if store["role"] == "leading" and store["waiting"] < 1000:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not written: {store}")
        time.sleep(0.2)


def _every(period: float) -> str:
    return "" if period == PERIOD else f" sent every {period:g} s"


def add(report: Report, case: str, what: str, unit: str, value: float, **goal: float) -> None:
    print(f"scale, {case}: {what} {value:.3g} {unit}", flush=True)
    report.add("scale", case, what, unit, PRODUCT, value, **goal)


def main() -> None:
    count, what, *more = sys.argv[1:]
    report = Report()
    if what == "one":
        measure_one(int(count), report, *map(float, more))
    else:
        how = more[0] if more else "kill -9"
        measure_takeover(int(count), report, how, *map(float, more[1:]))
    for line in report.table():
        print(line)


if __name__ == "__main__":
    main()
