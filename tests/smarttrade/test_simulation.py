"""The whole service in virtual time, for a few seeds: docs/simulation.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.plan import Action, Plan, plan_for
from tests.simulation.plants import PLANTS, Plant, find
from tests.simulation.run import Outcome, run, run_seed
from tests.simulation.seeds import FAILED, Failed
from tests.simulation.shapes import NAMED
from tests.simulation.shrink import described, shrink
from tests.simulation.violation import INVARIANTS

HOURS = 0.03  # of trouble; the calm afterwards takes as long again
SEEDS = (1, 4, 9)
ROOT = Path(__file__).parents[2]


def check(outcome: Outcome) -> None:
    assert outcome.is_good, f"{outcome.reason}\n{described(outcome.plan.actions)}"


def digest_elsewhere(seed: int, hash_seed: str) -> str:
    """Of a run in another process, where sets of strings have another order."""
    program = (
        "from tests.simulation.run import run_seed;"
        f"print(run_seed({seed}, {HOURS}, named='deployment').digest)"
    )
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


def test_same_seed_gives_the_same_trace_to_the_byte_in_every_process() -> None:
    """First of all: without it no failing seed is worth anything."""
    here = run_seed(5, HOURS, named="deployment")
    check(here)
    assert here.trace.bytes > 50_000
    assert digest_elsewhere(5, "7") == here.digest


def test_same_seed_gives_the_same_trace_twice_and_another_one_does_not() -> None:
    digests = [run_seed(seed, 0.01, named="one").digest for seed in (5, 5, 6)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_breaks(seed: int) -> None:
    check(run_seed(seed, HOURS))


@pytest.mark.parametrize("seed", [1, pytest.param(7, marks=pytest.mark.slow)])
def test_nothing_breaks_where_there_are_several_shards(seed: int) -> None:
    check(run_seed(seed, HOURS, named="sharded"))


@pytest.mark.parametrize("named", ["cluster", "sentinel"])
def test_nothing_breaks_where_primaries_fail(named: str) -> None:
    check(run_seed(3, HOURS, named=named))


@pytest.mark.slow
def test_same_seed_gives_the_same_trace_with_redis_py() -> None:
    first, second = (run_seed(3, 0.01, named="sentinel").digest for _ in range(2))
    assert first == second


def test_others_go_on_when_one_shard_is_not_written_any_more() -> None:
    plan = plan_for(5, HOURS, named="sharded", kinds=("shard_dead",), liveness=True)
    check(run(plan))


def test_others_go_on_when_one_part_is_broken_for_good() -> None:
    check(run_seed(2, HOURS, liveness=True))


def test_failing_run_is_shrunk_to_the_one_action_that_it_needs() -> None:
    plant = next(plant for plant in PLANTS if "unsubscribing" in plant.name)
    plan = Plan(
        1,
        NAMED["one"],
        150,
        (
            Action(10, "cut", {"how": "rst"}, 0, seed=1),
            Action(20, "client", {"does": "churn"}, 100, seed=2),
            Action(30, "expire", {}, 0, seed=3),
        ),
    )
    failed = run(plan, plant.breaks())
    assert failed.invariant == "only-what-was-asked"
    small = shrink(failed, lambda smaller: run(smaller, plant.breaks()))
    assert small.invariant == failed.invariant
    assert small.plan.actions == plan.actions[1:2]


def test_leaving_out_an_action_leaves_the_others_alone() -> None:
    plan = plan_for(4, 0.2)
    assert plan == plan_for(4, 0.2)
    fewer = plan.only(plan.actions[1:])
    assert fewer.actions[0] == plan.actions[1]


@pytest.mark.parametrize(
    "once",
    [pytest.param(one, marks=[pytest.mark.slow] * (one.hours > 1), id=one.why) for one in FAILED],
)
def test_what_failed_once_does_not_fail_again(once: Failed) -> None:
    check(run_seed(once.seed, once.hours, liveness=once.liveness, named=once.named))


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_what_is_planted_into_is_there(plant: Plant) -> None:
    """Whether it is found takes minutes: that is left to the slow tests."""
    with plant.breaks():
        pass


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_planted_fault_is_found(plant: Plant) -> None:
    assert find(plant) is not None


def rows_of(header: str) -> list[list[str]]:
    """The rows of a table in docs/simulation.md."""
    text = (ROOT / "docs" / "simulation.md").read_text()
    _, _, rest = text.partition(f"| {header} |")
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_docs_list_every_rule_and_every_planted_bug() -> None:
    rules = [name for names, _ in rows_of("rule |") for name in names.split(", ")]
    assert {name.strip("`") for name in rules} == INVARIANTS.keys()
    found = rows_of("planted | found by | at seed | of")
    assert [(name, of) for name, _, _, of in found] == [(p.name, str(p.within)) for p in PLANTS]
    for _, rule, seed, of in found:
        assert rule.strip("`") in INVARIANTS
        assert int(seed) <= int(of)
