"""Redis in worker threads, as redis-py cannot be awaited by Trio.

Each lane has a thread at a time, and a client of its own, so that none waits for another's. A call
that is cancelled is left behind and keeps its lane until it has ended.

After any failure every lane reconnects, as the name may lead to another server by now, and the
library puts a connection back whose server has refused a command: one that leads to a demoted
primary would be refused until this process ends. A server that is left alive by a fail-over refuses
nothing, so no client of a name or of Sentinels is used for longer than `MAX_AGE`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, TypeVar

import trio

from .database import DatabaseUnavailable
from .redis_address import ClusterAddress, Host, redis_address

if TYPE_CHECKING:
    from .redis_client import RedisClient

T = TypeVar("T")

MAX_AGE = 15.0
"""Seconds for which a client is used, less up to a fifth, so that processes take turns. A Cluster's
is used until a failure: a primary that its cluster has left refuses by itself."""


class RedisConnections:
    """What all lanes to the Redis at `url` have in common."""

    def __init__(self, url: str, timeout: float) -> None:
        self._address = redis_address(url)
        self._timeout = timeout
        self._nodes: Sequence[Host] = ()
        self.generation = 0

    def reconnect(self) -> None:
        """Every lane's next call has a new connection. From any thread."""
        self.generation += 1

    def open(self) -> RedisClient:
        """In a worker thread."""
        from .redis_client import open_client  # takes as long to import as Trio

        client = open_client(self._address, self._timeout, self._nodes)
        self._nodes = client.nodes
        return client

    def max_age(self) -> float:
        is_cluster = isinstance(self._address, ClusterAddress)
        return inf if is_cluster else MAX_AGE * (1 - 0.2 * random.random())


class RedisLane:
    """Calls one after the other."""

    def __init__(self, connections: RedisConnections) -> None:
        self._connections = connections
        self._limiter = trio.CapacityLimiter(1)
        self._client: RedisClient | None = None
        self._generation = 0
        self._expires_at = 0.0

    async def run(self, call: Callable[[RedisClient], T]) -> T:
        """Raises: DatabaseUnavailable: whether anything was done is unknown."""
        return await trio.to_thread.run_sync(
            self._call, call, limiter=self._limiter, abandon_on_cancel=True
        )

    def _call(self, call: Callable[[RedisClient], T]) -> T:
        from .redis_client import translated

        try:
            return translated(lambda: call(self._current()))
        except DatabaseUnavailable:
            self._connections.reconnect()
            raise

    def _current(self) -> RedisClient:
        generation = self._connections.generation
        if self._client is not None and (
            generation != self._generation or time.monotonic() >= self._expires_at
        ):
            self._client.close()
            self._client = None
        if self._client is None:
            self._generation = generation
            self._client = self._connections.open()
            self._expires_at = time.monotonic() + self._connections.max_age()
        return self._client
