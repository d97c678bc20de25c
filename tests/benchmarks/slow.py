"""Slow clients: the effect of 100 clients that do not read on 1000 that do, and on memory."""

from __future__ import annotations

from .fanout import ALL, warn_if_busy
from .options import Options
from .processes import PEER, Overloaded, exchange, load, server
from .report import Report

HEALTHY = 1000
SLOW = 100


def measure(options: Options, report: Report) -> None:
    healthy = 200 if options.quick else HEALTHY
    # Twice the timeout after which stalled clients are closed.
    seconds = 10.0 if options.quick else 60.0
    for which in options.turns(*options.versions, PEER):
        for slow in (0, SLOW):
            case = f"{healthy} healthy, {slow} that read nothing"
            try:
                python = options.python(which)
                with exchange() as venue, server(which, venue, python=python) as process:
                    found = load(
                        "load",
                        clients=healthy,
                        slow=slow,
                        series=ALL,
                        seconds=seconds,
                        every=seconds / 12,
                        ports=[process.port],
                        pids=[process.pid],
                    )
            except Overloaded as failed:
                report.note(f"slow, {case}: {which} could not be measured: {failed}")
                continue
            print(f"slow, {case}, {which}: {found}", flush=True)
            memory = [round(size / 1e6) for size in found["memory"]]
            add = report.add
            add("slow", case, "messages to the healthy", "1/s", which,
                found["frames"] / found["seconds"], is_rate=True)  # fmt: skip
            add("slow", case, "latency p50", "ms", which, found["p50"])
            add("slow", case, "latency p99", "ms", which, found["p99"])
            add("slow", case, "memory at the most", "MB", which, max(memory))
            add("slow", case, "slow ones closed", "clients", which, found["slow_lost"])
            report.note(f"slow, {case}, {which}: memory over time, MB: {memory}")
            warn_if_busy(report, f"slow, {case}, {which}", found)
