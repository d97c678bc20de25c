"""Runs the whole service in virtual time, seed after seed: `python -m tests.simulation --help`."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterable

from .plan import KINDS, plan_for
from .run import Outcome, run, run_seed
from .seeds import FAILED
from .shapes import DRAWN, NAMED
from .shrink import described, shrink

LINES = 60


def main() -> int:
    options = _parser().parse_args()
    if options.plants:
        from .plants.__main__ import main as find_plants

        return find_plants()
    if options.shrink is not None:
        return _shrink(_run(options.shrink, options), options)
    if options.replay is not None:
        outcome = _run(options.replay, options)
        print(*outcome.trace.lines, sep="\n")
        print(described(outcome.plan.actions))
        print(_line(outcome))
        return 0 if outcome.is_good else 1
    if options.failed:
        outcomes = (
            run_seed(one.seed, one.hours, liveness=one.liveness, named=one.named) for one in FAILED
        )
    else:
        outcomes = (_run(seed, options) for seed in _seeds(options))
    return _many(outcomes, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="1..20", help="N..M, or one seed; default: 1..20")
    parser.add_argument("--forever", action="store_true", help="from the first of --seeds on")
    parser.add_argument("--failed", action="store_true", help="every seed that ever failed")
    parser.add_argument("--hours", type=float, default=0.5, help="simulated, for each seed")
    parser.add_argument("--liveness", action="store_true", help="one part is broken for good")
    parser.add_argument(
        "--shape", choices=sorted({*NAMED, *DRAWN}), help="instead of the seed's own"
    )
    parser.add_argument("--kinds", type=_kinds, default=(), help="A,B,...: these faults alone")
    parser.add_argument("--shrink", type=int, metavar="SEED", help="find the fewest faults")
    parser.add_argument("--replay", type=int, metavar="SEED", help="print the whole trace")
    parser.add_argument("--keep-going", action="store_true", help="after a failure, do not shrink")
    parser.add_argument("--plants", action="store_true", help="look for the planted faults")
    return parser


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(text.split(","))
    if unknown := set(kinds) - set(KINDS):
        named = ", ".join(sorted(unknown))
        raise argparse.ArgumentTypeError(f"unknown: {named}; there are: {', '.join(KINDS)}")
    return kinds


def _seeds(options: argparse.Namespace) -> Iterable[int]:
    first, _, last = options.seeds.partition("..")
    if options.forever:
        return itertools.count(int(first))
    return range(int(first), int(last or first) + 1)


def _run(seed: int, options: argparse.Namespace) -> Outcome:
    plan = plan_for(
        seed,
        options.hours,
        liveness=options.liveness,
        named=options.shape,
        kinds=options.kinds,
    )
    return run(plan)


def _many(outcomes: Iterable[Outcome], options: argparse.Namespace) -> int:
    began, total, faults, failures = time.monotonic(), Counter[str](), Counter[str](), 0
    try:
        for outcome in outcomes:
            figures = outcome.figures
            total.update(
                seeds=1,
                seconds=int(figures.simulated),
                clients=figures.clients,
                messages=figures.messages,
                starts=figures.starts,
            )
            faults += figures.faults
            print(_line(outcome), flush=True)
            if not outcome.is_good:
                failures += 1
                if not options.keep_going:
                    return _shrink(outcome, options)
    except KeyboardInterrupt:
        pass
    real = time.monotonic() - began
    print(
        f"{total['seeds']} seeds, {failures} failed; {total['seconds'] / 3600:.1f} simulated hours"
        f" in {real:.0f} s ({total['seconds'] / max(real, 0.001):.0f} times real time);"
        f" {faults.total()} faults, {total['clients']} clients, {total['messages']} messages,"
        f" {total['starts']} process starts"
    )
    print("faults: " + ", ".join(f"{name} {count}" for name, count in sorted(faults.items())))
    return 1 if failures else 0


def _line(outcome: Outcome) -> str:
    figures = outcome.figures
    verdict = "ok" if outcome.is_good else f"FAILED {outcome.reason}"
    return (
        f"seed {outcome.plan.seed}: {figures.simulated / 3600:.2f} h at"
        f" {figures.simulated / outcome.seconds:.0f}x"
        f" ({figures.simulated / outcome.cpu_seconds:.0f}x of processor time),"
        f" {figures.faults.total()} faults,"
        f" {figures.clients} clients, {figures.messages} messages, {figures.starts} starts,"
        f" ready after {figures.ready_after:.0f} s, stopped after {figures.stopped_after:.1f} s,"
        f" trace {outcome.digest}: {verdict}"
    )


def _shrink(outcome: Outcome, options: argparse.Namespace) -> int:
    if outcome.is_good:
        print(_line(outcome))
        return 0
    print(f"{len(outcome.plan.actions)} actions; looking for fewer ...", flush=True)
    small = shrink(outcome)
    print(*list(small.trace.lines)[-LINES:], sep="\n")
    print(f"-- what is needed, of {len(outcome.plan.actions)} actions:")
    print(described(small.plan.actions))
    print(_line(small))
    if small.error is not None:
        sys.excepthook(type(small.error), small.error, small.error.__traceback__)
    again = ["--replay", str(outcome.plan.seed), "--hours", f"{options.hours:g}"]
    again += ["--liveness"] if options.liveness else []
    again += ["--shape", f"'{options.shape}'"] if options.shape else []
    again += ["--kinds", ",".join(options.kinds)] if options.kinds else []
    print("-- again: python -m tests.simulation " + " ".join(again))
    return 1


if __name__ == "__main__":
    sys.exit(main())
