"""What the service does when the exchange, or the way to it, fails: measured, in virtual time.

    python -m tests.reliability                         every fault, then 48 h of random ones
    python -m tests.reliability --fault "cut by RST"    one fault, by its name or a part of it
    python -m tests.reliability --hours 0               the faults alone
    python -m tests.reliability --fault none --hours 8  random faults alone

Exit status 1 when a candle was missing or wrong afterwards, or a limit was exceeded.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from .endurance import endure
from .faults import FAULTS
from .report import table
from .trial import play


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--fault", help="only faults whose name contains this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, help="of exchange time with random faults")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    faults = (
        []
        if options.fault == "none"
        else [f for f in FAULTS if (options.fault in f.name if options.fault else not f.unhandled)]
    )
    if not faults and options.fault != "none":
        parser.error(f"no such fault: {options.fault}; there are:\n{names()}")
    hours = options.hours if options.hours is not None else (0 if options.fault else 48)
    results = []
    for fault in faults:
        began = time.monotonic()
        results.append(play(fault, options.seed))
        took = time.monotonic() - began
        print(f"{took:5.1f} s  {fault.name}", file=sys.stderr, flush=True)
    if results:
        print(table(results))
    wrong = [f"{result.name}: {each}" for result in results for each in result.wrong]
    if hours:
        report = endure(options.seed, hours)
        print(f"\n{report.text}")
        wrong += report.wrong
    for each in wrong:
        print(each, file=sys.stderr)
    return 1 if wrong else 0


def names() -> str:
    return "\n".join(f"  {fault.name}" for fault in FAULTS)


if __name__ == "__main__":
    sys.exit(main())
