"""Fan-out: CPU and latency of one message, and memory of one client."""

from __future__ import annotations

from typing import Any, NamedTuple

from .options import Options
from .peers import PEERS, Peer
from .processes import (
    BURST,
    INTERVALS,
    PEER,
    SPREAD,
    SYMBOLS,
    Overloaded,
    exchange,
    load,
    server,
)
from .report import Report
from .send_cost import microseconds_per_send

ALL = [{"symbol": s, "interval": i} for s in SYMBOLS for i in INTERVALS]
ONE_INTERVAL = [entry for entry in ALL if entry["interval"] == "1m"]


class Case(NamedTuple):
    name: str
    clients: int
    series: list[dict[str, str]] = ALL
    deflate: bool = False
    gap: float = SPREAD
    goal: float | None = None
    """Goal: ratio of the CPU per message to that of FastAPI."""


COMPARISON = (
    Case("100 clients", 100),
    Case("300 clients", 300, goal=10),
    Case("1000 clients", 1000, goal=10),
    Case("300 clients, 10 series of 1m", 300, ONE_INTERVAL),
    Case("1000 clients, 10 series of 1m", 1000, ONE_INTERVAL),
    Case("4000 clients", 4000, goal=10),  # last, as a server that does not keep up takes minutes
)
CASES = (
    Case("1 client", 1),
    *COMPARISON,
    Case("300 clients, all symbols at once", 300, gap=BURST),
    Case("1000 clients, all symbols at once", 1000, gap=BURST),
    Case("300 clients that offer deflate", 300, deflate=True),
    Case("4000 clients, idle", 4000, []),
)
QUICK = (CASES[0], CASES[2], CASES[4])


def measure(options: Options, report: Report) -> None:
    report.note(f"fan-out: one send takes {microseconds_per_send():.1f} µs here, see send_cost.py")
    peers = _installed(options, report)
    cases = COMPARISON if options.comparison else QUICK if options.quick else CASES
    for case in cases:
        for which in options.turns(*options.versions, *peers):
            try:
                found = _measure(options, case, which)
            except Overloaded as failed:
                report.note(f"fan-out, {case.name}: {which} could not be measured: {failed}")
            else:
                _add(report, case, which, found)


def _installed(options: Options, report: Report) -> list[str]:
    found = []
    for name in options.peers:
        if (missing := PEERS[name].find_missing()) is not None:
            report.note(f"fan-out: {name} is left out: {missing}")
        else:
            found.append(name)
    return found


def _measure(options: Options, case: Case, which: str) -> dict[str, Any]:
    peer: Peer | None = PEERS.get(which)
    python = options.python(which)
    with exchange(gap=case.gap) as venue, server(which, venue, python=python) as process:
        return load(
            "load",
            clients=case.clients,
            series=case.series,
            deflate=case.deflate,
            # The latency of one client is that of 30 messages a second.
            seconds=options.seconds * (2 if case.clients == 1 else 1),
            settle=options.settle,
            ports=[process.port],
            pids=[process.pid],
            **({"path": peer.path(case.series)} if peer else {}),
            **({"venue": venue.port} if case.series else {}),
        )


def _add(report: Report, case: Case, which: str, found: dict[str, Any]) -> None:
    def add(metric: str, unit: str, value: float, **goals: Any) -> None:
        report.add("fan-out", case.name, metric, unit, which, value, **goals)

    print(f"fan-out, {case.name}, {which}: {found}", flush=True)
    if case.series:
        if not found["frames"]:
            report.note(f"fan-out, {case.name}: {which} delivered nothing")
            return
        beside = {"goal_beside": PEER}
        add("CPU per message", "µs", found["cpu"] / found["frames"] * 1e6, goal=case.goal, **beside)
        add("latency p50", "ms", found["p50"])
        add("latency p99", "ms", found["p99"], goal=1.0, **beside)
        add("messages", "1/s", found["frames"] / found["seconds"], is_rate=True)
    if case.clients >= 100:
        limit = None if case.series else 41.0
        add("memory per client", "KB", found["per_client"] / 1000, limit=limit)
    for what in ("clients", "updates"):
        if lost := found["lost" if what == "clients" else "lost_updates"]:
            report.note(f"fan-out, {case.name}: {which} lost {lost:,} {what}")
    warn_if_busy(report, f"fan-out, {case.name}, {which}", found)


def warn_if_busy(report: Report, what: str, found: dict[str, Any]) -> None:
    """Note conditions that make a figure unreliable."""
    if found["load_is_bottleneck"]:
        report.note(f"{what}: the load itself is the bottleneck, {found['load']:.0%} of a core")
    if found["waited"] > 0.1:
        report.note(f"{what}: it waited {found['waited']:.0%} of the time for a processor")
