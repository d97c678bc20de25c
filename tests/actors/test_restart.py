import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import Backoff, Restart, RestartBudget, Strategy
from actors.restart import affected

NAMES = ["store", "market", "web"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["market"]),
        (Strategy.REST_FOR_ONE, ["market", "web"]),
        (Strategy.ONE_FOR_ALL, ["store", "market", "web"]),
    ],
)
def test_affected_by_strategy(strategy: Strategy, expected: list[str]) -> None:
    assert list(affected(strategy, NAMES, "market")) == expected


@given(
    st.lists(st.integers(), unique=True, min_size=1).flatmap(
        lambda xs: st.tuples(st.just([str(x) for x in xs]), st.sampled_from([str(x) for x in xs]))
    ),
    st.sampled_from(Strategy),
)
def test_affected_contains_the_failed_child_and_keeps_the_order(
    case: tuple[list[str], str], strategy: Strategy
) -> None:
    names, failed = case
    group = list(affected(strategy, names, failed))
    assert failed in group
    assert group == [name for name in names if name in group]


@pytest.mark.parametrize(
    ("restart", "after_return", "after_failure"),
    [
        (Restart.PERMANENT, True, True),
        (Restart.TRANSIENT, False, True),
        (Restart.TEMPORARY, False, False),
    ],
)
def test_restart_policy(restart: Restart, after_return: bool, after_failure: bool) -> None:
    assert restart.wanted(failed=False) is after_return
    assert restart.wanted(failed=True) is after_failure


def test_budget_allows_as_many_as_it_says_and_forgets_the_old() -> None:
    budget = RestartBudget(2, within=10)
    assert budget.spend((), 0) == (0,)
    assert budget.spend((0,), 10) == (10, 0)
    assert budget.spend((10, 0), 10) is None
    assert budget.spend((10, 0), 10.5) == (10.5, 10)


def test_budget_of_none_allows_none() -> None:
    assert RestartBudget(0, within=10).spend((), 0) is None


@given(st.lists(st.floats(0, 1000), max_size=30), st.integers(0, 5))
def test_budget_is_kept_in_every_window(times: list[float], restarts: int) -> None:
    """For any failures, no window holds more restarts than allowed."""
    budget = RestartBudget(restarts, within=10)
    past: tuple[float, ...] = ()
    allowed: list[float] = []
    for now in sorted(times):
        spent = budget.spend(past, now)
        in_window = sum(t >= now - 10 for t in allowed)
        if spent is None:
            assert in_window == restarts
            return
        past = spent
        allowed.append(now)
        assert in_window < restarts
        assert len(past) <= restarts


def test_pause_grows_to_its_limit() -> None:
    backoff = Backoff(1, 10, jitter=0)
    assert [backoff.pause(n, 0.5) for n in range(7)] == [0, 1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize(("jitter", "random", "expected"), [(0.5, 0, 4), (1, 0, 0), (1, 0.5, 4)])
def test_jitter_is_the_random_fraction(jitter: float, random: float, expected: float) -> None:
    assert Backoff(1, 100, jitter=jitter).pause(4, random) == expected


backoffs = st.builds(
    lambda first, more, factor, jitter: Backoff(first, first + more, factor, jitter),
    st.floats(0, 100),
    st.floats(0, 1000),
    st.floats(1, 10),
    st.floats(0, 1),
)


@given(backoffs, st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_pause_stays_within_its_bounds(backoff: Backoff, failures: int, random: float) -> None:
    pause = backoff.pause(failures, random)
    assert 0 <= pause <= backoff.max_pause
    if failures:
        assert pause >= backoff.first * (1 - backoff.jitter) * 0.999
    assert pause <= backoff.pause(failures + 1, random)


def test_failures_in_a_row_are_forgotten_after_health() -> None:
    backoff = Backoff(1, 10, healthy_after=60)
    assert backoff.failures(0, 0) == 1
    assert backoff.failures(3, 59.9) == 4
    assert backoff.failures(3, 60) == 1


@pytest.mark.parametrize(
    ("first", "max_pause", "factor", "jitter"),
    [(-1, 1, 2, 0), (2, 1, 2, 0), (1, 2, 0.5, 0), (1, 2, 2, 1.1), (1, 2, 2, -0.1)],
)
def test_pause_that_does_not_grow_is_refused(
    first: float, max_pause: float, factor: float, jitter: float
) -> None:
    with pytest.raises(ValueError, match="growing"):
        Backoff(first, max_pause, factor, jitter)
