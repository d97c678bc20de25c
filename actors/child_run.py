"""One run of a child: from its start to its end, and what it ended with."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from .child import Child
from .errors import StartFailed
from .failure import child_failure


class ChildRun:
    """A child that runs in a task of its own. It is also that child's ``task_status``.

    `run` only records what the child does; what follows from it is up to the supervisor.
    """

    def __init__(self, child: Child, on_change: Callable[[], None]) -> None:
        self.child = child
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        self.error: BaseException | None = None
        self.stopping = False
        self.start_deadline = trio.current_time() + child.start_timeout
        self.started_at = math.inf
        self._on_change = on_change

    def started(self, value: object = None) -> None:  # noqa: ARG002  # the protocol has a value
        """See `trio.TaskStatus`."""
        if self.is_started:
            raise RuntimeError("called 'started' twice on the same task status")
        self.started_at = trio.current_time()
        self._on_change()

    @property
    def is_started(self) -> bool:
        return self.started_at < math.inf

    @property
    def is_late(self) -> bool:
        """Whether its start timeout has passed before it started."""
        return not self.is_started and trio.current_time() >= self.start_deadline

    async def run(self) -> None:
        try:
            with self.scope:
                await _call(self.child, self)
            if not (self.is_started or self.stopping or self.scope.cancel_called):
                self.error = StartFailed(f"{self.child.name} returned before it had started")
        except BaseException as error:  # noqa: BLE001  # the supervisor re-raises what it must
            self.error = child_failure(error)
        finally:
            if self.child.mailbox is not None:
                cause = self.error if isinstance(self.error, Exception) else None
                self.child.mailbox.fail_unanswered(cause)
            self.ended.set()
            self._on_change()


@trio.lowlevel.disable_ki_protection  # or Ctrl-C could not interrupt a busy loop in a child
async def _call(child: Child, run: ChildRun) -> None:
    await child.run(task_status=run)
