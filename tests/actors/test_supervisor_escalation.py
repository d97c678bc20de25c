"""Restart budgets, and what follows when one is exceeded."""

import pytest
import trio
from trio.testing import MockClock

from actors import Backoff, Child, RestartBudget, RestartLimit, State

from .fakes import Crashing, running, state, steady, supervisor


async def test_supervisor_fails_when_the_budget_is_exceeded(autojump_clock: MockClock) -> None:
    crashing = Crashing(after=1)
    tree = supervisor(Child("doomed", crashing.run), budget=RestartBudget(2, within=60))
    start = trio.current_time()
    with pytest.raises(RestartLimit, match="service: doomed") as caught:
        await tree.run()
    assert trio.current_time() - start == 3
    assert str(caught.value.__cause__) == "crash 3"
    assert state(tree) is state(tree, "doomed") is State.FAILED


async def test_budget_is_shared_by_the_children_and_forgets_the_old(
    autojump_clock: MockClock,
) -> None:
    budget = RestartBudget(2, within=10)
    one, two = Crashing(after=6, times=4), Crashing(after=7, times=4)
    async with running(supervisor(Child("one", one.run), budget=budget)):
        await trio.sleep(60)
    assert len(one.started_at) == 5
    with pytest.raises(RestartLimit):
        await supervisor(
            Child("one", Crashing(after=6, times=4).run), Child("two", two.run), budget=budget
        ).run()


async def test_restart_limit_is_a_failure_for_the_parent(autojump_clock: MockClock) -> None:
    crashing = Crashing(after=1, times=3)
    feed = supervisor(Child("stream", crashing.run), name="feed", budget=RestartBudget(1, 60))
    top = supervisor(feed, Child("web", steady), backoff=Backoff(5, 5, jitter=0))
    start = trio.current_time()
    async with running(top):
        await trio.sleep(3)
        assert state(top, "feed") is State.PAUSING
        assert state(top, "web") is State.RUNNING
        await trio.sleep(10)
        info = top.inspect()
    assert [at - start for at in crashing.started_at] == [0, 1, 7, 8]
    feed_info = info.children[0]
    assert (feed_info.state, feed_info.restarts) == (State.RUNNING, 1)
    assert feed_info.last_error is not None
    assert feed_info.last_error.startswith("RestartLimit: feed: stream")
    assert feed_info.children[0].restarts == 3


async def test_tree_ends_when_the_top_budget_is_exceeded(autojump_clock: MockClock) -> None:
    crashing = Crashing(after=1)
    feed = supervisor(Child("stream", crashing.run), name="feed", budget=RestartBudget(1, 60))
    with pytest.raises(RestartLimit) as caught:
        await supervisor(feed, budget=RestartBudget(2, 60)).run()
    assert isinstance(caught.value.__cause__, RestartLimit)
    assert len(crashing.started_at) == (1 + 1) * (2 + 1)
