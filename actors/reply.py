"""The answer to one question, carried inside the message that asks it."""

from __future__ import annotations

from types import TracebackType
from typing import Generic, TypeVar, cast

import trio

from .errors import ActorDied

R = TypeVar("R")


class Reply(Generic[R]):
    """Where an actor puts its answer, once, and where the asker waits for it.

    The first answer counts and later ones are ignored: an actor must not fail because
    its asker already got an error, or has given up.

    As a context manager it guarantees an answer: if the block ends without one, the asker
    gets `ActorDied` immediately. An actor that answers later keeps the reply instead;
    if it crashes meanwhile, its mailbox fails the reply.
    """

    __slots__ = ("_answered", "_error", "_value", "_wanted")

    def __init__(self) -> None:
        self._answered = trio.Event()
        self._value: R | None = None
        self._error: Exception | None = None
        self._wanted = True

    @property
    def answered(self) -> bool:
        """Whether there is an answer, or an error in its place."""
        return self._answered.is_set()

    @property
    def wanted(self) -> bool:
        """False once the asker has its answer or has given up; computing one is pointless."""
        return self._wanted and not self.answered

    def set(self, value: R) -> None:
        """Answer. Ignored if there already is an answer."""
        if not self.answered:
            self._value = value
            self._answered.set()

    def fail(self, error: Exception) -> None:
        """Answer with an error, which is raised where the asker waits. Ignored as in `set`."""
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
            # A cancellation is not shown as the cause: it concerns the actor's task only.
            died.__cause__ = error if isinstance(error, Exception) else None
            self.fail(died)

    async def wait(self) -> R:
        """Wait for the answer. Only one task may wait, once.

        Cancelling this gives up, which the actor can see in `wanted`.

        Raises:
            ActorDied: the actor stopped before it answered.
            Exception: the error that the actor passed to `fail`.
        """
        try:
            await self._answered.wait()
        finally:
            self._wanted = False
        if self._error is not None:
            raise self._error
        return cast("R", self._value)
