from __future__ import annotations

from typing import Any

import pytest
import trio

from smarttrade.simulator import (
    RANDOM_FAULTS,
    SYMBOL_FAULTS,
    Step,
    inject,
    play_random,
    random_script,
    run_script,
)
from smarttrade.simulator.incidents import INCIDENTS

from .clients import exchange


def test_a_seed_always_draws_the_same_script() -> None:
    script = random_script(7, 86_400)
    assert script == random_script(7, 86_400)
    assert script != random_script(8, 86_400)
    assert 500 < len(script) < 1000
    assert {step.fault for step in script} == set(RANDOM_FAULTS)
    assert all(0 <= step.at < 86_400 for step in script)


def test_only_the_requested_faults_are_drawn() -> None:
    script = random_script(1, 3600, per_minute=2, faults=["cut", "stall"])
    assert {step.fault for step in script} == {"cut", "stall"}


async def test_every_random_fault_can_be_injected(autojump_clock: Any) -> None:
    venue = exchange()
    await run_script(venue, random_script(3, 86_400))
    assert set(venue.stats.faults) == set(RANDOM_FAULTS)


def test_with_symbols_their_faults_are_drawn_too() -> None:
    symbols = ["BTCUSDT", "ETHUSDT"]
    script = random_script(7, 86_400, symbols=symbols)
    assert script == random_script(7, 86_400, symbols=symbols)
    faults = {step.fault for step in script}
    assert faults == set(RANDOM_FAULTS) | set(SYMBOL_FAULTS)
    assert [step.fault for step in script].count("rename") == 1
    altered = [step.arguments.get("symbol") for step in script if step.fault == "alter"]
    assert set(altered) == {None, *symbols}
    assert any(step.arguments.get("symbols") == ["BTCUSDT"] for step in script)
    assert any(step.arguments.get("value") == ["ethusdt@kline_1m"] for step in script)


async def test_random_faults_go_on_until_cancelled(autojump_clock: Any) -> None:
    venue = exchange()
    with trio.move_on_after(3 * 86_400):
        await play_random(venue, 5)
    assert set(venue.stats.faults) == set(RANDOM_FAULTS) | set(SYMBOL_FAULTS)
    assert venue.stats.faults.total() > 1800


def test_every_fault_is_drawn_at_random_or_left_out_on_purpose() -> None:
    names = {name for name, _ in exchange().faults.switches()} | set(INCIDENTS)
    drawn = set(RANDOM_FAULTS) | set(SYMBOL_FAULTS)
    assert names - drawn == {"delist", "list", "only_hosts", "peer_stall", "peer_late"}
    assert drawn <= names


async def test_steps_happen_at_their_times_and_last_as_long_as_they_say(
    autojump_clock: Any,
) -> None:
    venue = exchange()
    script = [Step(20, "rest_status", {"value": 500}, 5), Step(10, "rest_status", seconds=3)]
    seen = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_script, venue, script)
        for _ in range(30):
            seen.append(venue.faults.rest_status.value)
            await trio.sleep(1)
    expected = [None] * 10 + [503] * 3 + [None] * 7 + [500] * 5 + [None] * 5
    assert sum(a != b for a, b in zip(seen, expected, strict=True)) <= 2


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        ("nosuch", {}),
        ("stall", {"value": 7}),
        ("stall", {"streams": []}),
        ("rest_status", {"value": "many"}),
        ("cut", {"how": "gently"}),
        ("cut", {"value": 1}),
        ("delist", {}),
        ("delist", {"symbol": "NOSUCH"}),
        ("hole", {"symbol": "NOSUCH"}),
        ("alter", {"interval": "7m"}),
        ("list", {"symbol": "BTCUSDT"}),
    ],
)
async def test_mistakes_are_named(
    fault: str, arguments: dict[str, Any], autojump_clock: Any
) -> None:
    with pytest.raises(ValueError):
        inject(exchange(), fault, arguments)
