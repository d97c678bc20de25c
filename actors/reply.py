"""A slot for one answer, carried inside the message that asks for it."""

from __future__ import annotations

from types import TracebackType
from typing import Generic, TypeVar, cast

import trio

from .errors import ActorDied

R = TypeVar("R")


class Reply(Generic[R]):
    """Where an actor puts its answer, once, and where the asker waits for it.

    The first answer counts and later ones are ignored: an actor must not fail because
    its asker was told meanwhile that it had died, or has gone away.

    As a context manager it makes sure that there is an answer: leave the block without
    one, and the asker gets `ActorDied` at once. An actor that answers later keeps the
    reply instead, and its mailbox sees to it that a crash answers the asker.
    """

    __slots__ = ("_answered", "_error", "_value", "_wanted")

    def __init__(self) -> None:
        self._answered = trio.Event()
        self._value: R | None = None
        self._error: Exception | None = None
        self._wanted = True

    @property
    def answered(self) -> bool:
        """Whether an answer is there, good or bad."""
        return self._answered.is_set()

    @property
    def wanted(self) -> bool:
        """False once the asker has its answer or has given up: work for it is wasted."""
        return self._wanted and not self.answered

    def set(self, value: R) -> None:
        """Answer. Ignored if there is an answer already."""
        if not self.answered:
            self._value = value
            self._answered.set()

    def fail(self, error: Exception) -> None:
        """Answer with an error, raised where the asker waits. Ignored as in `set`."""
        if not self.answered:
            self._error = error
            self._answered.set()

    def __enter__(self) -> Reply[R]:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if not self.answered:
            died = ActorDied("the actor stopped before it answered")
            # A cancellation is no cause to show: it belongs to the actor's task alone.
            died.__cause__ = error if isinstance(error, Exception) else None
            self.fail(died)

    async def wait(self) -> R:
        """Wait for the answer. Only one task may wait, once.

        Cancelling gives up: the actor can see that in `wanted`.

        Raises:
            ActorDied: the actor stopped before it answered.
            Exception: whatever the actor gave to `fail`.
        """
        try:
            await self._answered.wait()
        finally:
            self._wanted = False
        if self._error is not None:
            raise self._error
        return cast("R", self._value)
