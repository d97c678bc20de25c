"""Benchmarks of the service, compared with what is usually built instead. See docs/performance.md.

python -m tests.benchmarks all
python -m tests.benchmarks fanout rest --repeat 5 --json figures.json
python -m tests.benchmarks all --quick
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from .options import Options
from .processes import allow_many_files
from .report import Report, versions

BENCHMARKS = ("fanout", "rest", "feed", "start", "slow", "gateways", "windows", "scale", "shards")


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmarks", nargs="+", choices=("all", *BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="few and short cases, once")
    parser.add_argument("--repeat", type=int, help="how often each case is measured (3)")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args()
    options = Options(given.repeat or (1 if given.quick else 3), given.quick)
    wanted = BENCHMARKS if "all" in given.benchmarks else given.benchmarks
    allow_many_files()
    report = Report()
    for name in wanted:
        import_module(f"tests.benchmarks.{name}").measure(options, report)
        if given.json:
            report.write(given.json)  # after each, in case a later one fails
    print()
    print("versions:", ", ".join(f"{name} {number}" for name, number in versions().items()))
    for line in report.table():
        print(line)


if __name__ == "__main__":
    main()
