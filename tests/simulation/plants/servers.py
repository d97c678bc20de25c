"""What may be wrong towards a Cluster, or a primary behind Sentinels: redis-py is part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from redis.exceptions import RedisError

import smarttrade.store.redis_client as client_module
from smarttrade.market.series import Series
from smarttrade.market.window_state import WindowState
from smarttrade.store.backlog import Backlog, PendingWrites
from smarttrade.store.database import DatabaseUnavailable
from smarttrade.store.journal.batches import Batches
from smarttrade.store.redis_client import RedisClient

T = TypeVar("T")


@contextmanager
def answers_awaited_for_good() -> Iterator[None]:
    """An answer that does not come is awaited until the connection ends."""
    open_client = client_module.open_client

    def without_limit(address: Any, within: float, known: Sequence[Any] = ()) -> RedisClient:
        client = open_client(address, within, known)
        pools = [client.redis.connection_pool] if hasattr(client.redis, "connection_pool") else []
        for pool in pools:
            pool.connection_kwargs["socket_timeout"] = None
        return client

    with patch.object(client_module, "open_client", without_limit):
        yield


@contextmanager
def cluster_errors_escape() -> Iterator[None]:
    """That no node of a Cluster answers is another exception than that a server does not."""

    def only_servers(call: Callable[[], T]) -> T:
        try:
            return call()
        except (RedisError, OSError) as error:
            raise DatabaseUnavailable(str(error)) from error

    with patch.object(client_module, "translated", only_servers):
        yield


@contextmanager
def lost_writes_forgotten() -> Iterator[None]:
    """What a promoted replica has counts as all that was written, if it ends with the same candle."""
    write, compare = Batches.write, Backlog.compare

    async def whatever_is_there(self: Batches, taken: PendingWrites) -> bool:
        self._journal.written = 0
        self._journal.lengths.clear()
        return await write(self, taken)

    def by_their_ends(self: Backlog, series: Series, stored: WindowState | None) -> None:
        mine = self._memory.state_of(series)
        if mine is None or stored is None or _end(mine) != _end(stored):
            compare(self, series, stored)
        self._uncompared.discard(series)

    with (
        patch.object(Batches, "write", whatever_is_there),
        patch.object(Backlog, "compare", by_their_ends),
    ):
        yield


def _end(state: WindowState) -> tuple[int, int]:
    """How many candles there are, and when the last one opens."""
    return len(state.candles), state.candles[-1].open_time if state.candles else 0
