"""Gateways: an ingest and two gateways on one machine, against an ingest and one gateway."""

from __future__ import annotations

from contextlib import ExitStack

from .fanout import ALL, warn_if_busy
from .options import Options
from .processes import PRODUCT, exchange, load, redis, server
from .report import Report

ONE, TWO, SERVE = "1 gateway", "2 gateways", "1 serve"


def measure(options: Options, report: Report) -> None:
    clients = 300 if options.quick else 2000
    for case in options.turns(SERVE, ONE, TWO):
        _measure(case, clients, options, report)


def _measure(case: str, clients: int, options: Options, report: Report) -> None:
    with ExitStack() as stack:
        venue = stack.enter_context(exchange())
        url = stack.enter_context(redis())
        if case == SERVE:
            serving = [stack.enter_context(server(PRODUCT, venue, redis_url=url))]
            others = []
        else:
            others = [stack.enter_context(server(PRODUCT, venue, redis_url=url, command="ingest"))]
            serving = [
                stack.enter_context(server(PRODUCT, venue, redis_url=url, command="gateway"))
                for _ in range(1 if case == ONE else 2)
            ]
        found = load(
            "load",
            clients=clients,
            series=ALL,
            seconds=options.seconds,
            ports=[process.port for process in serving],
            pids=[process.pid for process in serving + others],
        )
    print(f"gateways, {case}: {found}", flush=True)
    name = f"{clients} clients, {case}"
    add = report.add
    add("gateways", name, "CPU per message", "µs", PRODUCT, found["cpu"] / found["frames"] * 1e6)
    add("gateways", name, "latency p50", "ms", PRODUCT, found["p50"])
    add("gateways", name, "latency p99", "ms", PRODUCT, found["p99"])
    add("gateways", name, "messages", "1/s", PRODUCT, found["frames"] / found["seconds"],
        is_rate=True)  # fmt: skip
    warn_if_busy(report, f"gateways, {case}", found)
