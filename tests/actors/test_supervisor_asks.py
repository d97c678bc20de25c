"""No asker waits for an answer that cannot come: asks across crashes, restarts and stops."""

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

from .fakes import Question, Scripted, responder, running, supervisor

Outcomes = dict[str, tuple[str, float]]


def box(capacity: int = 8) -> Mailbox[Question]:
    return Mailbox("responder", capacity=capacity)


def responder_child(mailbox: Mailbox[Question], restart: Restart = Restart.PERMANENT) -> Child:
    return Child("responder", partial(responder, mailbox), mailbox=mailbox, restart=restart)


async def ask_all(mailbox: Mailbox[Question], *texts: str) -> Outcomes:
    """Ask concurrently, in this order; the answers or error types, and the seconds each took."""
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


async def test_crash_fails_its_question_immediately_and_the_next_run_answers_the_queued_ones(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    async with running(supervisor(responder_child(mailbox), backoff=Backoff(5, 5, jitter=0))):
        assert await ask_all(mailbox, "one", "poison", "two") == {
            "one": ("ONE", 1),
            "poison": ("ActorDied", 2),
            "two": ("TWO", 8),
        }


async def test_crash_fails_postponed_questions_too(autojump_clock: MockClock) -> None:
    mailbox = box()
    async with running(supervisor(responder_child(mailbox))):
        assert await ask_all(mailbox, "later", "poison") == {
            "later": ("ActorDied", 2),
            "poison": ("ActorDied", 2),
        }


async def test_asker_gets_the_error_of_the_actor_as_cause(autojump_clock: MockClock) -> None:
    mailbox = box()
    async with running(supervisor(responder_child(mailbox))):
        with pytest.raises(ActorDied) as caught:
            await mailbox.ask(partial(Question, "poison"))
    assert str(caught.value.__cause__) == "poisoned"


async def test_stop_fails_received_and_queued_questions(autojump_clock: MockClock) -> None:
    mailbox = box(capacity=1)
    tree = supervisor(responder_child(mailbox))
    outcomes: Outcomes = {}

    async def ask() -> None:
        outcomes.update(await ask_all(mailbox, "received", "queued", "waits for room"))

    async with trio.open_nursery() as nursery, running(tree):
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
    assert {text: answer for text, (answer, _) in outcomes.items()} == {
        "received": "ActorDied",
        "queued": "MailboxClosed",
        "waits for room": "MailboxClosed",
    }
    with pytest.raises(MailboxClosed):
        await mailbox.ask(partial(Question, "late"))


async def test_restart_limit_fails_every_question(autojump_clock: MockClock) -> None:
    mailbox = box()
    tree = supervisor(responder_child(mailbox), budget=RestartBudget(0, 60))
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


async def test_child_that_ended_permanently_has_a_closed_mailbox(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    async with running(supervisor(responder_child(mailbox, Restart.TEMPORARY))):
        assert await ask_all(mailbox, "poison", "queued") == {
            "poison": ("ActorDied", 1),
            "queued": ("MailboxClosed", 1),
        }


def nested(mailbox: Mailbox[Question], restart: Restart, top: RestartBudget) -> Supervisor:
    below = Supervisor(
        "feed",
        [responder_child(mailbox)],
        strategy=Strategy.ONE_FOR_ONE,
        budget=RestartBudget(0, 60),
        restart=restart,
    )
    return supervisor(below, budget=top)


async def test_queued_question_survives_the_restart_of_a_failed_supervisor(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    async with running(nested(mailbox, Restart.PERMANENT, RestartBudget(1, 60))):
        assert await ask_all(mailbox, "poison", "queued") == {
            "poison": ("ActorDied", 1),
            "queued": ("QUEUED", 2),
        }


async def test_supervisor_that_ended_permanently_closes_the_mailboxes_of_its_children(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    async with running(nested(mailbox, Restart.TEMPORARY, RestartBudget(1, 60))):
        assert await ask_all(mailbox, "poison", "queued") == {
            "poison": ("ActorDied", 1),
            "queued": ("MailboxClosed", 1),
        }


async def test_closing_the_mailbox_as_graceful_stop_lets_the_actor_finish_its_work(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    child = Child("responder", partial(responder, mailbox), mailbox=mailbox, stop=mailbox.close)
    outcomes: Outcomes = {}

    async def ask() -> None:
        outcomes.update(await ask_all(mailbox, "one", "two"))

    async with trio.open_nursery() as nursery, running(supervisor(child)):
        nursery.start_soon(ask)
        await trio.sleep(0.5)
    assert outcomes == {"one": ("ONE", 1), "two": ("TWO", 2)}


async def test_actor_restarted_because_of_another_has_an_open_mailbox_again(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    script = Scripted("store", [])
    tree = supervisor(
        Child("store", script.run),
        Child("responder", partial(responder, mailbox), mailbox=mailbox, stop=mailbox.close),
        strategy=Strategy.REST_FOR_ONE,
    )
    async with running(tree):
        script.fail()
        await wait_all_tasks_blocked()
        assert await ask_all(mailbox, "one") == {"one": ("ONE", 1)}


async def test_asker_does_not_wait_for_the_start_of_another_child(
    autojump_clock: MockClock,
) -> None:
    """The end of the child fails its questions, while its supervisor still starts others."""
    mailbox = box()

    async def asks_at_start(*, task_status: trio.TaskStatus[None]) -> None:
        with pytest.raises(ActorDied):
            await mailbox.ask(partial(Question, "poison"))
        assert await mailbox.ask(partial(Question, "two")) == "TWO"
        task_status.started()
        await trio.sleep_forever()

    start = trio.current_time()
    async with running(supervisor(responder_child(mailbox), Child("web", asks_at_start))):
        assert trio.current_time() - start == 2


async def test_temporary_actor_stopped_because_of_another_has_a_closed_mailbox(
    autojump_clock: MockClock,
) -> None:
    mailbox = box()
    script = Scripted("store", [])
    tree = supervisor(
        Child("store", script.run),
        responder_child(mailbox, Restart.TEMPORARY),
        strategy=Strategy.REST_FOR_ONE,
    )
    async with running(tree):
        script.fail()
        await wait_all_tasks_blocked()
        with pytest.raises(MailboxClosed):
            await mailbox.ask(partial(Question, "one"))
