"""A Redis Cluster, and Sentinels, whose servers fail a few seconds apart, whatever comes.

pytest -m slow tests/smarttrade/store/test_random_failovers.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from random import Random

import pytest
import trio

from smarttrade.store.redis_database import RedisDatabase
from tests.fakes.database import BINANCE
from tests.fakes.followed import followed
from tests.fakes.redis_cluster import META, Cluster, SlotMove
from tests.fakes.redis_sentinel import Sentinels
from tests.fakes.redis_server import RedisServer

pytestmark = pytest.mark.slow

FAULTS = 12
SEEDS = (1, 2)

Fault = Callable[[Random], None]


def _kill(server: RedisServer, rng: Random) -> None:
    server.kill()
    time.sleep(rng.uniform(0, 4))
    server.start()


def _freeze(server: RedisServer, rng: Random) -> None:
    server.freeze()
    time.sleep(rng.uniform(0, 4))
    server.thaw()


def _command(server: RedisServer, *words: str) -> None:
    with server.client() as client:
        client.execute_command(*words)


def _move(cluster: Cluster, rng: Random) -> None:
    source = cluster.primary()
    others = [each for each in cluster.servers if each is not source]
    to = rng.choice([each for each in others if each.info("replication")["role"] == "master"])
    move = SlotMove(cluster, META, to)
    move.begin()
    while left := move.left():
        move.move(left[0])
        time.sleep(rng.uniform(0, 0.2))
    move.end()


def faults_of(servers: Cluster | Sentinels) -> Mapping[str, Fault]:
    primary = servers.primary
    faults: dict[str, Fault] = {
        "primary killed": lambda rng: _kill(primary(), rng),
        "primary frozen": lambda rng: _freeze(primary(), rng),
        "promoted by hand": lambda _: servers.promote(),
        "scripts lost": lambda _: _command(primary(), "SCRIPT FLUSH"),
        "connections killed": lambda _: _command(primary(), "CLIENT KILL", "TYPE", "normal"),
    }
    if isinstance(servers, Cluster):
        faults["any node killed"] = lambda rng: _kill(rng.choice(servers.servers), rng)
        faults["slot moved"] = lambda rng: _move(servers, rng)
    else:
        faults["any Sentinel killed"] = lambda rng: _kill(rng.choice(servers.sentinels), rng)
    return faults


async def survive(servers: Cluster | Sentinels, seed: int) -> None:
    rng, faults = Random(seed), faults_of(servers)
    connect = partial(
        RedisDatabase, servers.url, "smarttrade", timeout=1.0, stream_length=1000, exchange=BINANCE
    )
    async with followed(connect, max_pause=inf) as both:
        for name in rng.choices(sorted(faults), k=FAULTS):
            both.longest_pause = 0.0
            try:
                await trio.to_thread.run_sync(faults[name], rng)
            except Exception as error:  # noqa: BLE001 - not possible before the last one is over
                print(f"{name}: {error!r:.100}")
            await both.until_followed()
            await trio.sleep(rng.uniform(0.5, 3))
            print(f"{name}: longest pause {both.longest_pause:.1f} s")


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_close_is_lost_or_repeated_in_a_cluster(cluster: Cluster, seed: int) -> None:
    await survive(cluster, seed)


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_close_is_lost_or_repeated_with_sentinels(sentinels: Sentinels, seed: int) -> None:
    await survive(sentinels, seed)
