"""What of redis-py and of threads is replaced while a world with such a Redis runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import redis.connection
import trio

import smarttrade.store.redis_database as database_module

from ..process import CURRENT_RUN, ProcessRun
from .greenlets import sleep, thread_runner
from .sockets import BlockingSocket, connect


@contextmanager
def redis_by_wire() -> Iterator[None]:
    """Around `trio.run`."""

    async def run_sync(*arguments: Any, **options: Any) -> Any:
        return await thread_runner(_current().process.spawn)(*arguments, **options)

    with (
        patch.object(trio.to_thread, "run_sync", run_sync),
        patch.object(time, "sleep", sleep),
        patch.object(database_module, "wall_clock", lambda: time.time()),  # noqa: PLW0108 - patched
        patch.object(redis.connection.Connection, "_connect", _connect),
    ):
        yield


def _connect(self: Any) -> BlockingSocket:
    site, current = _current().process.site_of_redis, _current()
    assert site is not None
    socket = connect(site, self.host, self.port, self.socket_connect_timeout, current)
    socket.settimeout(self.socket_timeout)
    return socket


def _current() -> ProcessRun:
    current = CURRENT_RUN.get()
    assert current is not None
    return current
