"""What is looked at all the time, inside the processes and at the exchange."""

from __future__ import annotations

from collections import deque
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import trio

from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.store.memory import MemoryStore

from .process import Process, ProcessRun
from .violation import Violation

if TYPE_CHECKING:
    from .clients import Client
    from .world import World

STRIDE = 3  # of so many series one is looked at each time
WATCH_INTERVAL = 7.3  # seconds; no multiple of anything
HEALTHY_WITHIN = 30.0
"""Seconds. A close that was lost in a cut is read 15 s after the candle's end, as an earlier answer
would not be final, and a client that pauses reads within 9."""
MAX_FORBIDDEN = 50
"""Requests within a minute to hosts that answer 403: as many as may be under way at once to two
hosts, and some. A service that does not back off sends hundreds."""
IN_FLIGHT = 0.05
"""Seconds for which a request may have been under way when its sender was blocked."""


class Requests:
    """Requests to the exchange by process, as far as limits are concerned."""

    def __init__(self) -> None:
        self.blocked: dict[str, tuple[float, float, ProcessRun | None]] = {}
        """By process: since when and until when it must not ask, and the run that it concerns."""
        self.count = 0
        self._forbidden: dict[tuple[str, ProcessRun | None], deque[float]] = {}

    def asked(self, process: Process) -> None:
        """A request has arrived."""
        self.count += 1
        since, until, current = self.blocked.get(process.name, (0.0, 0.0, None))
        now = trio.current_time()
        if current is process.current and since + IN_FLIGHT < now < until - 0.05:
            text = f"{process.name} asks at {now:.2f}; blocked at {since:.2f} until {until:.2f}"
            raise Violation("budgets", text)

    def forbidden(self, process: Process) -> None:
        """A firewall has answered with 403."""
        key = process.name, process.current
        times = self._forbidden.setdefault(key, deque(maxlen=MAX_FORBIDDEN))
        now = trio.current_time()
        if len(times) == MAX_FORBIDDEN and now < times[0] + 60:
            text = f"{process.name} has asked a firewall {MAX_FORBIDDEN} times within a minute"
            raise Violation("budgets", text)
        times.append(now)

    def block(self, process: Process, seconds: float) -> None:
        now = trio.current_time()
        since, until, current = self.blocked.get(process.name, (now, now, None))
        if current is not process.current or until <= now:
            since = now
        self.blocked[process.name] = since, max(until, now + seconds), process.current


async def watch(world: World) -> None:
    """Until cancelled. Raises `Violation`."""
    seen: dict[tuple[ProcessRun, Series], int] = {}
    stores: dict[ProcessRun, MemoryStore | None] = {}
    for look in count():
        for process in world.processes:
            current = process.current
            if current is None or current.is_dead:
                continue
            _watch_mailboxes(current)
            if look % 4 == 0:
                _watch_outboxes(current)
            if stores.get(current) is None:
                stores[current] = memory_of(current)
            _watch_windows(current, stores[current], seen, look)
        _watch_budgets(world)
        _watch_healthy(world)
        await trio.sleep(WATCH_INTERVAL)


def _watch_mailboxes(current: ProcessRun) -> None:
    for name, info in current.actors.items():
        if info.mailbox_depth is not None and info.mailbox_depth > (info.mailbox_capacity or 0):
            raise Violation("bounded", f"{current.process.name}: {name} has {info.mailbox_depth}")


def _watch_outboxes(current: ProcessRun) -> None:
    most = current.process.settings.max_pending_bytes
    for outbox in outboxes(current):
        # The message that broke the limit is let in before the outbox ends.
        if outbox.pending_bytes > most + 256 * 1024:
            raise Violation("bounded", f"{current.process.name}: {outbox.pending_bytes} pending")


def outboxes(current: ProcessRun) -> list[Any]:
    found = []
    for task in current.tasks("web"):
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


def memory_of(current: ProcessRun) -> MemoryStore | None:
    """The store's windows; found through the store's task."""
    for task in current.tasks("store")[:1]:
        found = _deepest(task.coro, "store")
        if isinstance(found, MemoryStore):
            return found
    return None


def _watch_windows(
    current: ProcessRun,
    memory: MemoryStore | None,
    seen: dict[tuple[ProcessRun, Series], int],
    look: int,
) -> None:
    if memory is None:
        return
    for place, (series, book) in enumerate(memory._series.items()):
        if (place + look) % STRIDE:
            continue
        window = book.window
        times = [candle.open_time for candle in window]
        if len(times) > WINDOW_SIZE or window.buffered > WINDOW_SIZE:
            text = f"{current.process.name}: {series} has {len(times)}, and {window.buffered} held"
            raise Violation("ascending-and-capped", text)
        if any(a >= b for a, b in pairwise(times)):
            raise Violation(
                "ascending-and-capped", f"{current.process.name}: {series} not ascending"
            )
        newest = times[-1] if times else 0
        before = seen.get((current, series), 0)
        if newest < before:
            text = f"{current.process.name}: {series} went from {before} to {newest}"
            raise Violation("never-back", text)
        seen[current, series] = newest


def _watch_healthy(world: World) -> None:
    """Faults of other symbols are not noticed."""
    for client in world.steady if not world.is_calm else ():
        if trio.current_time() < client.connected_at + 2 * HEALTHY_WITHIN:
            continue
        for series in client.wanted:
            if series.symbol in world.plan.healthy:
                _check_chart(world, client, series)


def _check_chart(world: World, client: Client, series: Series) -> None:
    chart = client.view.charts.get(series)
    newest = world.truth.newest_closed(series, HEALTHY_WITHIN)
    if chart is None or min(chart.candles, default=0) <= newest not in chart.closed:
        text = f"{client.name}: {series} lacks {newest} at {world.exchange.now()}"
        raise Violation("healthy-unaffected", text)


def _watch_budgets(world: World) -> None:
    limits = world.exchange.limits
    for peer, used in limits.used_weights().items():
        if used > limits.weight_limit:
            raise Violation("budgets", f"{peer} used {used} of its weight")
    for peer in limits.banned():
        raise Violation("budgets", f"{peer} was banned")
    if 429 in world.exchange.stats.handshakes and not world.figures.faults["handshake_status"]:
        raise Violation("budgets", "too many attempts to connect")
