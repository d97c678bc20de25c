"""One life of a child: from a start to its end, and what it ended with."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio

from .errors import Fatal, StartFailed, StrayCancelled
from .mailbox import Mailbox
from .restart import Restart


@dataclass(frozen=True, slots=True)
class Child:
    """One line of a supervision tree."""

    name: str
    """Unique among its siblings; appears in logs."""

    run: Callable[..., Awaitable[None]]
    """Runs the child, supporting the `trio.Nursery.start` protocol: called with the keyword
    ``task_status``, on which it calls ``started()`` once others may rely on it."""

    restart: Restart = Restart.PERMANENT

    mailbox: Mailbox[Any] | None = None
    """What it receives from. Its supervisor answers the questions that the child leaves
    open when it stops, and closes the mailbox when it stops for good."""

    stop: Callable[[], None] | None = None
    """Asks for a soft stop, such as ``mailbox.close`` or ``event.set``; it may be called
    more than once. None: the child is cancelled at once."""

    stop_within: float = 5.0
    """Seconds that a soft stop may take before the child is cancelled, and again seconds
    after that before it is reported as unkillable."""

    start_within: float = 30.0
    """Seconds it may take to call ``started()``; longer counts as a failure."""


class Life:
    """A child that runs in a task of its own. It is also that child's ``task_status``.

    Whatever the child does, `live` only records it: judging is up to the supervisor.
    """

    def __init__(self, child: Child, changed: Callable[[], None]) -> None:
        self.child = child
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        self.error: BaseException | None = None
        self.stopping = False
        self.start_by = trio.current_time() + child.start_within
        self.started_at = math.inf
        self._changed = changed

    def started(self, value: object = None) -> None:  # noqa: ARG002  # the protocol has a value
        """See `trio.TaskStatus`."""
        if self.is_started:
            raise RuntimeError("called 'started' twice on the same task status")
        self.started_at = trio.current_time()
        self._changed()

    @property
    def is_started(self) -> bool:
        return self.started_at < math.inf

    @property
    def is_late(self) -> bool:
        """Whether it has not started although its time for that is over."""
        return not self.is_started and trio.current_time() >= self.start_by

    async def live(self) -> None:
        try:
            with self.scope:
                await _call(self.child, self)
            if not (self.is_started or self.stopping or self.scope.cancel_called):
                self.error = StartFailed(f"{self.child.name} returned before it had started")
        except BaseException as error:  # noqa: BLE001  # the supervisor passes it up if it must
            self.error = failure(error)
        finally:
            if self.child.mailbox is not None:
                cause = self.error if isinstance(self.error, Exception) else None
                self.child.mailbox.fail_taken(cause)
            self.ended.set()
            self._changed()


@trio.lowlevel.disable_ki_protection  # or Ctrl-C could not interrupt a busy loop in a child
async def _call(child: Child, life: Life) -> None:
    await child.run(task_status=life)


def failure(error: BaseException) -> BaseException:
    """What a child failed with, given what left its cancel scope.

    The scope has absorbed every `trio.Cancelled` that belonged to it. One that is left
    either belongs to the end of the whole run, and goes on, or nobody asked for it.
    """
    rest: BaseException | None = error
    if isinstance(error, BaseExceptionGroup):
        rest = error.split(trio.Cancelled)[1]
    elif isinstance(error, trio.Cancelled):
        rest = None
    if rest is not None:
        return rest
    if trio.current_effective_deadline() == -math.inf:
        raise error
    stray = StrayCancelled("trio.Cancelled without a cancellation")
    stray.__cause__ = error
    return stray


def passes_up(error: BaseException | None) -> BaseException | None:
    """The part of a failure that no supervisor may absorb, taken out of its groups.

    That is a `Fatal`, and what is no `Exception`: KeyboardInterrupt, SystemExit.
    """
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(passes_up, error.exceptions)), None)
    absorbed = isinstance(error, Exception) and not isinstance(error, Fatal)
    return None if absorbed else error


def describe(error: BaseException | None) -> str:
    """Type and message on one line; of a group with one member, those of the member."""
    if error is None:
        return "returned"
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return describe(error.exceptions[0])
    return f"{type(error).__name__}: {error}"
