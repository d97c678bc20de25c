"""What may be wrong towards a Cluster, or a primary behind Sentinels: redis-py is part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar
from unittest.mock import patch

from redis.exceptions import RedisError

import smarttrade.store.redis_client as client_module
from smarttrade.store.database import Batch, DatabaseUnavailable, Leading
from smarttrade.store.journal.actor import _Writer
from smarttrade.store.journal.reconciler import Reconciler
from smarttrade.store.redis_client import RedisClient
from smarttrade.store.redis_database import RedisDatabase

T = TypeVar("T")


@contextmanager
def losses_unnoticed() -> Iterator[None]:
    """A leader that leads again, or still, believes that what it has written is there."""
    write, begin = RedisDatabase.write, _Writer._begin_to_lead

    async def believe(
        self: RedisDatabase, leader: str, epoch: int, lease: float, batch: Batch
    ) -> Any:
        groups = [group._replace(expected=-1) for group in batch.groups]
        return await write(
            self, leader, epoch, lease, replace(batch, written=0, groups=groups, state_digest="")
        )

    async def begin_as_before(self: _Writer, claim: Leading) -> None:
        await begin(self, claim._replace(written=max(claim.written, self._journal.written)))

    async def nothing(_: Reconciler) -> None:
        pass

    with (
        patch.object(RedisDatabase, "write", believe),
        patch.object(_Writer, "_begin_to_lead", begin_as_before),
        patch.object(Reconciler, "verify_some", nothing),
    ):
        yield


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
