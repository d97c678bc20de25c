"""Starting and restarting. How a tree stops is in `test_supervisor_stop`, how it fails
in `test_supervisor_escalation`, what it does with the different errors in
`test_supervisor_errors`."""

import random
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import (
    Backoff,
    Child,
    Mailbox,
    Restart,
    RestartBudget,
    RestartLimit,
    StartFailed,
    State,
    Strategy,
    Supervisor,
)

from .fakes import (
    NO_PAUSE,
    Crashing,
    Scripted,
    running,
    scripted,
    state,
    steady,
    supervisor,
    to_children,
)

NAMES = ["store", "market", "web"]


# Starting


@pytest.mark.parametrize("strategy", Strategy)
async def test_children_start_one_after_the_other(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    events: list[str] = []
    slow = Scripted("store", events, start_takes=2)
    quick = Scripted("web", events)
    tree = supervisor(Child("store", slow.run), Child("web", quick.run), strategy=strategy)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await trio.sleep(1)
        assert events == ["+store"]
        assert [state(tree, "store"), state(tree, "web")] == [State.STARTING, State.WAITING]
        assert state(tree) is State.STARTING
        await trio.sleep(2)
        assert events == ["+store", "+web"]
        assert state(tree) is state(tree, "web") is State.RUNNING
        tree.stop()


async def test_supervisor_has_started_when_its_children_have(autojump_clock: MockClock) -> None:
    events: list[str] = []
    slow = Scripted("store", events, start_takes=2)
    start = trio.current_time()
    async with running(supervisor(Child("store", slow.run))):
        assert trio.current_time() - start == 2


async def test_child_that_is_late_to_start_is_restarted(autojump_clock: MockClock) -> None:
    events: list[str] = []
    slow = Scripted("store", events, start_takes=20)
    tree = supervisor(Child("store", slow.run, start_timeout=3), budget=RestartBudget(1, within=60))
    start = trio.current_time()
    with pytest.raises(RestartLimit) as caught:
        await tree.run()
    assert isinstance(caught.value.__cause__, StartFailed)
    assert trio.current_time() - start == 6
    assert events == ["+store", "-store"] * 2


@pytest.mark.parametrize("restart", Restart)
async def test_child_that_returns_before_it_has_started_has_failed(
    restart: Restart, autojump_clock: MockClock
) -> None:
    async def no_start(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(1)

    child = Child("hasty", no_start, restart=restart)
    tree = supervisor(child, budget=RestartBudget(0, within=60))
    if restart is Restart.TEMPORARY:
        async with running(tree):
            assert state(tree, "hasty") is State.FAILED
    else:
        with pytest.raises(RestartLimit) as caught:
            await tree.run()
        assert isinstance(caught.value.__cause__, StartFailed)


async def test_child_that_starts_twice_has_failed(autojump_clock: MockClock) -> None:
    async def twice(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        task_status.started()

    with pytest.raises(RestartLimit) as caught:
        await supervisor(Child("twice", twice)).run()
    assert isinstance(caught.value.__cause__, RuntimeError)


async def test_independent_child_does_not_wait_for_one_that_pauses(
    autojump_clock: MockClock,
) -> None:
    events: list[str] = []
    web = Scripted("web", events)
    crashing = Crashing(after=0)
    tree = supervisor(
        Child("feed", crashing.run), Child("web", web.run), backoff=Backoff(10, 10, jitter=0)
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await trio.sleep(1)
        assert events == ["+web"]
        assert state(tree, "feed") is State.PAUSING
        tree.stop()


# Restarting


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["-market", "+market"]),
        (Strategy.REST_FOR_ONE, ["-market", "-web", "+market", "+web"]),
        (Strategy.ONE_FOR_ALL, ["-market", "-web", "-store", "+store", "+market", "+web"]),
    ],
)
async def test_failure_restarts_what_the_strategy_says(
    strategy: Strategy, expected: list[str], autojump_clock: MockClock
) -> None:
    """Stopped last-first, started first-last; the others keep running."""
    events: list[str] = []
    scripts = scripted(NAMES, events)
    async with running(supervisor(*to_children(scripts), strategy=strategy)):
        assert events == ["+store", "+market", "+web"]
        events.clear()
        scripts["market"].fail()
        await wait_all_tasks_blocked()
        assert events == expected


async def test_dependents_wait_for_the_pause_and_the_start_of_the_failed_one(
    autojump_clock: MockClock,
) -> None:
    events: list[str] = []
    market = Scripted("market", events, start_takes=1)
    web = Scripted("web", events)
    tree = supervisor(
        Child("market", market.run),
        Child("web", web.run),
        strategy=Strategy.REST_FOR_ONE,
        backoff=Backoff(4, 4, jitter=0),
    )
    async with running(tree):
        events.clear()
        market.fail()
        await trio.sleep(3.9)
        assert events == ["-market", "-web"]
        assert state(tree, "market") is state(tree, "web") is State.PAUSING
        await trio.sleep(1)
        assert events == ["-market", "-web", "+market"]
        await trio.sleep(0.2)
        assert events[3:] == ["+web"]


async def test_simultaneous_failures_restart_every_child_once(
    autojump_clock: MockClock,
) -> None:
    """A failed child that was restarted because of another one needs no further restart."""
    events: list[str] = []
    scripts = scripted(NAMES, events)
    tree = supervisor(
        *to_children(scripts), strategy=Strategy.REST_FOR_ONE, budget=RestartBudget(1, within=60)
    )
    async with running(tree):
        events.clear()
        for script in scripts.values():
            script.fail()
        await wait_all_tasks_blocked()
        assert sorted(events[:3]) == ["-market", "-store", "-web"]
        assert events[3:] == ["+store", "+market", "+web"]


async def test_earlier_child_that_fails_while_its_dependent_pauses_comes_first(
    autojump_clock: MockClock,
) -> None:
    events: list[str] = []
    scripts = scripted(NAMES, events)
    tree = supervisor(
        *to_children(scripts), strategy=Strategy.REST_FOR_ONE, backoff=Backoff(4, 4, jitter=0)
    )
    async with running(tree):
        events.clear()
        scripts["market"].fail()
        await trio.sleep(2)
        scripts["store"].fail()
        await trio.sleep(3)
        assert events == ["-market", "-web", "-store"]
        await trio.sleep(2)
        assert events[3:] == ["+store", "+market", "+web"]


async def test_pauses_grow_and_reset_after_health(autojump_clock: MockClock) -> None:
    backoff = Backoff(1, 4, jitter=0, healthy_after=30)
    crashing = Crashing(after=0, times=4)
    tree = supervisor(Child("feed", crashing.run), backoff=backoff, budget=RestartBudget(9, 600))
    start = trio.current_time()
    async with running(tree):
        await trio.sleep(30)
        assert [at - start for at in crashing.started_at] == [0, 1, 3, 7, 11]

    healthy = Crashing(after=30, times=3)
    tree = supervisor(Child("feed", healthy.run), backoff=backoff, budget=RestartBudget(9, 600))
    start = trio.current_time()
    async with running(tree):
        await trio.sleep(100)
        assert [at - start for at in healthy.started_at] == [0, 31, 62, 93]


async def test_jitter_comes_from_the_given_source(autojump_clock: MockClock) -> None:
    def starts(seed: int) -> tuple[Supervisor, Crashing]:
        crashing = Crashing(after=0, times=3)
        tree = Supervisor(
            "service",
            [Child("feed", crashing.run)],
            strategy=Strategy.ONE_FOR_ONE,
            budget=RestartBudget(9, 600),
            backoff=Backoff(1, 10),
            rng=random.Random(seed),
        )
        return tree, crashing

    seen = []
    for seed in (1, 1, 2):
        tree, crashing = starts(seed)
        begin = trio.current_time()
        async with running(tree):
            await trio.sleep(60)
        seen.append([round(at - begin, 6) for at in crashing.started_at])
    assert seen[0] == seen[1] != seen[2]
    assert all(0.5 <= first <= 1 for _, first, *_ in seen)


async def test_pause_of_one_child_does_not_delay_another(autojump_clock: MockClock) -> None:
    slow, quick = Crashing(after=1), Crashing(after=3, times=1)
    events: list[str] = []
    tree = supervisor(
        Child("slow", slow.run), Child("quick", quick.run), backoff=Backoff(10, 10, jitter=0)
    )
    start = trio.current_time()
    async with running(tree):
        await trio.sleep(14)
        assert [at - start for at in quick.started_at] == [0, 13]
    assert events == []


async def test_restart_does_not_wait_for_the_slow_start_of_an_independent_child(
    autojump_clock: MockClock,
) -> None:
    events: list[str] = []
    slow = Scripted("slow", events, start_takes=20)
    quick = Scripted("quick", events)
    async with running(supervisor(Child("slow", slow.run), Child("quick", quick.run))):
        events.clear()
        slow.fail()
        await trio.sleep(1)
        quick.fail()
        await trio.sleep(1)
        assert events == ["-slow", "+slow", "-quick", "+quick"]


@pytest.mark.parametrize("strategy", [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL])
async def test_failure_during_the_first_start_lets_later_children_start(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    events: list[str] = []
    store, market = Scripted("store", events), Scripted("market", events, start_takes=2)
    once = Scripted("once", events)
    tree = supervisor(
        Child("store", store.run),
        Child("market", market.run),
        Child("once", once.run, restart=Restart.TEMPORARY),
        strategy=strategy,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await trio.sleep(1)
        store.fail()
        await trio.sleep(5)
        assert events == ["+store", "+market", "-store", "-market", "+store", "+market", "+once"]
        tree.stop()


async def test_failure_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with running(supervisor(Child("feed", Crashing(after=1, times=1).run))):
        await trio.sleep(2)
    (record,) = caplog.records
    assert record.name == "actors"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "crash 1"


# Restart policies


@pytest.mark.parametrize(
    ("restart", "after_finish", "after_failure"),
    [
        (Restart.PERMANENT, State.RUNNING, State.RUNNING),
        (Restart.TRANSIENT, State.STOPPED, State.RUNNING),
        (Restart.TEMPORARY, State.STOPPED, State.FAILED),
    ],
)
async def test_child_is_restarted_according_to_its_policy(
    restart: Restart, after_finish: State, after_failure: State, autojump_clock: MockClock
) -> None:
    for ending, expected in (("finish", after_finish), ("fail", after_failure)):
        script = Scripted("job", [])
        tree = supervisor(Child("job", script.run, restart=restart), Child("other", steady))
        async with running(tree):
            getattr(script, ending)()
            await wait_all_tasks_blocked()
            assert state(tree, "job") is expected
            assert state(tree) is state(tree, "other") is State.RUNNING


async def test_failure_of_another_child_restarts_a_finished_transient_one_but_no_temporary_one(
    autojump_clock: MockClock,
) -> None:
    events: list[str] = []
    scripts = scripted(["store", "bootstrap", "once", "dropped"], events)
    kinds = [Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY, Restart.TEMPORARY]
    children = [
        Child(name, scripts[name].run, restart=kind)
        for name, kind in zip(scripts, kinds, strict=True)
    ]
    tree = supervisor(*children, strategy=Strategy.REST_FOR_ONE)
    async with running(tree):
        scripts["bootstrap"].finish()
        scripts["once"].finish()
        await wait_all_tasks_blocked()
        events.clear()
        scripts["store"].fail()
        await wait_all_tasks_blocked()
        assert events == ["-store", "-dropped", "+store", "+bootstrap"]
        assert state(tree, "once") is state(tree, "dropped") is State.STOPPED


async def test_supervisor_keeps_running_without_children(autojump_clock: MockClock) -> None:
    tree = supervisor()
    async with running(tree):
        await trio.sleep(100)
        assert state(tree) is State.RUNNING


def test_names_must_differ() -> None:
    with pytest.raises(ValueError, match="different names"):
        supervisor(Child("web", steady), Child("web", steady))


async def test_supervisor_runs_once_at_a_time(autojump_clock: MockClock) -> None:
    tree = supervisor(Child("web", steady))
    async with running(tree):
        with pytest.raises(RuntimeError, match="already running"):
            await tree.run()
    async with running(tree):
        assert state(tree, "web") is State.RUNNING


async def test_inspection_shows_errors_restarts_and_mailboxes(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[int]("store", capacity=4)
    script = Scripted("store", [])
    tree = supervisor(Child("store", script.run, mailbox=mailbox), backoff=NO_PAUSE)
    async with running(tree):
        script.fail(OSError("reset"))
        await wait_all_tasks_blocked()
        mailbox.tell_nowait(1)
        mailbox.tell_nowait(2)
        await mailbox.receive()
        (info,) = tree.inspect().children
    assert (info.restarts, info.last_error) == (1, "OSError: reset")
    assert (info.mailbox_depth, info.mailbox_capacity, info.handled) == (1, 4, 1)


async def test_actor_may_be_a_partial_of_a_method(autojump_clock: MockClock) -> None:
    async def run(greeting: str, *, task_status: trio.TaskStatus[None]) -> None:
        assert greeting == "hello"
        await steady(task_status=task_status)

    async with running(supervisor(Child("a", partial(run, "hello")))) as tree:
        assert state(tree, "a") is State.RUNNING


async def test_tree_can_be_inspected_before_it_runs() -> None:
    assert state(supervisor(Child("store", steady)), "store") is State.WAITING


async def test_start_timeout_does_not_apply_after_the_start(
    autojump_clock: MockClock,
) -> None:
    started: list[float] = []

    async def prompt(*, task_status: trio.TaskStatus[None]) -> None:
        started.append(trio.current_time())
        task_status.started()
        await trio.sleep_forever()

    crashing = Crashing(after=5, times=1)
    tree = supervisor(Child("store", prompt, start_timeout=1), Child("web", crashing.run))
    async with running(tree):
        await trio.sleep(10)
        assert len(started) == 1
        assert len(crashing.started_at) == 2


async def test_pauses_start_again_at_their_minimum_after_the_supervisor_restarts(
    autojump_clock: MockClock,
) -> None:
    crashing = Crashing(after=1, times=3)
    tree = supervisor(Child("store", crashing.run), backoff=Backoff(1, 100, jitter=0))
    async with running(tree):  # crashes at 1 and at 3, and would be restarted at 5
        await trio.sleep(4)
    async with running(tree):
        await trio.sleep(20)
    first = crashing.started_at[0]
    assert [at - first for at in crashing.started_at] == [0, 2, 4, 6]
