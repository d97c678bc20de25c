from __future__ import annotations

import gc
import weakref

from smarttrade.store.redis_address import redis_address
from smarttrade.store.redis_client import open_client
from tests.fakes.redis_cluster import Cluster


def test_closed_client_of_a_cluster_does_not_wait_for_the_garbage_collector(
    shared_cluster: Cluster,
) -> None:
    """A Redis that is away is tried again and again, with a new client each time."""
    client = open_client(redis_address(shared_cluster.url), 2.0)
    assert len(client.nodes) == 6
    nodes = weakref.ref(client.redis.nodes_manager)
    gc.disable()
    try:
        client.close()
        assert nodes() is None
    finally:
        gc.enable()
