"""Nobody waits for an answer that cannot come: asks across crashes, restarts and stops."""

from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import (
    ActorDied,
    Backoff,
    Child,
    Mailbox,
    MailboxClosed,
    Restart,
    RestartBudget,
    RestartLimit,
    Strategy,
    Supervisor,
)

from .fakes import Question, Scripted, oracle, running, supervisor

Outcomes = dict[str, tuple[str, float]]


def box(capacity: int = 8) -> Mailbox[Question]:
    return Mailbox("oracle", capacity=capacity)


def oracle_child(mailbox: Mailbox[Question], restart: Restart = Restart.PERMANENT) -> Child:
    return Child("oracle", partial(oracle, mailbox), mailbox=mailbox, restart=restart)


async def ask_all(mailbox: Mailbox[Question], *texts: str) -> Outcomes:
    """Ask in this order, all at once; the answers or errors, and after how many seconds."""
    outcomes: Outcomes = {}
    start = trio.current_time()

    async def ask(text: str) -> None:
        try:
            answer = await mailbox.ask(partial(Question, text))
        except Exception as error:  # noqa: BLE001
            answer = type(error).__name__
        outcomes[text] = (answer, trio.current_time() - start)

    async with trio.open_nursery() as nursery:
        for text in texts:
            nursery.start_soon(ask, text)
            await wait_all_tasks_blocked()
    return outcomes


async def test_crash_answers_its_question_at_once_and_the_next_life_the_queued_ones(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    async with running(supervisor(oracle_child(mailbox), backoff=Backoff(5, 5, jitter=0))):
        assert await ask_all(mailbox, "one", "poison", "two") == {
            "one": ("ONE", 1),
            "poison": ("ActorDied", 2),
            "two": ("TWO", 8),
        }


async def test_crash_answers_what_was_left_for_later_too(autojump_clock: MockClock) -> None:
    mailbox = box()
    async with running(supervisor(oracle_child(mailbox))):
        assert await ask_all(mailbox, "later", "poison") == {
            "later": ("ActorDied", 2),
            "poison": ("ActorDied", 2),
        }


async def test_asker_learns_what_the_actor_died_of(autojump_clock: MockClock) -> None:
    mailbox = box()
    async with running(supervisor(oracle_child(mailbox))):
        with pytest.raises(ActorDied) as caught:
            await mailbox.ask(partial(Question, "poison"))
    assert str(caught.value.__cause__) == "cannot digest"


async def test_stop_answers_what_was_taken_and_what_was_queued(autojump_clock: MockClock) -> None:
    mailbox = box(capacity=1)
    tree = supervisor(oracle_child(mailbox))
    outcomes: Outcomes = {}

    async def ask() -> None:
        outcomes.update(await ask_all(mailbox, "taken", "queued", "waits for room"))

    async with trio.open_nursery() as nursery, running(tree):
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
    assert {text: answer for text, (answer, _) in outcomes.items()} == {
        "taken": "ActorDied",
        "queued": "MailboxClosed",
        "waits for room": "MailboxClosed",
    }
    with pytest.raises(MailboxClosed):
        await mailbox.ask(partial(Question, "late"))


async def test_giving_up_answers_everybody(autojump_clock: MockClock) -> None:
    mailbox = box()
    tree = supervisor(oracle_child(mailbox), budget=RestartBudget(0, 60))
    outcomes: Outcomes = {}

    async def ask() -> None:
        outcomes.update(await ask_all(mailbox, "poison", "queued"))

    with pytest.RaisesGroup(RestartLimit):
        async with trio.open_nursery() as nursery:
            await nursery.start(tree.run)
            nursery.start_soon(ask)
            await trio.sleep_forever()
    with pytest.raises(MailboxClosed):
        mailbox.tell_nowait(Question("late", None))  # type: ignore[arg-type]


async def test_child_that_ended_for_good_answers_with_a_closed_mailbox(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    async with running(supervisor(oracle_child(mailbox, Restart.TEMPORARY))):
        assert await ask_all(mailbox, "poison", "queued") == {
            "poison": ("ActorDied", 1),
            "queued": ("MailboxClosed", 1),
        }


def nested(mailbox: Mailbox[Question], restart: Restart, top: RestartBudget) -> Supervisor:
    below = Supervisor(
        "feed",
        [oracle_child(mailbox)],
        strategy=Strategy.ONE_FOR_ONE,
        budget=RestartBudget(0, 60),
        restart=restart,
    )
    return supervisor(below, budget=top)


async def test_queued_question_survives_a_supervisor_that_gives_up_and_is_restarted(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    async with running(nested(mailbox, Restart.PERMANENT, RestartBudget(1, 60))):
        assert await ask_all(mailbox, "poison", "queued") == {
            "poison": ("ActorDied", 1),
            "queued": ("QUEUED", 2),
        }


async def test_supervisor_that_ended_for_good_answers_for_its_children(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    async with running(nested(mailbox, Restart.TEMPORARY, RestartBudget(1, 60))):
        assert await ask_all(mailbox, "poison", "queued") == {
            "poison": ("ActorDied", 1),
            "queued": ("MailboxClosed", 1),
        }


async def test_closing_the_mailbox_as_soft_stop_lets_the_actor_finish_its_work(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    child = Child("oracle", partial(oracle, mailbox), mailbox=mailbox, stop=mailbox.close)
    outcomes: Outcomes = {}

    async def ask() -> None:
        outcomes.update(await ask_all(mailbox, "one", "two"))

    async with trio.open_nursery() as nursery, running(supervisor(child)):
        nursery.start_soon(ask)
        await trio.sleep(0.5)
    assert outcomes == {"one": ("ONE", 1), "two": ("TWO", 2)}


async def test_actor_restarted_for_a_siblings_sake_has_an_open_mailbox_again(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    script = Scripted("store", [])
    tree = supervisor(
        Child("store", script.run),
        Child("oracle", partial(oracle, mailbox), mailbox=mailbox, stop=mailbox.close),
        strategy=Strategy.REST_FOR_ONE,
    )
    async with running(tree):
        script.fail()
        await wait_all_tasks_blocked()
        assert await ask_all(mailbox, "one") == {"one": ("ONE", 1)}


async def test_asker_need_not_wait_for_the_start_of_a_sibling(autojump_clock: MockClock) -> None:
    """A crash is answered by the child's own end, while its supervisor still starts others."""
    mailbox = box()

    async def asks_at_start(*, task_status: trio.TaskStatus[None]) -> None:
        with pytest.raises(ActorDied):
            await mailbox.ask(partial(Question, "poison"))
        assert await mailbox.ask(partial(Question, "two")) == "TWO"
        task_status.started()
        await trio.sleep_forever()

    start = trio.current_time()
    async with running(supervisor(oracle_child(mailbox), Child("web", asks_at_start))):
        assert trio.current_time() - start == 2


async def test_temporary_actor_stopped_for_a_siblings_sake_has_a_closed_mailbox(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    script = Scripted("store", [])
    tree = supervisor(
        Child("store", script.run),
        oracle_child(mailbox, Restart.TEMPORARY),
        strategy=Strategy.REST_FOR_ONE,
    )
    async with running(tree):
        script.fail()
        await wait_all_tasks_blocked()
        with pytest.raises(MailboxClosed):
            await mailbox.ask(partial(Question, "one"))
