"""The faults of `python -m tests.reliability` that are fast enough for every run."""

from __future__ import annotations

import pytest

from tests.reliability.endurance import FAULTS as RANDOM
from tests.reliability.endurance import endure, script
from tests.reliability.faults import BY_NAME, FAULTS, Fault
from tests.reliability.trial import play
from tests.reliability.watch import most_attempts

UNNOTICED = [
    "cut by RST",
    "one stream stalled on one connection",
    "half of the events disordered for 2 min",
    "serverShutdown",
    "REST 451 at the first host, and a cut",
]
OTHERS_NOTICE_NOTHING = [
    "klines of one symbol fail (500) for 10 min, and a cut",
    "one symbol is unknown (-1121) for 10 min, and a cut",
    "one symbol is halted for 10 min",
]
RECOVERED = [
    "everything cut and refused for 5 min",
    "half-open stream",
    "streams 451 at the first host, and a cut",
    "nothing but nonsense in the first host's streams",
    "a closed candle is changed",
]


@pytest.fixture(autouse=True)
def quiet_actors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


@pytest.mark.parametrize("name", UNNOTICED)
def test_fault_that_no_client_notices(name: str) -> None:
    result = play(BY_NAME[name], seed=2)
    assert result.wrong == []
    assert result.seconds is None or result.seconds <= 5


@pytest.mark.parametrize("name", RECOVERED)
def test_fault_after_which_nothing_is_missing(name: str) -> None:
    result = play(BY_NAME[name], seed=2)
    assert result.wrong == []
    assert result.seconds is not None
    assert result.seconds < 240


@pytest.mark.parametrize("name", OTHERS_NOTICE_NOTHING)
def test_fault_of_one_symbol_that_others_do_not_notice(name: str) -> None:
    result = play(BY_NAME[name], seed=2)
    assert (result.noticed, result.wrong) == ("nothing", [])


def test_firewall_is_asked_seldom_while_it_blocks() -> None:
    result = play(BY_NAME["403 from the firewall for 10 min, and a cut"], seed=2)
    assert result.wrong == []
    assert result.refused <= 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if not fault.unhandled], ids=lambda fault: fault.name
)
def test_every_fault(fault: Fault) -> None:
    assert play(fault, seed=3).wrong == []


@pytest.mark.slow
def test_hours_of_random_faults() -> None:
    assert endure(5, 4).wrong == []


def test_script_of_two_days_has_at_least_one_fault_of_each_kind() -> None:
    faults = {step.fault for step in script(1, 48 * 3600)}
    assert {*RANDOM, "hole", "rename"} <= faults


def test_attempts_are_counted_within_five_minutes() -> None:
    assert most_attempts([0, 100, 200, 299, 300, 301, 700]) == 5
