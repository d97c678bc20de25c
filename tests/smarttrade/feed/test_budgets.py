from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.binance.limits import CONNECTION_PERIOD
from smarttrade.feed.budgets import AttemptBudget

EIGHTHS = st.integers(0, 1600).map(lambda n: n / 8)  # of a second: sums of them are exact


@given(
    st.lists(st.tuples(EIGHTHS, st.booleans()), max_size=60),
    st.integers(1, 5),
)
def test_connections_are_attempted_no_oftener_than_allowed(
    steps: list[tuple[float, bool]], most: int
) -> None:
    budget, now = AttemptBudget(most, CONNECTION_PERIOD), 0.0
    made: list[float] = []
    for passes, patient in steps:
        now += passes
        wait = budget.reserve(now)
        if wait and patient:
            now += wait
            assert budget.reserve(now) == 0  # the wait was long enough
            made.append(now)
        elif not wait:
            made.append(now)
    for begin in made:
        assert sum(begin <= at < begin + CONNECTION_PERIOD for at in made) <= most


def test_attempts_are_free_again_one_by_one() -> None:
    budget = AttemptBudget(2, CONNECTION_PERIOD)
    assert [budget.reserve(t) for t in (0, 100, 150)] == [0, 0, 150]
    assert [budget.reserve(t) for t in (299, 300, 301)] == [1, 0, 99]
