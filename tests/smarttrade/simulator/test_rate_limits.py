from __future__ import annotations

from smarttrade.simulator.rate_limits import MAX_IGNORED, AddressBudget, Refusal, RollingLimit


def test_weight_is_counted_by_the_minute() -> None:
    budget = AddressBudget(limit=10)
    assert budget.spend(10, 59.0) is None
    assert budget.spend(1, 59.5) == Refusal(429, 1)
    assert budget.spend(10, 60.0) is None
    assert budget.used == 10


def test_an_address_that_does_not_back_off_is_banned_and_longer_each_time() -> None:
    budget = AddressBudget(limit=1)
    answers = [budget.spend(1, 0.0) for _ in range(MAX_IGNORED + 2)]
    assert answers[:2] == [None, Refusal(429, 60)]
    assert answers[-1] == Refusal(418, 120)
    assert budget.spend(1, 100.0) == Refusal(418, 20)
    assert budget.spend(1, 120.0) is None
    for _ in range(MAX_IGNORED):
        assert budget.spend(1, 121.0) == Refusal(429, 59)
    assert budget.spend(1, 121.0) == Refusal(418, 240)


def test_a_rate_forgets_what_is_long_ago() -> None:
    rate = RollingLimit(2, period=1.0)
    assert [rate.admits(at) for at in (0.0, 0.1, 0.2, 1.0, 1.05, 1.1)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]
