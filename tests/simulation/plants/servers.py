"""What may be wrong towards a Cluster, or a primary behind Sentinels: redis-py is part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from redis.exceptions import RedisError

import smarttrade.store.redis_client as client_module
from smarttrade.store.database import DatabaseUnavailable
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
