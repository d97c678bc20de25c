"""Children named by behaviour, and supervisors with round numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from actors import Backoff, Child, Mailbox, Reply, RestartBudget, State, Strategy, Supervisor

NO_PAUSE = Backoff(0, 0)
THREE_PER_MINUTE = RestartBudget(3, within=60)


class Scripted:
    """Fails or finishes on command, and appends its starts (+) and ends (-) to `events`."""

    def __init__(self, name: str, events: list[str], *, start_takes: float = 0) -> None:
        self.name = name
        self.events = events
        self.start_takes = start_takes
        self._commands, self._received = trio.open_memory_channel[BaseException | None](10)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.events.append(f"+{self.name}")
        try:
            if self.start_takes:
                await trio.sleep(self.start_takes)
            task_status.started()
            error = await self._received.receive()
            if error is not None:
                raise error
        finally:
            self.events.append(f"-{self.name}")

    def fail(self, error: BaseException | None = None) -> None:
        self._commands.send_nowait(RuntimeError(self.name) if error is None else error)

    def finish(self) -> None:
        self._commands.send_nowait(None)


class SlowToStop:
    """Takes `stop_takes` seconds to stop gracefully, possibly longer than its timeout."""

    def __init__(self, stop_takes: float) -> None:
        self.stop_takes = stop_takes
        self.stop_requested = trio.Event()
        self.ended_at: float | None = None

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await self.stop_requested.wait()
            await trio.sleep(self.stop_takes)
        finally:
            self.ended_at = trio.current_time()


async def steady(*, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    await trio.sleep_forever()


async def stuck(*, task_status: trio.TaskStatus[None]) -> None:
    """Ignores its cancellation for 1000 seconds."""
    task_status.started()
    with trio.CancelScope(shield=True):
        await trio.sleep(1000)


class Crashing:
    """Fails `after` seconds of health, the first `times` times; then runs on."""

    def __init__(self, *, after: float, times: int = 1000) -> None:
        self.after = after
        self.times = times
        self.started_at: list[float] = []

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.started_at.append(trio.current_time())
        task_status.started()
        if len(self.started_at) > self.times:
            await trio.sleep_forever()
        await trio.sleep(self.after)
        raise RuntimeError(f"crash {len(self.started_at)}")


async def leaked_cancelled() -> trio.Cancelled:
    """A `trio.Cancelled` whose scope is gone, as leaked by a library."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            return error
    raise AssertionError


@dataclass(frozen=True)
class Question:
    """A question to `responder`."""

    text: str
    reply: Reply[str]


async def responder(mailbox: Mailbox[Question], *, task_status: trio.TaskStatus[None]) -> None:
    """Answers in upper case after a second; fails on "poison", never answers "later"."""
    task_status.started()
    kept = []
    async for message in mailbox:
        await trio.sleep(1)
        if message.text == "poison":
            raise RuntimeError("poisoned")
        if message.text == "later":
            kept.append(message)
        else:
            message.reply.set(message.text.upper())


def supervisor(
    *children: Child | Supervisor,
    name: str = "service",
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    budget: RestartBudget = THREE_PER_MINUTE,
    backoff: Backoff = NO_PAUSE,
) -> Supervisor:
    return Supervisor(name, children, strategy=strategy, budget=budget, backoff=backoff)


@asynccontextmanager
async def running(tree: Supervisor) -> AsyncIterator[Supervisor]:
    """Runs `tree` around the block; limited to an hour of virtual time."""
    with trio.fail_after(3600):
        async with trio.open_nursery() as nursery:
            await nursery.start(tree.run)
            yield tree
            tree.stop()


def scripted(names: Sequence[str], events: list[str]) -> dict[str, Scripted]:
    return {name: Scripted(name, events) for name in names}


def to_children(scripts: dict[str, Scripted]) -> list[Child]:
    return [Child(name, script.run) for name, script in scripts.items()]


def state(tree: Supervisor, *path: str) -> State:
    info = tree.inspect()
    for name in path:
        info = next(child for child in info.children if child.name == name)
    return info.state
