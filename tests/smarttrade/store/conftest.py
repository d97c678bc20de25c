from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.redis_server import RedisServer, binaries


@pytest.fixture(
    scope="session", params=[path for _, path in binaries()], ids=[name for name, _ in binaries()]
)
def shared_redis(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """One server for all tests that leave it as they found it, but for its contents."""
    with RedisServer(request.param, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """A server with nothing in it. The tests that use it run once for each version there is."""
    with shared_redis.client() as client:
        client.flushall()
        client.config_set("maxmemory", 0)
    return shared_redis


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server to do anything to."""
    with RedisServer(next(binaries())[1], tmp_path) as server:
        yield server


def pytest_generate_tests(metafunc: Any) -> None:
    """A test of the contract runs against every server there is, and the one in virtual time."""
    if "database_kind" in metafunc.fixturenames:
        names = [name for name, _ in binaries()]
        metafunc.parametrize("database_kind", ["virtual", *names])
