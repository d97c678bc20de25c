from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smarttrade.feed.weight import (
    IN_FLIGHT_RECHECK,
    MAX_COUNTED_SHARE,
    MIN_OWN_SHARE,
    SHARES,
    Purpose,
    WeightBudget,
)

GAP, START, AUDIT, CHECK = Purpose.GAP, Purpose.START, Purpose.AUDIT, Purpose.CHECK


def ask(
    budget: WeightBudget,
    weight: int,
    now: float,
    counted: int | None = None,
    purpose: Purpose = GAP,
) -> float:
    """Reserve, and get the answer at once if that was possible."""
    before = budget.returned
    wait = budget.reserve(weight, purpose, now)
    if not wait:
        budget.answered(weight, purpose, counted, now, before)
    return wait


def spend_all(budget: WeightBudget, purpose: Purpose, now: float, others: int = 0) -> int:
    """Ask for two at a time for as long as nothing must wait; how much that was."""
    before = budget.spent
    while not ask(budget, 2, now, others + budget.spent + 2, purpose):
        pass
    return budget.spent - before


def test_half_of_what_the_venue_allows_is_left_to_other_programs() -> None:
    assert WeightBudget(6000).ceiling == 3000
    assert WeightBudget(1200).ceiling == 600


def test_ceiling_that_is_set_is_bounded_by_what_the_venue_allows() -> None:
    assert WeightBudget(6000, 5000).ceiling == 5000
    assert WeightBudget(1200, 5000).ceiling == 1200


def test_what_the_venue_says_that_it_allows_counts_from_then_on() -> None:
    budget = WeightBudget(6000)
    assert ask(budget, 200, now=0, counted=200) == 0
    budget.allowed = 1200
    assert ask(budget, 2, now=1, counted=202) == 0
    assert ask(budget, 200, now=1) > 0


@pytest.mark.parametrize("purpose", list(Purpose))
def test_each_purpose_may_use_what_others_are_not_sure_of(purpose: Purpose) -> None:
    budget = WeightBudget(6000)
    sure = sum(share for other, share in SHARES.items() if other is not purpose)
    assert spend_all(budget, purpose, now=0) == pytest.approx(3000 * (1 - sure), abs=2)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_each_purpose_is_sure_of_its_share_whatever_the_others_use(purpose: Purpose) -> None:
    budget = WeightBudget(1200)
    for other in Purpose:
        if other is not purpose:
            spend_all(budget, other, now=0)
    assert spend_all(budget, purpose, now=1) >= SHARES[purpose] * 600 - 2


def test_all_of_the_ceiling_is_used_and_no_more() -> None:
    budget = WeightBudget(6000)
    assert sum(spend_all(budget, purpose, now=0) for purpose in Purpose) == 3000


def test_weight_is_free_again_a_minute_after_its_answer() -> None:
    budget = WeightBudget(6000, 10)
    assert ask(budget, 2, now=100) == 0
    assert ask(budget, 3, now=110) == 0
    assert ask(budget, 8, now=120) == 40
    assert ask(budget, 8, now=160) == 10
    assert ask(budget, 8, now=170) == 0


def test_weight_of_other_programs_is_seen_and_left_to_them() -> None:
    """A neighbour that uses more than half leaves what the venue's own limit leaves."""
    budget = WeightBudget(6000)
    spent = sum(spend_all(budget, purpose, 0, others=3500) for purpose in (START, GAP))
    assert budget.others == 3500
    assert spent == pytest.approx(1900 * (1 - SHARES[AUDIT] - SHARES[CHECK]), abs=4)


def test_something_is_asked_although_others_use_everything() -> None:
    budget = WeightBudget(6000)
    assert ask(budget, 2, now=0, counted=5800) == 0
    for purpose in Purpose:
        spend_all(budget, purpose, 1, others=5798)
    assert budget.spent == pytest.approx(MIN_OWN_SHARE * 6000, abs=6)
    assert MAX_COUNTED_SHARE + MIN_OWN_SHARE < 1


