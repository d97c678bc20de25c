"""Start: the time until a process is ready, compared with that of its bare requests."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error

from .options import Options
from .processes import PEER, PRODUCT, ROOT, Process, exchange, redis, server
from .report import Report

LATENCIES = (0.0, 0.05, 0.2)  # seconds
CANDLES = "/candles/BTCUSDT/1m?limit=1000"
POLL_INTERVAL = 0.005  # seconds
READY_TIMEOUT = 60.0
GOAL = 0.5  # no more than twice the bare time
RESTART_LIMIT = 1.0  # seconds


def measure(options: Options, report: Report) -> None:
    for latency in LATENCIES[1:2] if options.quick else LATENCIES:
        case = f"{latency * 1000:.0f} ms of exchange latency"
        for which in options.turns(*options.versions, "bare requests", PEER):
            _measure_one(options, report, case, which, latency)
    for _ in range(options.repeat):
        _measure_restart(report)


def _measure_one(options: Options, report: Report, case: str, which: str, latency: float) -> None:
    with exchange(latency=latency, period=0.25) as venue:
        if which == "bare requests":
            command = [sys.executable, "-m", "tests.benchmarks.bare", venue.url]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
            seconds = float(done.stdout)
            report.add("start", case, "first request to ready", "s", which, seconds, goal=GOAL)
            return
        with server(which, venue, wait=False, python=options.python(which)) as process:
            ready = _until_answered(process, "/ready")
        stats = json.loads(venue.get("/stats"))
    first = ready - stats["first"] / 1e6
    total = ready - process.began
    print(f"start, {case}, {which}: {first=} {total=} {stats}", flush=True)
    if which != PEER:
        report.add("start", case, "first request to ready", "s", which, first)
    report.add("start", case, "process to ready", "s", which, total)


def _measure_restart(report: Report) -> None:
    with redis() as url:
        with exchange(latency=0.05) as venue, server(PRODUCT, venue, redis_url=url):
            time.sleep(1.0)  # what is read is written behind
            port = venue.port  # another would be another exchange
        with (
            exchange(latency=0.2, port=port) as venue,
            server(PRODUCT, venue, redis_url=url, wait=False) as process,
        ):
            served = _until_answered(process, CANDLES) - process.began
            ready = _until_answered(process, "/ready") - process.began
    case = "from Redis, 200 ms of exchange latency"
    print(f"start, {case}: {served=} {ready=}", flush=True)
    report.add("start", case, "process to stored candles", "s", PRODUCT, served,
               limit=RESTART_LIMIT)  # fmt: skip
    report.add("start", case, "process to ready", "s", PRODUCT, ready)


def _until_answered(process: Process, target: str) -> float:
    """When `target` was first answered with 200, by the monotonic clock."""
    deadline = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < deadline:
        try:
            process.get(target)
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_INTERVAL)
        else:
            return time.monotonic()
    raise TimeoutError(f"{target} was not answered")
