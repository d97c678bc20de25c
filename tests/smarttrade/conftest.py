"""Servers and processes for tests that start the program, and their end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.deployment import SPEED, Deployment
from tests.fakes.redis_cluster import Cluster, running_cluster
from tests.fakes.redis_sentinel import Sentinels, running_sentinels
from tests.fakes.redis_server import RedisServer, redis_binary


@pytest.fixture
def speed() -> int:
    """How fast the time of a deployment's exchange runs."""
    return SPEED


@pytest.fixture
async def deployment(tmp_path: Path, speed: int) -> AsyncIterator[Deployment]:
    """With an exchange that answers."""
    with RedisServer(redis_binary(), tmp_path) as redis:
        made = Deployment(redis, tmp_path, speed)
        try:
            await made.simulator.until("/api/v3/time", lambda _: True)
            yield made
        finally:
            made.kill()


@pytest.fixture
def failed_after() -> int:
    """Milliseconds after which a server of Redis that does not answer counts as failed."""
    return 1000


@pytest.fixture
def cluster(tmp_path: Path, failed_after: int) -> Iterator[Cluster]:
    with running_cluster(redis_binary(), tmp_path, node_timeout=failed_after) as cluster:
        yield cluster


@pytest.fixture
def sentinels(tmp_path: Path, failed_after: int) -> Iterator[Sentinels]:
    with running_sentinels(redis_binary(), tmp_path, down_after=failed_after) as sentinels:
        yield sentinels
