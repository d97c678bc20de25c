"""Fan-out: CPU and latency of one message, and memory of one client."""

from __future__ import annotations

from typing import Any, NamedTuple

from .options import Options
from .processes import INTERVALS, PEER, PRODUCT, SYMBOLS, Overloaded, exchange, load, server
from .report import Report

ALL = [{"symbol": s, "interval": i} for s in SYMBOLS for i in INTERVALS]
ONE_INTERVAL = [entry for entry in ALL if entry["interval"] == "1m"]


class Case(NamedTuple):
    name: str
    clients: int
    series: list[dict[str, str]] = ALL
    deflate: bool = False
    goal: float | None = None
    """Goal: ratio of the CPU per message."""


CASES = (
    Case("1 client", 1),
    Case("100 clients", 100),
    Case("300 clients", 300, goal=10),
    Case("1000 clients", 1000, goal=10),
    Case("4000 clients", 4000, goal=10),
    Case("300 clients, 10 series of 1m", 300, ONE_INTERVAL),
    Case("1000 clients, 10 series of 1m", 1000, ONE_INTERVAL),
    Case("300 clients that offer deflate", 300, deflate=True),
    Case("4000 clients, idle", 4000, []),
)
QUICK = (CASES[0], CASES[2], CASES[5], CASES[7])


def measure(options: Options, report: Report) -> None:
    for case in QUICK if options.quick else CASES:
        for which in options.turns(PRODUCT, PEER):
            try:
                found = _measure(options, case, which)
            except Overloaded as failed:
                report.note(f"fan-out, {case.name}: {which} could not be measured: {failed}")
            else:
                _add(report, case, which, found)


def _measure(options: Options, case: Case, which: str) -> dict[str, Any]:
    with exchange() as venue, server(which, venue) as process:
        return load(
            "load",
            clients=case.clients,
            series=case.series,
            deflate=case.deflate,
            # The latency of one client is that of 30 messages a second.
            seconds=options.seconds * (2 if case.clients == 1 else 1),
            settle=4,
            ports=[process.port],
            pids=[process.pid],
        )


def _add(report: Report, case: Case, which: str, found: dict[str, Any]) -> None:
    def add(metric: str, unit: str, value: float, **goals: Any) -> None:
        report.add("fan-out", case.name, metric, unit, which, value, **goals)

    print(f"fan-out, {case.name}, {which}: {found}", flush=True)
    if case.series:
        if not found["frames"]:
            report.note(f"fan-out, {case.name}: {which} delivered nothing")
            return
        add("CPU per message", "µs", found["cpu"] / found["frames"] * 1e6, goal=case.goal)
        add("latency p50", "ms", found["p50"])
        add("latency p99", "ms", found["p99"], goal=1.0)
        add("messages", "1/s", found["frames"] / found["seconds"], is_rate=True)
    if case.clients >= 1000:
        limit = None if case.series else 41.0
        add("memory per client", "KB", found["per_client"] / 1000, limit=limit)
    if found["lost"]:
        report.note(f"fan-out, {case.name}: {which} lost {found['lost']} clients")
    warn_if_busy(report, f"fan-out, {case.name}, {which}", found)


def warn_if_busy(report: Report, what: str, found: dict[str, Any]) -> None:
    """Note conditions that make a figure unreliable."""
    if found["load_is_bottleneck"]:
        report.note(f"{what}: the load itself is the bottleneck, {found['load']:.0%} of a core")
    if found["waited"] > 0.1:
        report.note(f"{what}: it waited {found['waited']:.0%} of the time for a processor")
