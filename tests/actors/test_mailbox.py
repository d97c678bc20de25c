from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import ActorDied, Mailbox, MailboxClosed, Overflow, Reply

from .fakes import Question


def box(*messages: int, capacity: int = 3, overflow: Overflow = Overflow.WAIT) -> Mailbox[int]:
    mailbox = Mailbox[int]("box", capacity=capacity, overflow=overflow)
    for message in messages:
        mailbox.tell_nowait(message)
    return mailbox


async def answer_one(mailbox: Mailbox[Question], answer: str) -> None:
    (await mailbox.receive()).reply.set(answer)


# Sending and receiving


async def test_messages_arrive_in_order_and_are_counted() -> None:
    mailbox = box(1, 2)
    await mailbox.tell(3)
    assert (mailbox.depth, mailbox.handled) == (3, 0)
    assert [await mailbox.receive(), mailbox.receive_nowait(), await mailbox.receive()] == [1, 2, 3]
    assert (mailbox.depth, mailbox.handled) == (0, 3)


async def test_loop_ends_with_the_mailbox() -> None:
    mailbox = box(1, 2)
    mailbox.close()
    assert [message async for message in mailbox] == [1, 2]
    with pytest.raises(trio.EndOfChannel):
        await mailbox.receive()
    with pytest.raises(trio.EndOfChannel):
        mailbox.receive_nowait()
    with pytest.raises(trio.EndOfChannel):
        await mailbox.receive_batch(2)


async def test_empty_mailbox_would_block() -> None:
    with pytest.raises(trio.WouldBlock):
        box().receive_nowait()


async def test_batch_receives_what_is_queued_up_to_its_size() -> None:
    mailbox = box(1, 2, 3)
    assert await mailbox.receive_batch(2) == [1, 2]
    assert await mailbox.receive_batch(2) == [3]


async def test_batch_waits_for_the_first_message(nursery: trio.Nursery) -> None:
    mailbox = box()
    batches: list[list[int]] = []

    async def receive() -> None:
        batches.append(await mailbox.receive_batch(10))

    nursery.start_soon(receive)
    await wait_all_tasks_blocked()
    mailbox.tell_nowait(1)
    mailbox.tell_nowait(2)
    await wait_all_tasks_blocked()
    assert batches == [[1, 2]]


async def test_batch_lets_waiting_senders_in(nursery: trio.Nursery) -> None:
    mailbox = box(1, capacity=1)
    nursery.start_soon(mailbox.tell, 2)
    nursery.start_soon(mailbox.tell, 3)
    await wait_all_tasks_blocked()
    assert sorted(await mailbox.receive_batch(10)) == [1, 2, 3]


async def test_sender_waits_for_room(nursery: trio.Nursery) -> None:
    mailbox = box(1, capacity=1)
    nursery.start_soon(mailbox.tell, 2)
    await wait_all_tasks_blocked()
    assert mailbox.depth == 1
    assert [await mailbox.receive(), await mailbox.receive()] == [1, 2]


async def test_sending_without_waiting_needs_room() -> None:
    with pytest.raises(trio.WouldBlock):
        box(1, capacity=1).tell_nowait(2)


async def test_refusing_mailbox_never_makes_a_sender_wait() -> None:
    mailbox = box(1, capacity=1, overflow=Overflow.REFUSE)
    with pytest.raises(trio.WouldBlock):
        await mailbox.tell(2)
    assert await mailbox.receive_batch(9) == [1]
    await mailbox.tell(3)


