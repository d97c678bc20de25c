from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from smarttrade.binance.limits import (
    CONNECTION_PERIOD,
)
from smarttrade.feed.budgets import AttemptBudget, WeightBudget

# Weight


def ask(budget: WeightBudget, weight: int, now: float, told: int | None = None) -> float:
    """Reserve, and get the answer at once if that was possible."""
    before = budget.returned
    wait = budget.reserve(weight, now)
    if not wait:
        budget.answered(weight, told, now, before)
    return wait


def test_nothing_is_reserved_over_the_ceiling() -> None:
    budget = WeightBudget(10)
    assert budget.reserve(6, 0) == 0
    assert budget.reserve(4, 0) == 0
    assert budget.reserve(1, 0) > 0
    assert (budget.used, budget.spent) == (10, 10)


def test_weight_is_free_again_a_minute_after_the_last_answer() -> None:
    budget = WeightBudget(10)
    assert ask(budget, 10, now=100.0, told=10) == 0
    assert ask(budget, 1, now=101.0) == 59.0
    assert ask(budget, 1, now=159.9) > 0
    assert ask(budget, 10, now=160.0) == 0


def test_weight_of_other_programs_counts() -> None:
    budget = WeightBudget(10)
    assert ask(budget, 2, now=0, told=9) == 0
    assert ask(budget, 2, now=1) > 0
    assert ask(budget, 1, now=1) == 0


def test_new_minute_is_recognised_by_its_header() -> None:
    budget = WeightBudget(10)
    assert ask(budget, 8, now=0, told=8) == 0
    assert ask(budget, 2, now=1, told=2) == 0
    assert ask(budget, 8, now=1, told=10) == 0
    assert ask(budget, 1, now=1) > 0


def test_what_is_under_way_counts_although_no_header_tells_it_yet() -> None:
    budget = WeightBudget(10)
    before = budget.returned
    assert budget.reserve(4, 0) == budget.reserve(4, 0) == 0
    budget.answered(4, 4, 1, before)
    assert budget.reserve(4, 1) > 0


def test_answers_that_overtake_each_other_do_not_hide_weight() -> None:
    budget = WeightBudget(10)
    before = budget.returned
    assert budget.reserve(1, 0) == budget.reserve(9, 0) == 0
    budget.answered(9, 10, 1, before)  # counted second, answered first
    budget.answered(1, 1, 1, before)
    assert budget.used == 10
    assert budget.reserve(1, 1) > 0


def test_answers_without_a_header_count_too() -> None:
    budget = WeightBudget(10)
    assert [ask(budget, 4, now=t) > 0 for t in (0, 1, 2)] == [False, False, True]


def test_request_that_alone_is_over_the_ceiling_goes_out_alone() -> None:
    budget = WeightBudget(10)
    assert ask(budget, 20, now=0, told=20) == 0
    assert ask(budget, 20, now=1) > 0
    assert ask(budget, 20, now=60) == 0


def test_nothing_goes_out_while_blocked() -> None:
    budget = WeightBudget(10)
    budget.block(120, now=10)
    budget.block(5, now=11)
    assert budget.reserve(1, now=12) == 118
    assert (budget.used, budget.limited) == (0, 2)
    assert budget.reserve(1, now=130) == 0


class CountingExchange:
    """Counts weight by its own minute, whose beginning nobody else knows."""

    def __init__(self, phase: float) -> None:
        self.phase = phase
        self.ours: Counter[int] = Counter()
        self.all: Counter[int] = Counter()

    def count(self, now: float, ours: int, others: int = 0) -> int:
        minute = int((now + self.phase) // 60)
        self.ours[minute] += ours
        self.all[minute] += ours + others
        return self.all[minute]


@dataclass(frozen=True)
class Request:
    pause: float
    """Seconds before it is wanted."""
    weight: int
    way_there: float
    way_back: float
    is_lost: bool
    """No answer comes, though it arrives."""
    others: int
    """Weight that another program uses meanwhile."""


SECONDS = st.sampled_from([0, 0, 0, 1, 5, 30, 55, 60])
EIGHTHS = st.integers(0, 1600).map(lambda n: n / 8)  # of a second: sums of them are exact
REQUESTS = st.lists(
    st.builds(
        Request, SECONDS, st.integers(1, 10), SECONDS, SECONDS, st.booleans(), st.integers(0, 3)
    ),
    max_size=12,
)


@settings(max_examples=500)
@given(REQUESTS, st.sampled_from([0, 1, 10, 30, 59.5]), st.booleans())
def test_no_minute_of_the_exchange_sees_more_than_the_ceiling(
    requests: list[Request], phase: float, headers: bool
) -> None:
    """Whatever the order of arrivals and answers, and whenever its minute begins."""
    budget, exchange = WeightBudget(10), CountingExchange(phase)
    timeline: list[tuple[float, int, Callable[[float], None]]] = []
    numbers = count()

    def later(at: float, action: Callable[[float], None]) -> None:
        heappush(timeline, (at, next(numbers), action))

    def wanted(request: Request, now: float) -> None:
        before = budget.returned
        if wait := budget.reserve(request.weight, now):
            later(now + wait, partial(wanted, request))
        else:
            later(now + request.way_there, partial(arrived, request, before))

    def arrived(request: Request, before: int, now: float) -> None:
        told = exchange.count(now, request.weight, request.others)
        known = told if headers and not request.is_lost else None
        later(now + request.way_back, partial(answered, request, before, known))

    def answered(request: Request, before: int, told: int | None, now: float) -> None:
        budget.answered(request.weight, told, now, before)

    at = 0.0
    for request in requests:
        at += request.pause
        later(at, partial(wanted, request))
    while timeline:
        at, _, action = heappop(timeline)
        action(at)
    assert sum(exchange.ours.values()) == sum(r.weight for r in requests) == budget.spent
    assert all(used <= budget.ceiling for used in exchange.ours.values())
    assert budget.reserve(10, at + 60) == 0  # nothing is under way for ever


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
            assert budget.reserve(now) == 0  # the wait was told truly
            made.append(now)
        elif not wait:
            made.append(now)
    for begin in made:
        assert sum(begin <= at < begin + CONNECTION_PERIOD for at in made) <= most


def test_attempts_are_free_again_one_by_one() -> None:
    budget = AttemptBudget(2, CONNECTION_PERIOD)
    assert [budget.reserve(t) for t in (0, 100, 150)] == [0, 0, 150]
    assert [budget.reserve(t) for t in (299, 300, 301)] == [1, 0, 99]


def test_attempts_wait_for_as_long_as_the_exchange_says() -> None:
    attempts = AttemptBudget(150, CONNECTION_PERIOD)
    attempts.block(60, now=100)
    attempts.block(10, now=100)
    assert attempts.reserve(now=110) == 50
    assert attempts.reserve(now=160) == 0


def test_request_at_the_end_of_a_block_is_counted() -> None:
    budget = WeightBudget(3000)
    budget.block(60, now=100)
    assert budget.reserve(2, now=160) == 0
    assert budget.spent == 2


def test_request_that_would_lead_over_the_ceiling_waits_for_the_least_that_is_used() -> None:
    budget = WeightBudget(ceiling=2)
    assert budget.reserve(1, now=0) == 0
    assert budget.reserve(2, now=0) > 0
    assert budget.spent == 1
