"""Supervisors: start children in order, restart those that fail, stop in reverse."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Sequence

import trio

from .errors import RestartLimit, Unkillable
from .inspection import ActorInfo, State
from .life import Child, describe, passes_up
from .restart import Backoff, Restart, RestartBudget, Strategy, affected
from .seat import Seat

logger = logging.getLogger("actors")

_NOT_UP = frozenset({State.WAITING, State.STARTING, State.PAUSING})


class Supervisor:
    """Keeps its children running, and is itself a child for a supervisor above.

    - Children start in the given order, each when the one before has called
      ``started()``, and stop in reverse.
    - One that fails is restarted after a pause, its siblings with it as the strategy
      says: stopped last-first, started first-last. One such event costs one restart of
      the budget, however many children it concerns.
    - Under `Strategy.ONE_FOR_ONE` nobody depends on anybody, so a child that pauses holds
      up no other.
    - A transient child that has finished comes back when a sibling's failure restarts it;
      a temporary one never does.
    - With all children gone it still runs, until it is stopped.

    Each life of a child is a Trio system task. A nursery would do, but for one thing: it
    cannot be left while a child that ignores cancellation is in it, so a supervisor that
    has to report exactly that could not. In return `run` promises what a nursery would:
    it does not end before its children have, unless it raises `Unkillable`.

    Args:
        children: in start order; a mailbox belongs to one of them at most.
        backoff: the pause before a restart, by failures of that child in a row.
        restart: for a supervisor above, as in `Child`.
        stop_within: for a supervisor above, as in `Child`. Without limit by default, as
            the limits of the children add up.
        start_within: for a supervisor above, likewise.
        rng: where the jitter of the pauses comes from; default: the module `random`.

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
        stop_within: float = math.inf,
        start_within: float = math.inf,
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
            stop_within=stop_within,
            start_within=start_within,
        )
        self._seats = {child.name: self._seat(child) for child in children}
        self._state = State.WAITING
        self._last_error: str | None = None
        self._stop_asked = False
        self._changed = trio.Event()
        self._past: tuple[float, ...] = ()

    def _seat(self, child: Child | Supervisor) -> Seat:
        if isinstance(child, Supervisor):
            return Seat(self.name, child.as_child(), self._wake, child)
        return Seat(self.name, child, self._wake, None)

    def as_child(self) -> Child:
        """What this supervisor is as a line of the tree above."""
        return self._as_child

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the children running until `stop` or cancelled; this is the top of the tree.

        ``started()`` is called when every child has started. Cancelling stops the
        children in order, within their limits, before this ends. However it ends,
        their mailboxes are closed then and every open question is answered.

        Raises:
            RestartLimit: the budget is spent; the last failure is its cause.
            Fatal: as a child raised it. `Unkillable` is one.
            KeyboardInterrupt, SystemExit: as a child raised it.
            RuntimeError: it is running already.
        """
        await self._run(task_status, for_good=True)

    async def _run_below(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Like `run`, but the supervisor above knows whether this comes back."""
        await self._run(task_status, for_good=False)

    def stop(self) -> None:
        """Ask for an ordered stop: `run` returns when the last child has ended.

        Asked before `run`, it makes that return at once.
        """
        self._stop_asked = True
        self._wake()

    def inspect(self) -> ActorInfo:
        """The tree from here down, as it is now."""
        children = tuple(seat.inspect() for seat in self._seats.values())
        return ActorInfo(self.name, self._state, last_error=self._last_error, children=children)

    def abandon_mailboxes(self) -> None:
        """Close the mailboxes of all children for good, and answer what is open there."""
        for seat in self._seats.values():
            seat.abandon()

    def _wake(self) -> None:
        self._changed.set()

    async def _run(self, task_status: trio.TaskStatus[None], *, for_good: bool) -> None:
        if self._state in {State.STARTING, State.RUNNING, State.STOPPING}:
            raise RuntimeError(f"{self.name} is running already")
        self._state = State.STARTING
        self._past = ()
        for seat in self._seats.values():
            seat.await_start()
        try:
            await self._watch_then_stop(task_status, for_good=for_good)
        except trio.Cancelled:
            self._state = State.STOPPED
            raise
        except BaseException as error:
            self._state = State.FAILED
            self._last_error = describe(error)
            raise
        else:
            self._state = State.STOPPED
        finally:
            self._stop_asked = False

    async def _watch_then_stop(self, task_status: trio.TaskStatus[None], *, for_good: bool) -> None:
        try:
            await self._watch(task_status)
        finally:
            self._state = State.STOPPING
            # An outside cancellation must become an ordered stop.
            with trio.CancelScope(shield=True):
                await self._stop_all(for_good=for_good)

    async def _watch(self, task_status: trio.TaskStatus[None]) -> None:
        """React to what happens. Nothing is queued: every round looks at all children."""
        while not self._stop_asked:
            self._changed = trio.Event()
            await self._settle()
            if self._state is State.STARTING and self._all_up():
                self._state = State.RUNNING
                task_status.started()
            with trio.move_on_at(self._next_due()):
                await self._changed.wait()

    async def _settle(self) -> None:
        # In start order: the failure of one may well explain those of its dependents.
        while ended := [seat for seat in self._seats.values() if seat.needs_attention]:
            await self._react(ended[0])
        for seat in self._seats.values():
            if self._has_turn(seat) and trio.current_time() >= seat.start_at:
                seat.start()

    def _all_up(self) -> bool:
        return not any(seat.state in _NOT_UP for seat in self._seats.values())

    def _has_turn(self, seat: Seat) -> bool:
        """Whether only its pause, if any, keeps a child from being started."""
        if seat.state not in {State.WAITING, State.PAUSING}:
            return False
        holding_up = _NOT_UP
        if self._strategy is Strategy.ONE_FOR_ONE:
            if seat.state is State.PAUSING:
                return True
            holding_up -= {State.PAUSING}
        before = self._names[: self._names.index(seat.child.name)]
        return not any(self._seats[name].state in holding_up for name in before)

    def _next_due(self) -> float:
        """When time alone makes something due: a restart, or the end of a start."""
        restarts = (seat.start_at for seat in self._seats.values() if self._has_turn(seat))
        starts = (
            seat.life.start_by
            for seat in self._seats.values()
            if seat.life is not None and seat.state is State.STARTING
        )
        return min((*restarts, *starts), default=math.inf)

    async def _react(self, seat: Seat) -> None:
        """Deal with a child that has ended."""
        error = await seat.collect(self._backoff)
        name, what = seat.child.name, describe(error)
        if (fatal := passes_up(error)) is not None:
            self._log(logging.ERROR, "actor_ends_tree", "%s: %s ends the tree: %s", name, what)
            raise fatal
        if not seat.child.restart.wanted(failed=error is not None):
            level = logging.INFO if error is None else logging.ERROR
            self._log(level, "actor_ended", "%s: %s ended: %s", name, what, error=error)
            seat.retire(error)
            seat.abandon()
            return
        spent = self._budget.spend(self._past, trio.current_time())
        if spent is None:
            text = "%s gives up on %s: %s"
            self._log(logging.ERROR, "actor_given_up", text, name, what, error=error)
            seat.retire(error)
            raise RestartLimit(f"{self.name}: {name} failed too often: {what}") from error
        self._past = spent
        pause = self._backoff.pause(seat.failures, self._random())
        text = "%s: %s ended, restart in %.2f s: %s"
        self._log(logging.WARNING, "actor_restarts", text, name, pause, what, error=error)
        await self._prepare_restart(seat, pause)

    def _log(
        self,
        level: int,
        event: str,
        text: str,
        *details: object,
        error: BaseException | None = None,
    ) -> None:
        """`event` is for programs, and stays the same whatever the text becomes."""
        extra = {"event_name": event}
        logger.log(level, text, self.name, *details, exc_info=error, extra=extra)

    async def _prepare_restart(self, failed: Seat, pause: float) -> None:
        names = affected(self._strategy, self._names, failed.child.name)
        affected_seats = (self._seats[name] for name in names)
        # One that was never started still has its first start before it, temporary or not.
        group = [seat for seat in affected_seats if seat.state is not State.WAITING]
        failed.pause_until(math.inf)
        for seat in reversed(group):
            if seat is not failed and (fatal := passes_up(await seat.stop())) is not None:
                raise fatal
        start_at = trio.current_time() + pause
        for seat in group:
            if seat is failed or seat.child.restart is not Restart.TEMPORARY:
                seat.pause_until(start_at)
            else:
                seat.abandon()

    async def _stop_all(self, *, for_good: bool) -> None:
        stuck: Unkillable | None = None
        fatal: BaseException | None = None
        for seat in reversed(self._seats.values()):
            try:
                fatal = passes_up(await seat.stop()) or fatal
            except Unkillable as error:
                stuck = error
            if for_good:
                seat.abandon()
        if (urgent := stuck or fatal) is not None:
            raise urgent
