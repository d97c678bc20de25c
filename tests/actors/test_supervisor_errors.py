"""Which errors are a failure of the child, and which end the tree."""

import signal

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import (
    Child,
    Fatal,
    RestartBudget,
    RestartLimit,
    State,
    Strategy,
    StrayCancelled,
    Supervisor,
)

from .fakes import Scripted, leaked_cancelled, running, scripted, steady, supervisor, to_children


class BadSettings(Fatal):
    pass


class LeakingCancelled:
    """Lets a `trio.Cancelled` of its own escape, optionally `wrapped` in a group."""

    def __init__(self, *, wrapped: bool) -> None:
        self.wrapped = wrapped

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep(1)
        stray = await leaked_cancelled()
        raise BaseExceptionGroup("", [stray]) if self.wrapped else stray


async def nursery_with_a_failing_task(*, task_status: trio.TaskStatus[None]) -> None:
    async def fail() -> None:
        await trio.sleep(1)
        raise ValueError("inner")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(fail)
        task_status.started()


async def cause_of_failure(child: Child) -> BaseException | None:
    """The cause of the `RestartLimit` after the first failure of `child`."""
    tree = supervisor(Child("other", steady), child, budget=RestartBudget(0, 60))
    with trio.fail_after(60), pytest.raises(RestartLimit) as caught:
        await tree.run()
    return caught.value.__cause__


@pytest.mark.parametrize("wrapped", [False, True])
async def test_stray_cancelled_is_a_failure_and_not_a_stop(
    wrapped: bool, autojump_clock: MockClock
) -> None:
    child = Child("leaking", LeakingCancelled(wrapped=wrapped).run)
    assert isinstance(await cause_of_failure(child), StrayCancelled)


async def test_group_of_errors_is_one_failure(autojump_clock: MockClock) -> None:
    cause = await cause_of_failure(Child("feed", nursery_with_a_failing_task))
    assert isinstance(cause, ExceptionGroup)
    assert [str(error) for error in cause.exceptions] == ["inner"]


async def run_and_fail(tree: Supervisor, script: Scripted, error: BaseException) -> None:
    """Start `tree`, let one child fail, and raise what `run` raises, without groups."""
    raised: list[BaseException] = []

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        try:
            await tree.run(task_status=task_status)
        except BaseException as outcome:  # noqa: BLE001
            raised.append(outcome)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            script.fail(error)
    for outcome in raised:
        raise outcome


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("error", [BadSettings("x"), KeyboardInterrupt(), SystemExit(3)])
async def test_fatal_error_ends_the_tree_in_order(
    error: BaseException, grouped: bool, nested: bool, autojump_clock: MockClock
) -> None:
    events: list[str] = []
    scripts = scripted(["store", "market", "web"], events)
    store, market, web = to_children(scripts)
    tree = supervisor(store, supervisor(market, name="feed") if nested else market, web)
    raised = BaseExceptionGroup("", [ValueError(), error]) if grouped else error
    with pytest.raises(type(error)) as caught:
        await run_and_fail(tree, scripts["market"], raised)
    assert caught.value is error
    assert events[3:] == ["-market", "-web", "-store"]
    assert tree.inspect().state is State.FAILED


async def test_child_that_failed_fatally_while_it_started_is_shown_as_failed(
    autojump_clock: MockClock,
) -> None:
    async def misconfigured(*, task_status: trio.TaskStatus[None]) -> None:
        raise BadSettings("no")

    tree = supervisor(Child("misconfigured", misconfigured))
    with pytest.raises(BadSettings):
        await tree.run()
    [info] = tree.inspect().children
    assert (info.state, info.last_error) == (State.FAILED, "BadSettings: no")


async def test_fatal_error_while_stopping_is_raised(autojump_clock: MockClock) -> None:
    async def fails_while_stopping(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise BadSettings("while stopping")

    with pytest.RaisesGroup(pytest.RaisesExc(BadSettings, match="while stopping")):
        async with running(supervisor(Child("fails_while_stopping", fails_while_stopping))):
            pass


async def test_fatal_error_of_another_child_that_is_stopped_ends_the_restart(
    autojump_clock: MockClock,
) -> None:
    async def fails_while_stopping(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise BadSettings("while stopping")

    script = Scripted("store", [])
    tree = supervisor(
        Child("store", script.run),
        Child("fails_while_stopping", fails_while_stopping),
        strategy=Strategy.REST_FOR_ONE,
    )
    with pytest.raises(BadSettings):
        await run_and_fail(tree, script, RuntimeError("boom"))


async def test_child_that_swallows_its_cancellation_and_returns_has_stopped(
    autojump_clock: MockClock,
) -> None:
    async def swallowing(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        with trio.move_on_after(1000):
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                return

    tree = supervisor(Child("a", swallowing))
    async with running(tree):
        await wait_all_tasks_blocked()
    assert tree.inspect().children[0].state is State.STOPPED


def test_interrupt_reaches_a_child_that_is_busy() -> None:
    """It runs in a system task, which Trio would protect from Ctrl-C."""
    stopped: list[str] = []

    async def busy(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep(1)
        signal.raise_signal(signal.SIGINT)
        stopped.append("not interrupted")

    async def main() -> None:
        with trio.fail_after(60):
            await supervisor(Child("a", steady), Child("busy", busy)).run()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored here
    try:
        with pytest.raises(KeyboardInterrupt):
            trio.run(main, clock=MockClock(autojump_threshold=0))
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped == []
