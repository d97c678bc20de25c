"""`Overflow.CONFLATE`, against a model and with many concurrent senders."""

from dataclasses import dataclass
from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import Mailbox, Overflow, Reply
from actors.testing import seeded_scheduler

CAPACITY = 3


@dataclass(frozen=True)
class Update:
    key: str | None
    value: int


@dataclass(frozen=True)
class Get:
    reply: Reply[int]


def conflating_box(*messages: Update, capacity: int = CAPACITY) -> Mailbox[Update]:
    mailbox = Mailbox[Update](
        "box", capacity=capacity, overflow=Overflow.CONFLATE, key=lambda update: update.key
    )
    for message in messages:
        mailbox.tell_nowait(message)
    return mailbox


class ConflationMachine(RuleBasedStateMachine):
    """The model is a list: when full, it replaces in place, behind its last message without a key."""

    def __init__(self) -> None:
        super().__init__()
        self.mailbox = conflating_box()
        self.model: list[Update] = []
        self.sent = 0

    def _send(self, key: str | None) -> None:
        self.sent += 1
        message = Update(key, self.sent)
        if len(self.model) < CAPACITY:
            self.model.append(message)
            self.mailbox.tell_nowait(message)
            return
        keys = [update.key for update in self.model]
        after = len(keys) - keys[::-1].index(None) if None in keys else 0
        if key is not None and key in keys[after:]:
            last = len(keys) - 1 - keys[::-1].index(key)
            self.model[last] = message
            self.mailbox.tell_nowait(message)
            return
        with pytest.raises(trio.WouldBlock):
            self.mailbox.tell_nowait(message)

    @rule(key=st.sampled_from("abcd"))
    def tell(self, key: str) -> None:
        self._send(key)

    @rule()
    def tell_unkeyed(self) -> None:
        self._send(None)

    @precondition(lambda self: self.model)
    @rule()
    def receive(self) -> None:
        assert self.mailbox.receive_nowait() == self.model.pop(0)

    @precondition(lambda self: not self.model)
    @rule()
    def receive_nothing(self) -> None:
        with pytest.raises(trio.WouldBlock):
            self.mailbox.receive_nowait()

    @rule()
    def close_and_reopen(self) -> None:
        self.mailbox.close()
        self.mailbox.reopen()

    @invariant()
    def is_bounded(self) -> None:
        assert self.mailbox.depth == len(self.model) <= CAPACITY
        assert self.mailbox._conflation is not None
        assert len(self.mailbox._conflation._newest) <= CAPACITY


TestConflation = ConflationMachine.TestCase
TestConflation.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_many_senders_lose_no_key_and_nothing_overtakes(
    seed: int, capacity: int, max_size: int
) -> None:
    """Each sender has a key and numbers its messages; every fourth has no key."""
    received: list[tuple[str, Update]] = []
    mailbox = Mailbox[tuple[str, Update]](
        "box", capacity=capacity, overflow=Overflow.CONFLATE, key=lambda message: message[1].key
    )

    async def send(name: str) -> None:
        for number in range(10):
            key = None if number % 4 == 3 else name
            await mailbox.tell((name, Update(key, number)))
            if number % 3 == 0:
                await trio.sleep(1)

    async def receive() -> None:
        while True:
            received.extend(await mailbox.receive_batch(max_size))
            assert mailbox.depth <= capacity
            await trio.sleep(0.5)

    async def main() -> None:
        with trio.fail_after(1000):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive)
                async with trio.open_nursery() as senders:
                    for name in "abc":
                        senders.start_soon(send, name)
                await trio.sleep(100)
                nursery.cancel_scope.cancel()

    with seeded_scheduler(seed):
        trio.run(main, clock=MockClock(autojump_threshold=0))

    for name in "abc":
        numbers = [update.value for sender, update in received if sender == name]
        assert numbers == sorted(set(numbers))
        assert {3, 7, 9} <= set(numbers)


async def test_sender_waits_only_with_a_key_that_is_not_queued(nursery: trio.Nursery) -> None:
    mailbox = conflating_box(Update("a", 1), capacity=1)
    await mailbox.tell(Update("a", 2))
    nursery.start_soon(mailbox.tell, Update("b", 3))
    await wait_all_tasks_blocked()
    await mailbox.tell(Update("a", 4))
    assert [await mailbox.receive(), await mailbox.receive()] == [Update("a", 4), Update("b", 3)]


async def test_message_that_had_to_wait_can_be_replaced_once_it_is_queued(
    nursery: trio.Nursery,
) -> None:
    mailbox = conflating_box(Update("a", 1), capacity=1)
    nursery.start_soon(mailbox.tell, Update("b", 2))
    await wait_all_tasks_blocked()
    assert await mailbox.receive() == Update("a", 1)
    await wait_all_tasks_blocked()
    mailbox.tell_nowait(Update("b", 3))
    assert mailbox.receive_nowait() == Update("b", 3)


async def test_sender_that_resumes_late_does_not_replace_a_newer_message(
    nursery: trio.Nursery,
) -> None:
    """The older of two messages was admitted, but its sender has not run since."""
    mailbox = conflating_box(Update("x", 0), Update("y", 0), capacity=2)
    nursery.start_soon(mailbox.tell, Update("a", 1))
    await wait_all_tasks_blocked()
    mailbox.receive_nowait()
    mailbox.receive_nowait()
    mailbox.tell_nowait(Update("a", 2))
    await wait_all_tasks_blocked()
    mailbox.tell_nowait(Update("a", 3))
    assert await mailbox.receive_batch(9) == [Update("a", 1), Update("a", 3)]


async def test_question_sees_what_was_sent_before_it(nursery: trio.Nursery) -> None:
    mailbox = Mailbox[Update | Get](
        "box",
        capacity=2,
        overflow=Overflow.CONFLATE,
        key=lambda message: message.key if isinstance(message, Update) else None,
    )
    mailbox.tell_nowait(Update("a", 1))
    nursery.start_soon(partial(mailbox.ask, Get))
    await wait_all_tasks_blocked()
    with pytest.raises(trio.WouldBlock):
        mailbox.tell_nowait(Update("a", 2))
    assert mailbox.receive_nowait() == Update("a", 1)
    question = mailbox.receive_nowait()
    assert isinstance(question, Get)
    question.reply.set(1)
