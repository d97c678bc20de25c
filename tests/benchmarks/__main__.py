"""Benchmarks of the service, compared with what is usually built instead. See docs/performance.md.

python -m tests.benchmarks all
python -m tests.benchmarks fanout rest --repeat 5 --json figures.json
python -m tests.benchmarks all --quick
python -m tests.benchmarks fanout --peers fastapi,ws,picows,nchan,uwebsockets
python -m tests.benchmarks fanout --comparison --former ../former/bin/python
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from .options import Options
from .peers import FASTAPI, PEERS
from .processes import allow_many_files
from .report import Report, versions

COLUMNS = {
    "fan-out": ("CPU per message", "latency p50", "latency p99", "memory per client"),
    "REST": ("requests", "CPU per request", "p99"),
    "feed": ("updates", "CPU per update"),
    "start": ("first request to ready", "process to ready"),
}
"""Tables with one column for each program, as in docs/performance.md."""
BENCHMARKS = ("fanout", "rest", "feed", "start", "slow", "gateways", "windows", "scale", "shards")


def _peers(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(PEERS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmarks", nargs="+", choices=("all", *BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="few and short cases, once")
    parser.add_argument(
        "--comparison",
        action="store_true",
        help="of the fan-out, only the cases that are compared with all peers, once, 6 s each: 12 min",
    )
    parser.add_argument(
        "--peers",
        type=_peers,
        help=f"measured in the fan-out, of {','.join(PEERS)}; {FASTAPI}, all with --comparison",
    )
    parser.add_argument(
        "--former",
        metavar="PYTHON",
        help="of an environment with a former version; for fanout, rest, feed, start and slow",
    )
    parser.add_argument("--repeat", type=int, help="how often each case is measured (3)")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args()
    options = Options(
        repeat=given.repeat or (1 if given.quick or given.comparison else 3),
        quick=given.quick,
        comparison=given.comparison,
        peers=given.peers or (tuple(PEERS) if given.comparison else (FASTAPI,)),
        former=given.former,
    )
    wanted = BENCHMARKS if "all" in given.benchmarks else given.benchmarks
    allow_many_files()
    report = Report()
    try:
        for name in wanted:
            import_module(f"tests.benchmarks.{name}").measure(options, report)
            if given.json:
                report.write(given.json)  # after each, in case a later one fails
    except KeyboardInterrupt:
        report.note("interrupted: not everything was measured")
    if given.json:
        report.write(given.json)
    print()
    print("versions:", ", ".join(f"{name} {number}" for name, number in versions().items()))
    for line in report.table():
        print(line)
    for benchmark, metrics in COLUMNS.items():
        print()
        for line in report.columns(benchmark, metrics):
            print(line)


if __name__ == "__main__":
    main()
