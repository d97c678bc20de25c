"""Processes around a Redis Cluster, and around Sentinels, while servers and ingests are killed.

The servers fail over as docs/operations.md recommends: after 5 s.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.fakes.processes import Client
from tests.fakes.redis_cluster import Cluster, SlotMove, running_cluster
from tests.fakes.redis_sentinel import Sentinels, running_sentinels
from tests.fakes.redis_server import binaries
from tests.smarttrade.test_processes import SERIES, Processes

pytestmark = pytest.mark.slow

META = "{smarttrade:0}:meta"
FAILED_AFTER = 5000  # ms


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(next(binaries())[1], tmp_path, node_timeout=FAILED_AFTER) as cluster:
        yield cluster


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    with running_sentinels(next(binaries())[1], tmp_path, down_after=FAILED_AFTER) as sentinels:
        yield sentinels


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
        with trio.fail_after(40):
            while not all(
                client.updates > updates
                for client, updates in zip(self._clients, before, strict=True)
            ):
                await trio.sleep(0.01)
        pause = max(client.longest_pause for client in self._clients)
        for client in self._clients:
            client.longest_pause = 0.0
        return pause

    async def assert_complete(self) -> None:
        await trio.sleep(6)  # two minutes of the exchange
        for program in self._gateways:
            await program.ready()
        await trio.sleep(1)
        for client in self._clients:
            assert client.faults == []
            assert await self._processes.client_differences(client) == []
        for program in self._gateways:
            assert await self._processes.served_differences(program) == []


def _leads(answer: Any) -> bool:
    store = answer["store"]
    first: str = store.get("shards", [store])[0]["role"]
    return first == "leading"


@pytest.mark.parametrize("shards", [1, 3])
async def test_cluster(cluster: Cluster, tmp_path: Path, shards: int) -> None:
    processes = Processes(cluster.url, tmp_path)
    try:
        watched = Watched(processes, shards)
        async with trio.open_nursery() as nursery:
            await nursery.start(watched.run)
            killed = cluster.primary_of(META)
            killed.kill()
            after_kill = await watched.until_live()
            killed.start()
            move = SlotMove(cluster, META, next(s for s in cluster.servers[:3] if s is not killed))
            began = time.monotonic()
            move.begin()
            for key in move.left():
                move.move(key)
            move.end()
            moving = time.monotonic() - began
            after_move = await watched.until_live()
            await watched.kill_leader()
            after_leader = await watched.until_live()
            print(f"primary killed {after_kill:.1f} s, slot moved in {moving:.2f} s:")
            print(f"{after_move:.1f} s, leader killed {after_leader:.1f} s")
            await watched.assert_complete()
            nursery.cancel_scope.cancel()
    finally:
        for program in processes.programs:
            program.kill()


async def test_sentinels(sentinels: Sentinels, tmp_path: Path) -> None:
    processes = Processes(sentinels.url, tmp_path)
    try:
        watched = Watched(processes)
        async with trio.open_nursery() as nursery:
            await nursery.start(watched.run)
            killed = sentinels.primary()
            killed.kill()
            after_kill = await watched.until_live()
            killed.start()
            await watched.kill_leader()
            after_leader = await watched.until_live()
            print(f"primary killed {after_kill:.1f} s, leader killed {after_leader:.1f} s")
            await watched.assert_complete()
            nursery.cancel_scope.cancel()
    finally:
        for program in processes.programs:
            program.kill()
