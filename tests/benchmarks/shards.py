"""Shards: an ingest for each, and one gateway that follows all of them.

python -m tests.benchmarks.shards 2400 4         so many series over so many shards
python -m tests.benchmarks.shards 24000 4 20     each series sent every 20 s instead of every 2 s

As in `scale`, the exchange does not limit the weight.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack

from smarttrade.store.shards import shard_of

from .options import Options
from .processes import PRODUCT, Process, cpu_seconds, exchange, redis, rss_bytes, server
from .report import Report
from .scale import SECONDS, WEIGHT, names, until_ready

CASES = ((600, 1), (600, 4), (2400, 4))


def measure(options: Options, report: Report) -> None:
    for series, shards in CASES[:1] if options.quick else CASES:
        measure_one(series, shards, report)


def measure_one(series: int, shards: int, report: Report, period: float = 2.0) -> None:
    symbols = names(series)
    with ExitStack() as stack:
        venue = stack.enter_context(exchange(weight=WEIGHT, period=period))
        url = stack.enter_context(redis())

        def start(command: str, **more: str) -> Process:
            variables = {"SMARTTRADE_SHARDS": str(shards), **more}
            started = server(
                PRODUCT,
                venue,
                redis_url=url,
                command=command,
                symbols=symbols,
                wait=False,
                variables=variables,
            )
            return stack.enter_context(started)

        began = time.monotonic()
        numbers = sorted({shard_of(symbol, shards) for symbol in symbols})
        ingests = {
            f"ingest {number}": start("ingest", SMARTTRADE_SHARD=str(number)) for number in numbers
        }
        for process in ingests.values():
            until_ready(process)
        case = f"{series} series, {shards} shards, sent every {period:g} s"
        _add(report, case, "start to all ingests ready", "s", time.monotonic() - began)
        gateway = start("gateway")
        _add(report, case, "start to gateway ready", "s", until_ready(gateway))
        assert json.loads(gateway.get("/symbols"))["symbols"] == symbols
        _measure_live(report, case, {**ingests, "gateway": gateway})


def _measure_live(report: Report, case: str, processes: dict[str, Process]) -> None:
    time.sleep(SECONDS / 2)
    began = {name: cpu_seconds(process.pid) for name, process in processes.items()}
    time.sleep(SECONDS)
    for name, process in processes.items():
        cpu = (cpu_seconds(process.pid) - began[name]) / SECONDS
        _add(report, case, f"CPU of {name} while live", "%", cpu * 100)
        _add(report, case, f"memory of {name}", "MB", rss_bytes(process.pid) / 1e6)


def _add(report: Report, case: str, what: str, unit: str, value: float) -> None:
    print(f"shards, {case}: {what} {value:.3g} {unit}", flush=True)
    report.add("shards", case, what, unit, PRODUCT, value)


def main() -> None:
    report = Report()
    measure_one(int(sys.argv[1]), int(sys.argv[2]), report, *map(float, sys.argv[3:]))
    for line in report.table():
        print(line)


if __name__ == "__main__":
    main()
