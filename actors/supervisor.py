"""Supervisors start children in order, restart those that fail, and stop them in reverse order."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Sequence

import trio

from .child import Child
from .child_slot import ChildSlot
from .errors import RestartLimit, Unkillable
from .failure import fatal_part, format_error
from .inspection import ActorInfo, State
from .restart import Backoff, Restart, RestartBudget, Strategy, affected

logger = logging.getLogger("actors")

_NOT_RUNNING_YET = frozenset({State.WAITING, State.STARTING, State.PAUSING})


class Supervisor:
    """Keeps its children running, and can itself be a child of another supervisor.

    - Children start in the given order, each after the previous one has called
      ``started()``, and stop in reverse order.
    - A child that fails is restarted after a pause, together with the children that the
      strategy selects: stopped in reverse order, started in order. This costs one restart
      of the budget, however many children it affects.
    - Under `Strategy.ONE_FOR_ONE` children are independent: one that waits for its restart
      does not delay the start of others.
    - A transient child that has finished runs again when the failure of another child
      restarts it; a temporary one never does.
    - A supervisor whose children have all ended keeps running until it is stopped.

    Each run of a child is a Trio system task. A nursery would serve as well, except that
    it cannot be left while it contains a child that ignores cancellation, which a
    supervisor has to report. In return `run` guarantees what a nursery would: it does not
    end before its children have, unless it raises `Unkillable`.

    Args:
        children: in start order; each mailbox belongs to at most one of them.
        backoff: the pause before a restart, by consecutive failures of that child.
        restart: as in `Child`, when this is a child itself.
        stop_timeout: as in `Child`, when this is a child itself. Unlimited by default, as
            the timeouts of the children limit it.
        start_timeout: likewise.
        rng: source of the jitter of pauses; by default the module `random`.

    Raises:
        ValueError: two children have the same name.
    """

    def __init__(
        self,
        name: str,
        children: Sequence[Child | Supervisor],
        *,
        strategy: Strategy,
        budget: RestartBudget,
        backoff: Backoff = Backoff(0.1, 10),  # noqa: B008  # frozen
        restart: Restart = Restart.PERMANENT,
        stop_timeout: float = math.inf,
        start_timeout: float = math.inf,
        rng: random.Random | None = None,
    ) -> None:
        self.name = name
        self._names = [child.name for child in children]
        if len(set(self._names)) < len(self._names):
            raise ValueError(f"{name}: children need different names: {self._names}")
        self._strategy = strategy
        self._budget = budget
        self._backoff = backoff
        self._random = random.random if rng is None else rng.random
        self._as_child = Child(
            name,
            self._run_below,
            restart=restart,
            stop=self.stop,
            stop_timeout=stop_timeout,
            start_timeout=start_timeout,
        )
        self._slots = {child.name: self._slot(child) for child in children}
        self._state = State.WAITING
        self._last_error: str | None = None
        self._stop_requested = False
        self._changed = trio.Event()
        self._recent_failures: tuple[float, ...] = ()

    def _slot(self, child: Child | Supervisor) -> ChildSlot:
        if isinstance(child, Supervisor):
            return ChildSlot(self.name, child.as_child(), self._wake, child)
        return ChildSlot(self.name, child, self._wake, None)

    def as_child(self) -> Child:
        """What this supervisor is in the tree of another one."""
        return self._as_child

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the children running until `stop` is called or this is cancelled.

        For the supervisor at the top of the tree. ``started()`` is called when every child
        has started. Cancelling stops the children in order, within their timeouts,
        before this ends. However it ends, all mailboxes are closed then and every open
        question has failed.

        Raises:
            RestartLimit: the budget is exceeded; the last failure is its cause.
            Fatal: as a child raised it, `Unkillable` included.
            KeyboardInterrupt, SystemExit: as a child raised it.
            RuntimeError: it is already running.
        """
        await self._run(task_status, permanently=True)

    async def _run_below(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Like `run`, but the parent decides whether mailboxes stay open for a restart."""
        await self._run(task_status, permanently=False)

    def stop(self) -> None:
        """Request an ordered stop: `run` returns when the last child has ended.

        If called before `run`, that returns immediately.
        """
        self._stop_requested = True
        self._wake()

    def inspect(self) -> ActorInfo:
        """A snapshot of the tree below this supervisor."""
        children = tuple(slot.inspect() for slot in self._slots.values())
        return ActorInfo(self.name, self._state, last_error=self._last_error, children=children)

    def abandon_mailboxes(self) -> None:
        """Close the mailboxes of all children permanently, and fail their open questions."""
        for slot in self._slots.values():
            slot.abandon()

    def _wake(self) -> None:
        self._changed.set()

    async def _run(self, task_status: trio.TaskStatus[None], *, permanently: bool) -> None:
        if self._state in {State.STARTING, State.RUNNING, State.STOPPING}:
            raise RuntimeError(f"{self.name} is already running")
        self._state = State.STARTING
        self._recent_failures = ()
        for slot in self._slots.values():
            slot.reset()
        try:
            await self._watch_then_stop(task_status, permanently=permanently)
        except trio.Cancelled:
            self._state = State.STOPPED
            raise
        except BaseException as error:
            self._state = State.FAILED
            self._last_error = format_error(error)
            raise
        else:
            self._state = State.STOPPED
        finally:
            self._stop_requested = False

    async def _watch_then_stop(
        self, task_status: trio.TaskStatus[None], *, permanently: bool
    ) -> None:
        try:
            await self._watch(task_status)
        finally:
            self._state = State.STOPPING
            # A cancellation of this task must become an ordered stop.
            with trio.CancelScope(shield=True):
                await self._stop_all(permanently=permanently)

    async def _watch(self, task_status: trio.TaskStatus[None]) -> None:
        """React to changes. No event is queued: every round looks at all children."""
        while not self._stop_requested:
            self._changed = trio.Event()
            await self._handle_ended_and_due()
            if self._state is State.STARTING and self._all_running():
                self._state = State.RUNNING
                task_status.started()
            with trio.move_on_at(self._next_due()):
                await self._changed.wait()

    async def _handle_ended_and_due(self) -> None:
        # In start order: the failure of one often causes those of its dependents.
        while ended := [slot for slot in self._slots.values() if slot.needs_attention]:
            await self._react(ended[0])
        for slot in self._slots.values():
            if self._may_start(slot) and trio.current_time() >= slot.start_at:
                slot.start()

    def _all_running(self) -> bool:
        return not any(slot.state in _NOT_RUNNING_YET for slot in self._slots.values())

    def _may_start(self, slot: ChildSlot) -> bool:
        """Whether a child waits only for its pause, if any, and for no other child."""
        if slot.state not in {State.WAITING, State.PAUSING}:
            return False
        blocking = _NOT_RUNNING_YET
        if self._strategy is Strategy.ONE_FOR_ONE:
            if slot.state is State.PAUSING:
                return True
            blocking -= {State.PAUSING}
        before = self._names[: self._names.index(slot.child.name)]
        return not any(self._slots[name].state in blocking for name in before)

    def _next_due(self) -> float:
        """Time of the next restart or start timeout."""
        restarts = (slot.start_at for slot in self._slots.values() if self._may_start(slot))
        starts = (
            slot.run.start_deadline
            for slot in self._slots.values()
            if slot.run is not None and slot.state is State.STARTING
        )
        return min((*restarts, *starts), default=math.inf)

    async def _react(self, slot: ChildSlot) -> None:
        """Handle a child that has ended."""
        error = await slot.collect(self._backoff)
        name, what = slot.child.name, format_error(error)
        if (fatal := fatal_part(error)) is not None:
            # It is raised to the caller of `run`, which reports it.
            text = "%s: %s failed, which ends the tree: %s"
            self._log(logging.DEBUG, "actor_fatal", text, name, what)
            slot.retire(error)
            raise fatal
        if not slot.child.restart.wanted(failed=error is not None):
            level = logging.INFO if error is None else logging.ERROR
            self._log(level, "actor_ended", "%s: %s ended: %s", name, what, error=error)
            slot.retire(error)
            slot.abandon()
            return
        spent = self._budget.spend(self._recent_failures, trio.current_time())
        if spent is None:
            text = "%s: %s failed too often: %s"
            self._log(logging.ERROR, "actor_restart_limit", text, name, what, error=error)
            slot.retire(error)
            raise RestartLimit(f"{self.name}: {name} failed too often: {what}") from error
        self._recent_failures = spent
        pause = self._backoff.pause(slot.failures, self._random())
        text = "%s: %s ended, restart in %.2f s: %s"
        self._log(logging.WARNING, "actor_restarting", text, name, pause, what, error=error)
        await self._prepare_restart(slot, pause)

    def _log(
        self,
        level: int,
        event: str,
        text: str,
        *details: object,
        error: BaseException | None = None,
    ) -> None:
        """`event` is for programs: it stays the same when the text changes."""
        extra = {"event_name": event}
        logger.log(level, text, self.name, *details, exc_info=error, extra=extra)

    async def _prepare_restart(self, failed: ChildSlot, pause: float) -> None:
        names = affected(self._strategy, self._names, failed.child.name)
        affected_slots = (self._slots[name] for name in names)
        # A child that has never started keeps its first start, temporary or not.
        group = [slot for slot in affected_slots if slot.state is not State.WAITING]
        failed.pause_until(math.inf)
        for slot in reversed(group):
            if slot is not failed and (fatal := fatal_part(await slot.stop())) is not None:
                raise fatal
        start_at = trio.current_time() + pause
        for slot in group:
            if slot is failed or slot.child.restart is not Restart.TEMPORARY:
                slot.pause_until(start_at)
            else:
                slot.abandon()

    async def _stop_all(self, *, permanently: bool) -> None:
        stuck: Unkillable | None = None
        fatal: BaseException | None = None
        for slot in reversed(self._slots.values()):
            try:
                fatal = fatal_part(await slot.stop()) or fatal
            except Unkillable as error:
                stuck = error
            if permanently:
                slot.abandon()
        if (urgent := stuck or fatal) is not None:
            raise urgent
