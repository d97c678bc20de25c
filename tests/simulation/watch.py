"""What is looked at all the time, inside the processes and at the exchange."""

from __future__ import annotations

from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import trio

from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.store.memory import MemoryStore

from .process import Life, Process
from .violation import Violation

if TYPE_CHECKING:
    from .world import World

EACH = 3  # of so many series one is looked at each time
LOOK_EVERY = 7.3  # seconds; no multiple of anything
IN_FLIGHT = 0.05
"""Seconds for which a request may have been on its way when its sender was told to stay away."""


class Requests:
    """Who asked the exchange what and when, as far as limits are concerned."""

    def __init__(self) -> None:
        self.blocked: dict[str, tuple[float, float, Life | None]] = {}
        """By process: since when, and until when it has to stay away."""
        self.count = 0

    def asked(self, process: Process) -> None:
        """A request has arrived."""
        self.count += 1
        since, until, life = self.blocked.get(process.name, (0.0, 0.0, None))
        now = trio.current_time()
        if life is process.life and since + IN_FLIGHT < now < until - 0.05:
            text = (
                f"{process.name} asks at {now:.2f}; told at {since:.2f} to wait until {until:.2f}"
            )
            raise Violation("budgets", text)

    def told_to_wait(self, process: Process, seconds: float) -> None:
        now = trio.current_time()
        since, until, life = self.blocked.get(process.name, (now, now, None))
        if life is not process.life or until <= now:
            since = now
        self.blocked[process.name] = since, max(until, now + seconds), process.life


async def watch(world: World) -> None:
    """For ever. Raises `Violation`."""
    seen: dict[tuple[Life, Series], int] = {}
    stores: dict[Life, MemoryStore | None] = {}
    for look in count():
        for process in world.processes:
            life = process.life
            if life is None or life.is_dead:
                continue
            _watch_mailboxes(life)
            if look % 4 == 0:
                _watch_outboxes(life)
            if stores.get(life) is None:
                stores[life] = memory_of(life)
            _watch_windows(life, stores[life], seen, look)
        _watch_budgets(world)
        await trio.sleep(LOOK_EVERY)


def _watch_mailboxes(life: Life) -> None:
    for name, info in life.actors.items():
        if info.mailbox_depth is not None and info.mailbox_depth > (info.mailbox_capacity or 0):
            raise Violation("bounded", f"{life.process.name}: {name} has {info.mailbox_depth}")


def _watch_outboxes(life: Life) -> None:
    most = life.process.settings.max_pending_bytes
    for outbox in outboxes(life):
        # The message that broke the limit is let in before the outbox ends.
        if outbox.pending_bytes > most + 256 * 1024:
            raise Violation("bounded", f"{life.process.name}: {outbox.pending_bytes} pending")


def outboxes(life: Life) -> list[Any]:
    found = []
    for task in life.tasks("web"):
        frame = task.coro.cr_frame
        if frame is not None and task.name.endswith("_take"):
            connection = _deepest(task.coro, "outbox")
            if connection is not None:
                found.append(connection)
    return found


def _deepest(coroutine: Any, name: str) -> Any:
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and name in frame.f_locals:
            return frame.f_locals[name]
        coroutine = getattr(coroutine, "cr_await", None)
    return None


def memory_of(life: Life) -> MemoryStore | None:
    """The store's windows; found by way of the store's task."""
    for task in life.tasks("store")[:1]:
        found = _deepest(task.coro, "store")
        if isinstance(found, MemoryStore):
            return found
    return None


def _watch_windows(
    life: Life, memory: MemoryStore | None, seen: dict[tuple[Life, Series], int], look: int
) -> None:
    if memory is None:
        return
    for place, (series, book) in enumerate(memory._series.items()):
        if (place + look) % EACH:
            continue
        window = book.window
        times = [candle.open_time for candle in window]
        if len(times) > WINDOW_SIZE or window.buffered > WINDOW_SIZE:
            text = f"{life.process.name}: {series} has {len(times)}, and {window.buffered} held"
            raise Violation("ascending-and-capped", text)
        if any(a >= b for a, b in pairwise(times)):
            raise Violation("ascending-and-capped", f"{life.process.name}: {series} not ascending")
        newest = times[-1] if times else 0
        before = seen.get((life, series), 0)
        if newest < before:
            text = f"{life.process.name}: {series} went from {before} to {newest}"
            raise Violation("never-back", text)
        seen[life, series] = newest


def _watch_budgets(world: World) -> None:
    limits = world.exchange.limits
    for peer, used in limits.used_weights().items():
        if used > limits.weight_limit:
            raise Violation("budgets", f"{peer} used {used} of its weight")
    for peer in limits.banned():
        raise Violation("budgets", f"{peer} was banned")
    if 429 in world.exchange.stats.handshakes and not world.figures.faults["handshake_status"]:
        raise Violation("budgets", "too many attempts to connect")
