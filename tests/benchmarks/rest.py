"""REST: requests per second for candles, in the ways that clients use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from .fanout import warn_if_busy
from .options import Options
from .processes import (
    INTERVALS,
    PEER,
    SYMBOLS,
    Process,
    exchange,
    load,
    redis,
    server,
)
from .report import Report

CONNECTIONS = 16
TUNED = "/tuned"
REDIS_GOAL = 15.0


class Case(NamedTuple):
    name: str
    limit: int
    is_cold: bool = False
    headers: str = ""

    def targets(self, prefix: str) -> list[str]:
        """One series repeatedly; or all, each with more limits than a cache holds."""
        if not self.is_cold:
            return [f"{prefix}/candles/BTCUSDT/1m?limit={self.limit}"]
        return [
            f"{prefix}/candles/{symbol}/{interval}?limit={self.limit - less}"
            for less in range(20)
            for symbol in SYMBOLS
            for interval in INTERVALS
        ]


CASES = (
    Case("500 candles, hot", 500),
    Case("500 candles, cold", 500, is_cold=True),
    Case("500 candles, hot, gzip", 500, headers="Accept-Encoding: gzip\r\n"),
    Case("500 candles, cold, gzip", 500, is_cold=True, headers="Accept-Encoding: gzip\r\n"),
    Case("500 candles, If-None-Match", 500, headers="If-None-Match: *\r\n"),
    Case("1000 candles, hot", 1000),
    Case("1000 candles, cold", 1000, is_cold=True),
)
QUICK = CASES[:3]


def measure(options: Options, report: Report) -> None:
    for kind in ("Redis", "memory"):
        for which in options.turns(*options.versions, PEER):
            with exchange() as venue, _server(options, which, venue, kind) as process:
                for prefix in ("", TUNED) if which == PEER else ("",):
                    for case in QUICK if options.quick else CASES:
                        _measure(options, report, case, which, kind, process, prefix)


@contextmanager
def _server(options: Options, which: str, venue: Process, kind: str) -> Iterator[Process]:
    python = options.python(which)
    if kind == "memory":
        with server(which, venue, python=python) as process:
            yield process
    else:
        with redis() as url, server(which, venue, redis_url=url, python=python) as process:
            yield process


def _measure(
    options: Options,
    report: Report,
    case: Case,
    which: str,
    kind: str,
    process: Process,
    prefix: str,
) -> None:
    found = load(
        "load_rest",
        connections=CONNECTIONS,
        port=process.port,
        pid=process.pid,
        seconds=options.seconds / 2,
        targets=case.targets(prefix),
        headers=case.headers,
    )
    name = f"{case.name}, {kind}"
    who = which if not prefix else f"{which}, tuned"
    print(f"REST, {name}, {who}: {found}", flush=True)
    is_goal = kind == "Redis" and case == CASES[0]
    goals = {"goal": REDIS_GOAL, "goal_beside": PEER} if is_goal else {}
    add = report.add
    add("REST", name, "requests", "1/s", who, found["per_second"], is_rate=True, **goals)
    add("REST", name, "CPU per request", "µs", who, found["cpu_each"] * 1e6)
    add("REST", name, "p99", "ms", who, found["p99"])
    warn_if_busy(report, f"REST, {name}, {who}", found)