def test_new_minute_of_the_venue_is_recognised_by_its_count() -> None:
    budget = WeightBudget(100, 90)
    assert ask(budget, 8, now=0, counted=92) == 0
    assert ask(budget, 20, now=1) > 0
    assert ask(budget, 2, now=1, counted=2) > 0  # nothing is sure of what is not there
    assert ask(budget, 2, now=60, counted=2) == 0
    assert ask(budget, 20, now=61, counted=22) == 0


def test_what_is_under_way_counts_although_no_answer_reports_it_yet() -> None:
    budget = WeightBudget(6000, 10)
    before = budget.returned
    assert budget.reserve(3, GAP, 0) == budget.reserve(3, GAP, 0) == 0
    assert budget.reserve(4, GAP, 0) == IN_FLIGHT_RECHECK
    budget.answered(3, GAP, 3, 1, before)
    assert budget.reserve(4, GAP, 1) == 60


def test_answers_that_overtake_each_other_hide_no_weight() -> None:
    budget = WeightBudget(100, 90)
    before = budget.returned
    assert budget.reserve(1, GAP, 0) == budget.reserve(9, GAP, 0) == 0
    budget.answered(9, GAP, 10, 1, before)  # counted second, answered first
    budget.answered(1, GAP, 1, 1, before)
    assert budget.used == 10


def test_request_that_alone_is_over_the_ceiling_goes_out_alone() -> None:
    budget = WeightBudget(6000, 10)
    assert ask(budget, 20, now=0, counted=20) == 0
    assert ask(budget, 20, now=1) > 0
    assert ask(budget, 20, now=60) == 0


def test_what_was_reserved_and_not_sent_is_free_again() -> None:
    budget = WeightBudget(6000, 10)
    assert budget.reserve(6, GAP, 0) == 0
    budget.release(6, GAP)
    assert (budget.used, budget.spent, budget.own) == (0, 0, 0)


class CountingVenue:
    """Counts weight by its own minute, whose beginning is known to no one else."""

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
    purpose: Purpose
    way_there: float
    way_back: float
    is_lost: bool
    """No answer comes, though it arrives."""
    others: int
    """Weight that another program uses meanwhile."""


SECONDS = st.sampled_from([0, 0, 0, 1, 5, 30, 55, 60])
REQUESTS = st.lists(
    st.builds(
        Request,
        SECONDS,
        st.integers(1, 10),
        st.sampled_from(Purpose),
        SECONDS,
        SECONDS,
        st.booleans(),
        st.integers(0, 30),
    ),
    max_size=12,
)


@settings(max_examples=500)
@given(REQUESTS, st.sampled_from([0, 1, 10, 30, 59.5]), st.booleans())
def test_no_minute_of_the_venue_sees_more_than_the_ceiling(
    requests: list[Request], phase: float, headers: bool
) -> None:
    """Whatever the order of arrivals and answers, and whenever its minute begins."""
    budget, venue = WeightBudget(100, 10), CountingVenue(phase)
    timeline: list[tuple[float, int, Callable[[float], None]]] = []
    numbers = count()

    def later(at: float, action: Callable[[float], None]) -> None:
        heappush(timeline, (at, next(numbers), action))

    def wanted(request: Request, now: float) -> None:
        before = budget.returned
        if wait := budget.reserve(request.weight, request.purpose, now):
            later(now + wait, partial(wanted, request))
        else:
            later(now + request.way_there, partial(arrived, request, before))

    def arrived(request: Request, before: int, now: float) -> None:
        counted = venue.count(now, request.weight, request.others)
        known = counted if headers and not request.is_lost else None
        later(now + request.way_back, partial(answered, request, before, known))

    def answered(request: Request, before: int, counted: int | None, now: float) -> None:
        budget.answered(request.weight, request.purpose, counted, now, before)

    at = 0.0
    for request in requests:
        at += request.pause
        later(at, partial(wanted, request))
    while timeline:
        at, _, action = heappop(timeline)
        action(at)
    assert sum(venue.ours.values()) == sum(r.weight for r in requests) == budget.spent
    assert all(used <= budget.ceiling for used in venue.ours.values())
    assert budget.reserve(10, GAP, at + 60) == 0  # nothing is under way indefinitely
