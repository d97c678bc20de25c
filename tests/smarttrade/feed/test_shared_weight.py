"""Several processes at one address, such as the ingests of shards: who gets how much of its weight.

They know of each other only by what the venue counts.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from itertools import count

import pytest

from smarttrade.feed.weight import MAX_COUNTED_SHARE, PERIOD, Purpose, WeightBudget

ALLOWED = 6000
WEIGHT = 2  # of 1000 candles
LATENCY = 0.05  # seconds
CONNECTIONS = 8  # of each process
MINUTES = 5


def used_by_minute(starts: Sequence[float]) -> list[list[int]]:
    """What each of the processes, which begin at `starts` (s), uses in each minute of the venue.

    All have more to ask for than they get.
    """
    budgets = [WeightBudget(ALLOWED) for _ in starts]
    used = [Counter[int]() for _ in range(MINUTES)]
    order = count()
    due = [
        (start, next(order), process)
        for process, start in enumerate(starts)
        for _ in range(CONNECTIONS)
    ]
    heapq.heapify(due)
    while due:
        now, _, process = heapq.heappop(due)
        minute = int(now / PERIOD)
        if minute >= MINUTES:
            break
        budget = budgets[process]
        before = budget.returned
        wait = budget.reserve(WEIGHT, Purpose.START, now)
        if not wait:
            used[minute][process] += WEIGHT
            counted = used[minute].total()
            budget.answered(WEIGHT, Purpose.START, counted, now + LATENCY, before)
        heapq.heappush(due, (now + (wait or LATENCY), next(order), process))
    return [[each[process] for process in range(len(starts))] for each in used]


def test_process_alone_uses_half_less_what_other_purposes_are_sure_of() -> None:
    assert [minute[0] for minute in used_by_minute([0])] == [2100] * MINUTES


@pytest.mark.parametrize("starts", [(0, 0, 0, 0), (0, 2, 20, 40), (0, 1, 2, 3), (5, 50, 51, 59)])
def test_four_processes_get_equal_parts_whenever_they_begin(starts: Sequence[float]) -> None:
    minutes = used_by_minute(starts)
    assert max(map(sum, minutes)) < (MAX_COUNTED_SHARE + 4 * 0.01) * ALLOWED
    for minute in minutes[2:]:
        assert sum(minute) > 0.75 * ALLOWED
        assert min(minute) > 0.6 * sum(minute) / 4
        assert max(minute) < 1.5 * sum(minute) / 4
