"""Looks for every planted fault, and prints a table."""

from __future__ import annotations

import argparse
import sys

from .catalogue import PLANTS, find, passes_without

HEADER = "| planted | found by | at seed | of |\n| --- | --- | --- | --- |"


def main(names: list[str] | None = None) -> int:
    found = 0
    chosen = [plant for plant in PLANTS if not names or any(n in plant.name for n in names)]
    print(HEADER)
    for plant in chosen:
        outcome = find(plant)
        by = "NOT FOUND" if outcome is None else f"`{outcome.invariant}`"
        if outcome is not None and not passes_without(plant, outcome.plan.seed):
            by = f"FAILS WITHOUT IT TOO: {by}"
        found += by.startswith("`")
        seed = "" if outcome is None else outcome.plan.seed
        print(f"| {plant.name} | {by} | {seed} | {plant.within} |", flush=True)
    return 0 if found == len(chosen) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.plants", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; default: all")
    sys.exit(main(parser.parse_args().names))
