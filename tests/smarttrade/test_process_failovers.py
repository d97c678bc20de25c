"""Processes around a Redis Cluster, and around Sentinels, while servers and ingests are killed.

The servers fail over as docs/operations.md recommends: after 5 s.
"""

from __future__ import annotations

import operator
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.fakes.deployment import SERIES, Processes
from tests.fakes.processes import Client, until
from tests.fakes.redis_cluster import META, Cluster, SlotMove
from tests.fakes.redis_sentinel import Sentinels

pytestmark = pytest.mark.slow


@pytest.fixture
def failed_after() -> int:
    return 5000


class Watched:
    """Two ingests, two gateways, and a client of each gateway."""

    def __init__(self, processes: Processes, shards: int = 1) -> None:
        self._processes = processes
        start = partial(processes.start, SMARTTRADE_SHARDS=str(shards))
        self._ingests = [start("ingest") for _ in range(2)]
        self._gateways = [start("gateway") for _ in range(2)]
        self._clients = [Client(*SERIES) for _ in self._gateways]

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        await self._processes.simulator.until("/api/v3/time", lambda _: True)
        for program in (*self._ingests, *self._gateways):
            await program.ready()
        async with (
            self._clients[0].connected(self._gateways[0].url),
            self._clients[1].connected(self._gateways[1].url),
        ):
            await self.until_live()
            task_status.started()
            await trio.sleep_forever()

    async def kill_leader(self) -> None:
        """Of the first shard, at least."""
        (leader,) = [each for each in self._ingests if _leads(await each.get("/system"))]
        leader.kill()

    async def until_live(self) -> float:
        """Wait until both clients have updates again; seconds of the longest pause before."""
        await trio.sleep(2)
        before = [client.updates for client in self._clients]
        await until(
            lambda: all(map(operator.gt, [client.updates for client in self._clients], before))
        )
        pause = max(client.longest_pause for client in self._clients)
        for client in self._clients:
            client.longest_pause = 0.0
        return pause

    async def assert_complete(self) -> None:
        await trio.sleep(6)  # two minutes of the exchange
        for program in self._gateways:
            await program.ready()
            await self._processes.until_served(program)
        for client in self._clients:
            await self._processes.until_received(client)
            assert client.faults == []


def _leads(answer: Any) -> bool:
    store = answer["store"]
    first: str = store.get("shards", [store])[0]["role"]
    return first == "leading"


@asynccontextmanager
async def watched(url: str, directory: Path, shards: int = 1) -> AsyncGenerator[Watched]:
    """Such processes around a Redis; in the end, each has every candle."""
    processes = Processes(url, directory)
    try:
        found = Watched(processes, shards)
        async with trio.open_nursery() as nursery:
            await nursery.start(found.run)
            yield found
            await found.assert_complete()
            nursery.cancel_scope.cancel()
    finally:
        processes.kill()


@pytest.mark.parametrize("shards", [1, 3])
async def test_cluster(cluster: Cluster, tmp_path: Path, shards: int) -> None:
    async with watched(cluster.url, tmp_path, shards) as processes:
        killed = cluster.primary()
        killed.kill()
        after_kill = await processes.until_live()
        killed.start()
        move = SlotMove(cluster, META, next(s for s in cluster.servers[:3] if s is not killed))
        began = time.monotonic()
        move.begin()
        for key in move.left():
            move.move(key)
        move.end()
        moving = time.monotonic() - began
        after_move = await processes.until_live()
        await processes.kill_leader()
        after_leader = await processes.until_live()
        print(f"primary killed {after_kill:.1f} s, slot moved in {moving:.2f} s:")
        print(f"{after_move:.1f} s, leader killed {after_leader:.1f} s")


async def test_sentinels(sentinels: Sentinels, tmp_path: Path) -> None:
    async with watched(sentinels.url, tmp_path) as processes:
        killed = sentinels.primary()
        killed.kill()
        after_kill = await processes.until_live()
        killed.start()
        await processes.kill_leader()
        after_leader = await processes.until_live()
        print(f"primary killed {after_kill:.1f} s, leader killed {after_leader:.1f} s")
