"""Ordered stops: requested, and by cancellation."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import (
    Backoff,
    Child,
    Fatal,
    RestartBudget,
    RestartLimit,
    State,
    Strategy,
    Supervisor,
    Unkillable,
)

from .fakes import (
    Crashing,
    Scripted,
    SlowToStop,
    running,
    scripted,
    state,
    steady,
    stuck,
    supervisor,
    to_children,
)

NAMES = ["store", "market", "web"]


def slow_to_stop(name: str, child: SlowToStop, *, timeout: float = 5) -> Child:
    return Child(name, child.run, stop=child.stop_requested.set, stop_timeout=timeout)


async def test_stop_ends_the_children_in_reverse_and_returns(autojump_clock: MockClock) -> None:
    events: list[str] = []
    tree = supervisor(*to_children(scripted(NAMES, events)))
    async with running(tree):
        events.clear()
    assert events == ["-web", "-market", "-store"]
    assert [child.state for child in tree.inspect().children] == [State.STOPPED] * 3
    assert tree.inspect().state is State.STOPPED


async def test_stop_requested_before_the_run_ends_it_immediately(autojump_clock: MockClock) -> None:
    events: list[str] = []
    tree = supervisor(*to_children(scripted(NAMES, events)))
    tree.stop()
    await tree.run()
    assert events == []
    async with running(tree):
        assert events == ["+store", "+market", "+web"]


async def test_each_child_has_ended_before_the_one_that_started_earlier_is_stopped(
    autojump_clock: MockClock,
) -> None:
    store, web = SlowToStop(2), SlowToStop(3)
    start = trio.current_time()
    async with running(supervisor(slow_to_stop("store", store), slow_to_stop("web", web))):
        pass
    assert (web.ended_at, store.ended_at) == (start + 3, start + 5)


async def test_graceful_stop_that_takes_too_long_is_cancelled(autojump_clock: MockClock) -> None:
    slow = SlowToStop(100)
    start = trio.current_time()
    async with running(supervisor(slow_to_stop("slow", slow, timeout=4))):
        pass
    assert slow.ended_at == start + 4


async def test_child_whose_stop_request_fails_is_cancelled(autojump_clock: MockClock) -> None:
    def fail() -> None:
        raise OSError("no")

    start = trio.current_time()
    async with running(supervisor(Child("a", steady, stop=fail))):
        pass
    assert trio.current_time() == start


async def test_cancellation_is_an_ordered_stop(autojump_clock: MockClock) -> None:
    """Children stop last-first, each within its own timeout."""
    store, web = SlowToStop(2), SlowToStop(3)
    tree = supervisor(slow_to_stop("store", store), slow_to_stop("web", web))
    start = trio.current_time()
    with trio.move_on_after(10) as scope:
        await tree.run()
    assert scope.cancelled_caught
    assert (web.ended_at, store.ended_at) == (start + 13, start + 15)
    assert tree.inspect().state is State.STOPPED


async def test_cancellation_during_the_start_stops_what_has_started(
    autojump_clock: MockClock,
) -> None:
    events: list[str] = []
    store, web = Scripted("store", events), Scripted("web", events, start_takes=5)
    tree = supervisor(Child("store", store.run), Child("web", web.run))
    with trio.move_on_after(1):
        await tree.run()
    assert events == ["+store", "+web", "-web", "-store"]


async def test_cancellation_during_a_pause_stops_at_once(autojump_clock: MockClock) -> None:
    crashing = Crashing(after=1)
    tree = supervisor(Child("feed", crashing.run), backoff=Backoff(50, 50))
    start = trio.current_time()
    with trio.move_on_after(2):
        await tree.run()
    assert trio.current_time() - start == 2
    assert tree.inspect().children[0].state is State.STOPPED


async def test_nested_supervisors_stop_in_order_too(autojump_clock: MockClock) -> None:
    events: list[str] = []
    scripts = scripted(["store", "stream", "audit", "web"], events)
    store, stream, audit, web = to_children(scripts)
    tree = supervisor(store, supervisor(stream, audit, name="feed"), web)
    async with running(tree):
        assert events == ["+store", "+stream", "+audit", "+web"]
        events.clear()
    assert events == ["-web", "-audit", "-stream", "-store"]


async def test_restart_limit_stops_the_other_children_in_reverse(autojump_clock: MockClock) -> None:
    events: list[str] = []
    scripts = scripted(NAMES, events)
    tree = supervisor(*to_children(scripts), budget=RestartBudget(0, 60))
    with pytest.RaisesGroup(RestartLimit):
        async with trio.open_nursery() as nursery:
            await nursery.start(tree.run)
            events.clear()
            scripts["market"].fail()
    assert events == ["-market", "-web", "-store"]


async def test_failure_while_stopping_does_not_keep_the_others_from_stopping(
    autojump_clock: MockClock,
) -> None:
    async def fails_while_stopping(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("while closing")

    store = SlowToStop(0)
    tree = supervisor(
        slow_to_stop("store", store), Child("fails_while_stopping", fails_while_stopping)
    )
    async with running(tree):
        pass
    assert store.ended_at is not None
    info = tree.inspect().children[1]
    assert (info.state, info.last_error) == (State.FAILED, "OSError: while closing")


async def test_child_that_returns_at_a_stop_request_before_it_has_started_has_not_failed(
    autojump_clock: MockClock,
) -> None:
    stop_requested = trio.Event()

    async def slow_start(*, task_status: trio.TaskStatus[None]) -> None:
        await stop_requested.wait()

    tree = supervisor(Child("slow", slow_start, stop=stop_requested.set))
    with trio.move_on_after(1):
        await tree.run()
    (info,) = tree.inspect().children
    assert (info.state, info.last_error) == (State.STOPPED, None)


def unkillable_state(tree: Supervisor) -> State:
    return next(child.state for child in tree.inspect().children if child.name == "stuck")


async def test_child_that_ignores_cancellation_is_reported_and_the_others_are_stopped(
    autojump_clock: MockClock,
) -> None:
    store = SlowToStop(1)
    tree = supervisor(slow_to_stop("store", store), Child("stuck", stuck, stop_timeout=2))
    start = trio.current_time()
    with pytest.RaisesGroup(Unkillable):
        async with running(tree):
            pass
    assert trio.current_time() - start == 3
    assert store.ended_at == start + 3
    assert unkillable_state(tree) is State.UNKILLABLE
    assert tree.inspect().state is State.FAILED


async def test_child_that_ignores_request_and_cancellation_gets_both_timeouts(
    autojump_clock: MockClock,
) -> None:
    tree = supervisor(Child("stuck", stuck, stop=lambda: None, stop_timeout=2))
    start = trio.current_time()
    with pytest.RaisesGroup(Unkillable):
        async with running(tree):
            pass
    assert trio.current_time() - start == 4


async def test_unkillable_child_ends_the_whole_tree_rather_than_run_twice(
    autojump_clock: MockClock,
) -> None:
    """Detected when it is to be restarted because of another child."""
    script = Scripted("store", [])
    feed = supervisor(
        Child("store", script.run),
        Child("stuck", stuck, stop_timeout=2),
        name="feed",
        strategy=Strategy.REST_FOR_ONE,
    )
    with pytest.RaisesGroup(Unkillable):
        async with running(supervisor(feed, budget=RestartBudget(5, 60))):
            script.fail()
            await trio.sleep(10)
    assert unkillable_state(feed) is State.UNKILLABLE


async def test_unkillable_child_takes_precedence_over_a_fatal_error(
    autojump_clock: MockClock,
) -> None:
    """The process must exit without waiting for the child."""

    async def fatal(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        raise Fatal("no")

    tree = supervisor(Child("stuck", stuck, stop_timeout=2), Child("fatal", fatal))
    with pytest.raises(Unkillable) as caught:
        await tree.run()
    assert isinstance(caught.value.__context__, Fatal)

    async def fails_while_stopping(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise Fatal("while stopping")

    with pytest.RaisesGroup(Unkillable):
        async with running(
            supervisor(
                Child("stuck", stuck, stop_timeout=2),
                Child("fails_while_stopping", fails_while_stopping),
            )
        ):
            pass


async def test_child_stuck_in_its_start_is_unkillable_too(autojump_clock: MockClock) -> None:
    async def stuck_start(*, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(1000)

    start = trio.current_time()
    with pytest.raises(Unkillable):
        await supervisor(Child("stuck", stuck_start, start_timeout=3, stop_timeout=2)).run()
    assert trio.current_time() - start == 5


async def test_run_does_not_end_before_its_children(autojump_clock: MockClock) -> None:
    """As a nursery guarantees: no task of the tree is left."""
    tree = supervisor(supervisor(Child("a", steady), name="feed"), Child("b", steady))
    before = trio.lowlevel.current_statistics().tasks_living
    for _ in range(3):
        async with running(tree):
            await wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_child_is_stopping_after_its_stop_request(autojump_clock: MockClock) -> None:
    slow = SlowToStop(stop_takes=3)
    tree = supervisor(slow_to_stop("store", slow))
    async with running(tree):
        tree.stop()
        await wait_all_tasks_blocked()
        assert state(tree, "store") is State.STOPPING
    assert state(tree, "store") is State.STOPPED


async def test_fatal_error_while_stopping_is_raised_after_the_others_have_stopped(
    autojump_clock: MockClock,
) -> None:
    async def fails_while_stopping(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise Fatal("while stopping")

    with pytest.RaisesGroup(Fatal):
        async with running(
            supervisor(Child("store", steady), Child("fails_while_stopping", fails_while_stopping))
        ):
            pass


async def test_supervisor_is_stopping_while_its_children_are(autojump_clock: MockClock) -> None:
    tree = supervisor(slow_to_stop("store", SlowToStop(stop_takes=3)))
    async with running(tree):
        tree.stop()
        await wait_all_tasks_blocked()
        assert state(tree) is State.STOPPING
