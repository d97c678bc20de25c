"""The front end as a child of the tree: listens, serves, and stops on request."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import trio

from actors import Child, Fatal

from ..session.draining import Draining
from .access import Access
from .app import create_app
from .server.accept import serve_web
from .server.sockets import CannotListenError
from .server_limits import ServerLimits
from .services import Services

Listen = Callable[[], Awaitable[Sequence[trio.abc.Listener[Any]]]]
"""Begins to listen where clients connect. Raises `CannotListenError`."""


class CannotServe(Fatal):
    """The address to serve on cannot be used; the message says what to do."""


class FrontEnd:
    """Each start gets an application, a drain, and what is in files of its own."""

    def __init__(
        self,
        services: Services,
        listen: Listen,
        limits: ServerLimits,
        *,
        drain_timeout: float,
        access: Callable[[], Access],
        tls: Callable[[], ssl.SSLContext | None],
    ) -> None:
        self._services = services
        self._listen = listen
        self._limits = limits
        self._drain_timeout = drain_timeout
        self._access = access
        self._tls = tls
        self._draining = Draining()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._draining = Draining()
        app = create_app(replace(self._services, draining=self._draining))
        access, ssl_context = self._access(), self._tls()
        try:
            listeners = await self._listen()
        except CannotListenError as error:
            raise CannotServe(str(error)) from error
        await serve_web(
            app,
            listeners,
            limits=self._limits,
            counters=self._services.counters.server,
            draining=self._draining.begun,
            drain_timeout=self._drain_timeout,
            access=access,
            ssl_context=ssl_context,
            task_status=task_status,
        )

    def drain(self) -> None:
        self._draining.set()


def build_web(
    services: Services,
    listen: Listen,
    limits: ServerLimits,
    *,
    drain_timeout: float,
    access: Callable[[], Access],
    tls: Callable[[], ssl.SSLContext | None],
) -> Child:
    """The actor `web`, not running yet. `drain_timeout` is in seconds."""
    front_end = FrontEnd(
        services, listen, limits, drain_timeout=drain_timeout, access=access, tls=tls
    )
    # A second more: the server itself ends what has not drained in time.
    return Child("web", front_end.run, stop=front_end.drain, stop_timeout=drain_timeout + 1)
