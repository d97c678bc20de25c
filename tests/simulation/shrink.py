"""From a run that fails to the fewest actions with which it still does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .plan import Action, Plan
from .run import Outcome, run

MAX_RUNS = 60

Progress = Callable[[str], None]


def shrink(failed: Outcome, run_plan: Callable[[Plan], Outcome] = run) -> Outcome:
    """The smallest failing run that is found: the same rule broken, with fewer actions.

    Halves, quarters and so on are left out in turn, as in Zeller's ddmin.
    """
    runs = 0

    def fails(plan: Plan) -> Outcome | None:
        nonlocal runs
        runs += 1
        outcome = run_plan(plan)
        return outcome if outcome.invariant == failed.invariant else None

    best = _cut_short(failed, fails)
    parts = 2
    while runs < MAX_RUNS and best.plan.actions:
        kept = best.plan.actions
        size = max(1, len(kept) // parts)
        smaller = None
        for start in range(0, len(kept), size):
            plan = best.plan.only((*kept[:start], *kept[start + size :]))
            if (smaller := fails(plan)) is not None or runs >= MAX_RUNS:
                break
        if smaller is not None:
            best = smaller
            parts = max(2, parts - 1)
        elif size == 1:
            break
        else:
            parts = min(len(kept), 2 * parts)
    return _shortened(best, fails)


def _cut_short(failed: Outcome, fails: Callable[[Plan], Outcome | None]) -> Outcome:
    """Without what comes after the failure, if that was not in the calm at the end."""
    end = failed.figures.simulated
    if end >= failed.plan.seconds:
        return failed
    before = tuple(one for one in failed.plan.actions if one.at < end)
    return fails(replace(failed.plan, actions=before, seconds=end + 10)) or failed


def _shortened(best: Outcome, fails: Callable[[Plan], Outcome | None]) -> Outcome:
    """No longer than the last action needs."""
    ends = [one.at + min(one.seconds, 600) for one in best.plan.actions]
    seconds = max(ends, default=0) + 120
    if seconds < best.plan.seconds:
        return fails(replace(best.plan, seconds=seconds)) or best
    return best


def described(actions: Sequence[Action]) -> str:
    return "\n".join(map(str, actions)) or "(nothing happens)"
