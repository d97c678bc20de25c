"""The application's tasks: one per request or WebSocket, each with a queue from its client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

from ...session.outbox import Outbox
from .app_queue import AppQueue
from .context import Edge, FloodedError

log = structlog.get_logger(__name__)


class AppTasks(TaskGroup):
    """Runs the application once per request or WebSocket, in the connection's nursery."""

    def __init__(self, nursery: trio.Nursery, edge: Edge, outbox: Outbox) -> None:
        super().__init__()
        self._nursery = nursery
        self._edge = edge
        self._outbox = outbox

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        limits = config.max_app_queue_size, self._edge.limits.message_size
        task = AppTask(self._edge, AppQueue(*limits, self._outbox.count_received))
        assert self._nursery is not None
        self._nursery.start_soon(task.run, app, scope, send)
        return task.put


class AppTask:
    __slots__ = ("_edge", "_events", "_running")

    def __init__(self, edge: Edge, events: AppQueue) -> None:
        self._events = events
        self._edge = edge
        self._running = trio.CancelScope()

    async def run(
        self,
        app: AppWrapper,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> None:
        """Run the application; what it raises ends this request or session, and is logged."""
        try:
            with self._running:
                receive = self._events.receive
                await app(scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)
        except Exception:
            self._edge.counters.failed += 1
            log.exception("application_failed", path=scope.get("path"))
        finally:
            self._events.close()
            await send(None)

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Give the application what the client sent.

        Raises:
            FloodedError: it took nothing for too long; it is cancelled.
        """
        try:
            self._events.put_nowait(event)
        except trio.BrokenResourceError:
            return  # it ended before
        except trio.WouldBlock:
            await self._wait_for_room(event)
        if event["type"] in {"websocket.disconnect", "http.disconnect"}:
            self._running.deadline = trio.current_time() + self._edge.limits.app_timeout

    async def _wait_for_room(self, event: ASGIReceiveEvent) -> None:
        if event["type"] in {"websocket.disconnect", "http.disconnect"}:
            self._running.cancel()
            return
        with trio.move_on_after(self._edge.limits.app_timeout) as waiting:
            with suppress(trio.BrokenResourceError):
                await self._events.put(event)
        if waiting.cancelled_caught:
            self._edge.counters.flooded += 1
            self._running.cancel()
            raise FloodedError
