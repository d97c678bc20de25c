"""A child's place in the tree, which outlives its runs."""

from __future__ import annotations

import contextvars
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import trio

from .child import Child
from .child_run import ChildRun
from .errors import StartFailed, Unkillable
from .failure import fatal_part, format_error
from .inspection import ActorInfo, State
from .restart import Backoff

logger = logging.getLogger("actors")


class Subtree(Protocol):
    """What a slot must know of a child that is a supervisor."""

    def inspect(self) -> ActorInfo: ...

    def abandon_mailboxes(self) -> None: ...


class ChildSlot:
    """Starts and stops one child, and records how that went. Decides nothing."""

    def __init__(
        self, owner: str, child: Child, on_change: Callable[[], None], subtree: Subtree | None
    ) -> None:
        self.owner = owner
        self.child = child
        self.run: ChildRun | None = None
        self.failures = 0
        self.last_error: str | None = None
        self._on_change = on_change
        self._subtree = subtree
        self._starts = 0
        self.reset()

    def reset(self) -> None:
        """Forget earlier runs, as before a first start."""
        self._state = State.WAITING
        self.start_at = -math.inf
        self.failures = 0

    @property
    def state(self) -> State:
        if self._state is State.STARTING and self.run is not None and self.run.is_started:
            return State.RUNNING
        return self._state

    @property
    def needs_attention(self) -> bool:
        """Whether its run has ended, or has to be ended because it started too late."""
        return self.run is not None and (self.run.ended.is_set() or self.run.is_late)

    def start(self) -> None:
        """Begin a run. A system task, for the reason given at `Supervisor`."""
        if self.child.mailbox is not None:
            self.child.mailbox.reopen()
        self._state = State.STARTING
        self._starts += 1
        self.run = ChildRun(self.child, self._on_change)
        trio.lowlevel.spawn_system_task(
            self.run.run,
            name=f"{self.owner}/{self.child.name}",
            context=contextvars.copy_context(),
        )

    async def collect(self, backoff: Backoff) -> BaseException | None:
        """End the run that needs attention, and return what it failed with.

        Raises:
            Unkillable: it did not start in time, and ignores its cancellation.
        """
        run = self.run
        assert run is not None
        error = run.error
        if not run.ended.is_set():
            error = await self.stop()
            if fatal_part(error) is None:
                late = StartFailed(f"not started within {self.child.start_timeout} s")
                late.__cause__, error = error, late
        healthy_for = max(0.0, trio.current_time() - run.started_at)
        self.failures = backoff.failures(self.failures, healthy_for)
        self.last_error = format_error(error)
        self.run = None
        return error

    async def stop(self) -> BaseException | None:
        """Stop the child, gracefully if it can; return what it failed with meanwhile.

        Raises:
            Unkillable: neither the request nor the cancellation ended it.
        """
        run = self.run
        if run is None:
            if self._state in {State.WAITING, State.PAUSING}:
                self._state = State.STOPPED
            return None
        if self._state is not State.UNKILLABLE:
            self._state = State.STOPPING
            run.stopping = True
            await self._end(run)
            if not run.ended.is_set():
                self._state = State.UNKILLABLE
                logger.critical(
                    "%s: %s ignores its cancellation",
                    self.owner,
                    self.child.name,
                    extra={"event_name": "actor_unkillable"},
                )
        if not run.ended.is_set():
            raise Unkillable(f"{self.owner}: {self.child.name} ignores its cancellation")
        self.run = None
        self.retire(run.error)
        if run.error is not None:
            logger.warning(
                "%s: %s failed while it was stopped: %s",
                self.owner,
                self.child.name,
                self.last_error,
                exc_info=run.error,
                extra={"event_name": "actor_failed_stopping"},
            )
        return run.error

    async def _end(self, run: ChildRun) -> None:
        if self.child.stop is not None and not run.ended.is_set():
            try:
                self.child.stop()
            except Exception:
                logger.exception(
                    "%s: the stop request to %s failed",
                    self.owner,
                    self.child.name,
                    extra={"event_name": "actor_stop_failed"},
                )
            else:
                with trio.move_on_after(self.child.stop_timeout):
                    await run.ended.wait()
        if not run.ended.is_set():
            run.scope.cancel()
            with trio.move_on_after(self.child.stop_timeout):
                await run.ended.wait()

    def pause_until(self, start_at: float) -> None:
        self._state = State.PAUSING
        self.start_at = start_at

    def retire(self, error: BaseException | None) -> None:
        """The child has ended, and no restart is scheduled."""
        self._state = State.STOPPED if error is None else State.FAILED
        if error is not None:
            self.last_error = format_error(error)

    def abandon(self) -> None:
        """The child will not come back: nothing may wait for it any longer."""
        if self.child.mailbox is not None:
            self.child.mailbox.abandon()
        if self._subtree is not None:
            self._subtree.abandon_mailboxes()

    def inspect(self) -> ActorInfo:
        box = self.child.mailbox
        info = ActorInfo(
            self.child.name,
            self.state,
            restarts=max(0, self._starts - 1),
            last_error=self.last_error,
            mailbox_depth=None if box is None else box.depth,
            mailbox_capacity=None if box is None else box.capacity,
            handled=None if box is None else box.handled,
        )
        return (
            info
            if self._subtree is None
            else replace(info, children=self._subtree.inspect().children)
        )
