"""A child's place in the tree: what stays while its lives come and go."""

from __future__ import annotations

import contextvars
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import trio

from .errors import StartFailed, Unkillable
from .inspection import ActorInfo, State
from .life import Child, Life, describe, passes_up
from .restart import Backoff

logger = logging.getLogger("actors")


class Subtree(Protocol):
    """What a seat must know of a child that is a supervisor."""

    def inspect(self) -> ActorInfo: ...

    def abandon_mailboxes(self) -> None: ...


class Seat:
    """Starts and stops one child, and remembers how that went. Decides nothing."""

    def __init__(
        self, owner: str, child: Child, changed: Callable[[], None], subtree: Subtree | None
    ) -> None:
        self.owner = owner
        self.child = child
        self.life: Life | None = None
        self.failures = 0
        self.last_error: str | None = None
        self._changed = changed
        self._subtree = subtree
        self._starts = 0
        self.await_start()

    def await_start(self) -> None:
        """Forget earlier lives, as for a first start."""
        self._state = State.WAITING
        self.start_at = -math.inf
        self.failures = 0

    @property
    def state(self) -> State:
        if self._state is State.STARTING and self.life is not None and self.life.is_started:
            return State.RUNNING
        return self._state

    @property
    def needs_attention(self) -> bool:
        """Whether its life is over, or should be."""
        return self.life is not None and (self.life.ended.is_set() or self.life.is_late)

    def start(self) -> None:
        """Begin a life. A system task, for the reason given at `Supervisor`."""
        if self.child.mailbox is not None:
            self.child.mailbox.reopen()
        self._state = State.STARTING
        self._starts += 1
        self.life = Life(self.child, self._changed)
        trio.lowlevel.spawn_system_task(
            self.life.live,
            name=f"{self.owner}/{self.child.name}",
            context=contextvars.copy_context(),
        )

    async def collect(self, backoff: Backoff) -> BaseException | None:
        """End the life that needs attention, and return what it failed with.

        Raises:
            Unkillable: it was late to start, and does not go away.
        """
        life = self.life
        assert life is not None
        error = life.error
        if not life.ended.is_set():
            error = await self.stop()
            if passes_up(error) is None:
                late = StartFailed(f"not started within {self.child.start_within} s")
                late.__cause__, error = error, late
        healthy_for = max(0.0, trio.current_time() - life.started_at)
        self.failures = backoff.failures(self.failures, healthy_for)
        self.last_error = describe(error)
        self.life = None
        return error

    async def stop(self) -> BaseException | None:
        """Stop, softly if it can be; return what the child failed with meanwhile.

        Raises:
            Unkillable: neither asking nor cancelling helped.
        """
        life = self.life
        if life is None:
            if self._state in {State.WAITING, State.PAUSING}:
                self._state = State.STOPPED
            return None
        if self._state is not State.UNKILLABLE:
            self._state = State.STOPPING
            life.stopping = True
            await self._end(life)
            if not life.ended.is_set():
                self._state = State.UNKILLABLE
                logger.critical(
                    "%s: %s ignores its cancellation",
                    self.owner,
                    self.child.name,
                    extra={"event_name": "actor_unkillable"},
                )
        if not life.ended.is_set():
            raise Unkillable(f"{self.owner}: {self.child.name} ignores its cancellation")
        self.life = None
        self.retire(life.error)
        if life.error is not None:
            logger.warning(
                "%s: %s failed while it was stopped: %s",
                self.owner,
                self.child.name,
                self.last_error,
                exc_info=life.error,
                extra={"event_name": "actor_failed_stopping"},
            )
        return life.error

    async def _end(self, life: Life) -> None:
        if self.child.stop is not None and not life.ended.is_set():
            try:
                self.child.stop()
            except Exception:
                logger.exception(
                    "%s: asking %s to stop failed",
                    self.owner,
                    self.child.name,
                    extra={"event_name": "actor_stop_failed"},
                )
            else:
                with trio.move_on_after(self.child.stop_within):
                    await life.ended.wait()
        if not life.ended.is_set():
            life.scope.cancel()
            with trio.move_on_after(self.child.stop_within):
                await life.ended.wait()

    def pause_until(self, start_at: float) -> None:
        self._state = State.PAUSING
        self.start_at = start_at

    def retire(self, error: BaseException | None) -> None:
        """The child has ended, and is not about to be restarted."""
        self._state = State.STOPPED if error is None else State.FAILED
        if error is not None:
            self.last_error = describe(error)

    def abandon(self) -> None:
        """The child will not come back: nobody shall wait for it."""
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
