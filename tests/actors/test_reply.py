import pytest
import trio
from trio.testing import MockClock

from actors import ActorDied, Reply


async def test_answer_reaches_the_asker() -> None:
    reply = Reply[int]()
    with reply:
        reply.set(3)
    assert await reply.wait() == 3


async def test_none_is_an_answer() -> None:
    reply = Reply[None]()
    reply.set(None)
    assert reply.answered
    await reply.wait()


async def test_failure_is_raised_where_the_asker_waits() -> None:
    reply = Reply[int]()
    reply.fail(KeyError("BTCUSDT"))
    with pytest.raises(KeyError, match="BTCUSDT"):
        await reply.wait()


async def test_block_that_ends_without_an_answer_fails_the_question() -> None:
    reply = Reply[int]()
    with reply:
        pass
    with pytest.raises(ActorDied) as caught:
        await reply.wait()
    assert caught.value.__cause__ is None


async def test_error_that_leaves_the_block_is_the_cause_and_propagates() -> None:
    reply = Reply[int]()
    error = ValueError("no")
    with pytest.raises(ValueError, match="no"), reply:
        raise error
    with pytest.raises(ActorDied) as caught:
        await reply.wait()
    assert caught.value.__cause__ is error


async def test_cancellation_of_the_actor_is_not_the_cause() -> None:
    reply = Reply[int]()
    with trio.CancelScope() as scope, reply:
        scope.cancel()
        await trio.lowlevel.checkpoint()
    with pytest.raises(ActorDied) as caught:
        await reply.wait()
    assert caught.value.__cause__ is None


async def test_error_after_the_answer_leaves_the_answer() -> None:
    reply = Reply[int]()

    def answer_and_fail() -> None:
        with reply:
            reply.set(3)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        answer_and_fail()
    assert await reply.wait() == 3


@pytest.mark.parametrize("first", [1, None])
async def test_first_answer_counts(first: int | None) -> None:
    reply = Reply[int | None]()
    reply.set(first)
    reply.set(2)
    reply.fail(ValueError("late"))
    assert await reply.wait() == first


async def test_answer_after_the_asker_gave_up_is_harmless(autojump_clock: MockClock) -> None:
    reply = Reply[int]()
    assert reply.wanted
    with trio.move_on_after(1):
        await reply.wait()
    assert not reply.wanted
    reply.set(1)
    reply.fail(ValueError("late"))


async def test_answered_question_is_no_longer_wanted() -> None:
    reply = Reply[int]()
    reply.set(1)
    assert not reply.wanted


async def test_context_manager_yields_the_reply() -> None:
    with Reply[int]() as reply:
        reply.set(3)
    assert await reply.wait() == 3
