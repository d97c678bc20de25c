"""A Redis Cluster, and Sentinels, while primaries fail and slots move, with real servers.

A leader writes a candle every 50 ms meanwhile, and a gateway follows: each close comes once.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from smarttrade.store.redis_database import RedisDatabase
from tests.fakes.database import BINANCE
from tests.fakes.followed import followed
from tests.fakes.redis_cluster import META, Cluster, ClusterServer, SlotMove
from tests.fakes.redis_sentinel import Sentinels
from tests.fakes.redis_server import redis_binary


@pytest.fixture(params=["cluster", "sentinels"])
def servers(request: pytest.FixtureRequest) -> Cluster | Sentinels:
    found: Cluster | Sentinels = request.getfixturevalue(request.param)
    return found


def connect(servers: Cluster | Sentinels) -> RedisDatabase:
    return RedisDatabase(
        servers.url, "smarttrade", timeout=1.0, stream_length=1000, exchange=BINANCE
    )


async def test_primary_is_killed(servers: Cluster | Sentinels) -> None:
    """With one of three Sentinels: the other two agree without it."""
    async with followed(partial(connect, servers)) as both:
        killed = servers.primary()
        if isinstance(servers, Sentinels):
            servers.sentinels[2].kill()
        killed.kill()
        await both.until_followed()
        assert servers.primary() is not killed
        killed.start()
        await trio.sleep(1)


@pytest.mark.slow
async def test_primary_is_frozen_and_comes_back_as_a_replica(servers: Cluster | Sentinels) -> None:
    async with followed(partial(connect, servers)) as both:
        frozen = servers.primary()
        frozen.freeze()
        await both.until_followed()
        frozen.thaw()
        await trio.sleep(2)


async def test_replica_is_promoted_by_hand(servers: Cluster | Sentinels) -> None:
    async with followed(partial(connect, servers)) as both:
        before = servers.primary()
        servers.promote()
        await both.until_followed()
        with trio.fail_after(20):
            while servers.primary() is before:
                await trio.sleep(0.1)


@pytest.mark.parametrize("is_new", [False, True], ids=["to a primary", "to a node without slots"])
async def test_slot_is_moved(cluster: Cluster, tmp_path: Path, *, is_new: bool) -> None:
    with ClusterServer(redis_binary(), tmp_path / "new", 1000) as new:
        if is_new:
            cluster.add_empty(new)
        source = cluster.primary()
        to = new if is_new else next(each for each in cluster.servers[:3] if each is not source)
        async with followed(partial(connect, cluster)) as both:
            move = SlotMove(cluster, META, to)
            move.begin()
            await both.until_followed()  # nothing has moved yet
            first, *others = move.left()
            move.move(first)
            await trio.sleep(0.5)
            move.move(*others)
            await trio.sleep(0.5)
            move.end()
            assert cluster.primary() is to


@pytest.mark.slow
async def test_nodes_of_the_url_are_gone_while_it_runs(cluster: Cluster) -> None:
    """The others are known by then."""
    async with followed(partial(connect, cluster)) as both:
        for each in cluster.servers[:3]:
            cluster.servers[cluster.servers.index(each) + 3].ask("CLUSTER FAILOVER")
        await trio.sleep(2)
        await both.until_followed()
        for each in cluster.servers[:3]:
            each.kill()
        both.reconnect()
