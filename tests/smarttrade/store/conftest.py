from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.redis_cluster import Cluster, running_cluster
from tests.fakes.redis_sentinel import Sentinels, running_sentinels
from tests.fakes.redis_server import RedisServer, binaries, redis_binary


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


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(redis_binary(), tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def shared_sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with running_sentinels(redis_binary(), tmp_path_factory.mktemp("sentinels")) as sentinels:
        yield sentinels


@pytest.fixture
def redis_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """The URL of an empty Redis of one kind: a server's name, `cluster` or `sentinel`."""
    with ExitStack() as stack:

        def url_of(kind: str) -> str:
            if kind in ("cluster", "sentinel"):
                name = "shared_cluster" if kind == "cluster" else "shared_sentinels"
                several: Cluster | Sentinels = request.getfixturevalue(name)
                several.flush()
                return several.url
            server = RedisServer(dict(binaries())[kind], tmp_path)
            return stack.enter_context(server).url

        yield url_of


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server to do anything to."""
    with RedisServer(redis_binary(), tmp_path) as server:
        yield server


def pytest_generate_tests(metafunc: Any) -> None:
    """A test of the contract runs in virtual time, and against every server and form of Redis."""
    if "database_kind" in metafunc.fixturenames:
        names = [name for name, _ in binaries()]
        metafunc.parametrize("database_kind", ["virtual", *names, "cluster", "sentinel"])