async def test_cancelled_sender_has_not_sent(autojump_clock: MockClock) -> None:
    mailbox = box(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.tell(2)
    full = box(1, capacity=1)
    with trio.move_on_after(1):
        await full.tell(2)
    assert await mailbox.receive_batch(9) == await full.receive_batch(9) == [1]


async def test_closed_mailbox_raises_at_its_senders(nursery: trio.Nursery) -> None:
    mailbox = box(1, capacity=1)

    async def late() -> None:
        with pytest.raises(MailboxClosed, match="box"):
            await mailbox.tell(2)

    nursery.start_soon(late)
    await wait_all_tasks_blocked()
    mailbox.close()
    mailbox.close()
    with pytest.raises(MailboxClosed, match="box"):
        await mailbox.tell(3)
    with pytest.raises(MailboxClosed, match="box"):
        mailbox.tell_nowait(4)
    assert await mailbox.receive_batch(9) == [1]


def test_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity"):
        Mailbox[int]("box", capacity=0)


def test_key_goes_with_conflate_only() -> None:
    with pytest.raises(ValueError, match="key"):
        Mailbox[int]("box", capacity=1, overflow=Overflow.CONFLATE)
    with pytest.raises(ValueError, match="key"):
        Mailbox[int]("box", capacity=1, key=abs)


# Asking


async def test_question_is_answered(nursery: trio.Nursery) -> None:
    mailbox = Mailbox[Question]("box", capacity=1)
    nursery.start_soon(answer_one, mailbox, "yes")
    assert await mailbox.ask(partial(Question, "?")) == "yes"


async def test_asker_sets_the_limit(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[Question]("box", capacity=1)
    start = trio.current_time()
    with pytest.raises(trio.TooSlowError), trio.fail_after(2):
        await mailbox.ask(partial(Question, "?"))
    assert trio.current_time() - start == 2


async def test_question_to_a_closed_mailbox_fails() -> None:
    mailbox = Mailbox[Question]("box", capacity=1)
    mailbox.close()
    with pytest.raises(MailboxClosed):
        await mailbox.ask(partial(Question, "?"))


async def expect(error: type[Exception], mailbox: Mailbox[Question], text: str) -> None:
    with pytest.raises(error):
        await mailbox.ask(partial(Question, text))


async def test_received_question_fails_with_its_actor_and_a_queued_one_waits(
    nursery: trio.Nursery,
) -> None:
    mailbox = Mailbox[Question]("box", capacity=2)
    cause = RuntimeError("boom")

    async def first() -> None:
        with pytest.raises(ActorDied) as caught:
            await mailbox.ask(partial(Question, "taken"))
        assert caught.value.__cause__ is cause

    nursery.start_soon(first)
    await wait_all_tasks_blocked()
    await mailbox.receive()
    answers: list[str] = []

    async def second() -> None:
        answers.append(await mailbox.ask(partial(Question, "queued")))

    nursery.start_soon(second)
    await wait_all_tasks_blocked()
    mailbox.fail_unanswered(cause)
    assert mailbox.failures == 1
    await wait_all_tasks_blocked()
    await answer_one(mailbox, "yes")
    await wait_all_tasks_blocked()
    assert answers == ["yes"]


async def test_abandoned_mailbox_fails_every_question(nursery: trio.Nursery) -> None:
    mailbox = Mailbox[Question]("box", capacity=1)
    nursery.start_soon(expect, ActorDied, mailbox, "taken")
    await wait_all_tasks_blocked()
    await mailbox.receive()
    nursery.start_soon(expect, MailboxClosed, mailbox, "queued")
    await wait_all_tasks_blocked()
    nursery.start_soon(expect, MailboxClosed, mailbox, "waits for room")
    await wait_all_tasks_blocked()

    mailbox.abandon()

    assert mailbox.depth == 0
    await expect(MailboxClosed, mailbox, "late")
    with pytest.raises(trio.EndOfChannel):
        await mailbox.receive()


async def test_asker_that_gave_up_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[Question]("box", capacity=2)
    for _ in range(2):
        with trio.move_on_after(1):
            await mailbox.ask(partial(Question, "?"))
    replies: list[Reply[str]] = [m.reply for m in await mailbox.receive_batch(9)]
    assert [reply.wanted for reply in replies] == [False, False]
    assert not mailbox._unanswered


async def test_asker_that_gives_up_after_its_question_was_received_leaves_nothing_behind(
    nursery: trio.Nursery,
) -> None:
    mailbox = Mailbox[Question]("box", capacity=2)

    async def give_up(scope: trio.CancelScope) -> None:
        with scope:
            await mailbox.ask(partial(Question, "?"))

    nursery.start_soon(give_up, scope := trio.CancelScope())
    message = await mailbox.receive()
    scope.cancel()
    await wait_all_tasks_blocked()
    assert not mailbox._unanswered
    message.reply.set("too late")


async def test_answered_question_leaves_nothing_behind(nursery: trio.Nursery) -> None:
    mailbox = Mailbox[Question]("box", capacity=2)
    nursery.start_soon(answer_one, mailbox, "yes")
    await mailbox.ask(partial(Question, "?"))
    assert not mailbox._unanswered


# Reopening


async def test_reopened_mailbox_keeps_what_was_queued() -> None:
    mailbox = box(1, 2)
    mailbox.close()
    mailbox.reopen()
    mailbox.tell_nowait(3)
    assert await mailbox.receive_batch(9) == [1, 2, 3]


async def test_reopening_an_open_mailbox_keeps_its_waiting_senders(nursery: trio.Nursery) -> None:
    mailbox = box(1, capacity=1)
    nursery.start_soon(mailbox.tell, 2)
    await wait_all_tasks_blocked()
    mailbox.reopen()
    assert await mailbox.receive_batch(9) == [1, 2]


async def test_abandoned_mailbox_fails_received_questions(nursery: trio.Nursery) -> None:
    mailbox = Mailbox[Question]("box", capacity=1)
    died = []

    async def ask() -> None:
        with pytest.raises(ActorDied) as caught:
            await mailbox.ask(partial(Question, "?"))
        died.append(caught.value)

    nursery.start_soon(ask)
    await mailbox.receive()
    mailbox.abandon()
    await wait_all_tasks_blocked()
    assert len(died) == 1


async def test_abandoned_message_is_not_replaced_by_a_newer_one() -> None:
    mailbox = Mailbox[str]("box", capacity=1, overflow=Overflow.CONFLATE, key=lambda text: text[0])
    mailbox.tell_nowait("a1")
    mailbox.abandon()
    mailbox.reopen()
    mailbox.tell_nowait("b1")
    with pytest.raises(trio.WouldBlock):
        mailbox.tell_nowait("a2")
    assert mailbox.receive_nowait() == "b1"


async def test_reopening_again_keeps_the_waiting_receiver(nursery: trio.Nursery) -> None:
    mailbox = box()
    mailbox.close()
    mailbox.reopen()
    got = []

    async def receive() -> None:
        got.append(await mailbox.receive())

    nursery.start_soon(receive)
    await wait_all_tasks_blocked()
    mailbox.reopen()
    mailbox.tell_nowait(1)
    await wait_all_tasks_blocked()
    assert got == [1]


async def test_sending_is_a_checkpoint(nursery: trio.Nursery) -> None:
    mailbox = box()
    ran = []

    async def other() -> None:
        ran.append("other")

    nursery.start_soon(other)
    await mailbox.tell(1)
    await mailbox.tell(2)
    assert ran == ["other"]
