"""Feed: cost of an update from the exchange's socket to a client's, and the maximum rate."""

from __future__ import annotations

from .fanout import ALL, warn_if_busy
from .options import Options
from .processes import PEER, PRODUCT, exchange, load, redis, server
from .report import Report

SERIES = (60, 600, 6000)
GOAL, REDIS_GOAL = 20_000, 10_000  # updates a second


def measure(options: Options, report: Report) -> None:
    for _ in range(options.repeat):
        for series in SERIES[:2] if options.quick else SERIES:
            _measure_stages(options, report, series)
    for which in options.turns(*options.versions, PEER):
        _measure_process(options, report, which, None)
    for which in options.turns(*options.versions, PEER):
        with redis() as url:
            _measure_process(options, report, which, url)


def _measure_stages(options: Options, report: Report, series: int) -> None:
    updates = 6000 if options.quick else 30_000
    found = load("stages", series=series, updates=updates)
    print(f"feed, {series} series: {found}", flush=True)
    case = f"stages in one process, {series} series"
    for stage, cost in found.items():
        report.add("feed", case, stage, "µs", PRODUCT, cost)
    total = sum(found.values())
    report.add("feed", case, "all of it", "µs", PRODUCT, total)
    report.add("feed", case, "updates per second of CPU", "1/s", PRODUCT, 1e6 / total,
               is_rate=True, limit=GOAL)  # fmt: skip


def _measure_process(options: Options, report: Report, which: str, url: str | None) -> None:
    """Updates as fast as the service accepts them, with one client subscribed to all series."""
    count = 20_000 if options.quick else 100_000
    python = options.python(which)
    with (
        exchange(period=0) as venue,
        server(which, venue, redis_url=url, wait=False, python=python) as process,
    ):
        found = load(
            "flood",
            clients=1,
            series=ALL,
            count=count,
            venue=venue.port,
            ports=[process.port],
            pids=[process.pid],
        )
    case = f"complete process, {'Redis' if url else 'memory'}"
    print(f"feed, {case}, {which}: {found}", flush=True)
    add = report.add
    add("feed", case, "CPU per update", "µs", which, found["cpu"] / found["updates"] * 1e6)
    limit = None if which == PEER else REDIS_GOAL if url else GOAL
    add("feed", case, "updates", "1/s", which, found["updates"] / found["seconds"],
        is_rate=True, limit=limit)  # fmt: skip
    add("feed", case, "of them delivered", "%", which, 100 * found["frames"] / found["updates"],
        is_rate=True)  # fmt: skip
    warn_if_busy(report, f"feed, {case}, {which}", found)
