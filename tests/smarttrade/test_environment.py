"""What a process reaches: simulated candles never meet real ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import smarttrade.environment as environment_module
from smarttrade.environment import open_environment
from smarttrade.feed.network import Network
from smarttrade.role import Role
from smarttrade.settings import Settings
from tests.fakes.redis_server import RedisServer, redis_binary


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(redis_binary(), tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """Empty, and at the default address."""
    redis_server.client().flushall()
    monkeypatch.setattr(environment_module, "DEFAULT_REDIS_URL", redis_server.url)
    return redis_server


async def keys_written(
    redis: RedisServer, role: Role, *, simulated: bool, redis_url: str | None = None
) -> set[str] | None:
    """The keys after a process has taken the lease; None if it uses no Redis."""
    settings = Settings(redis_url=redis_url, redis_namespace="candles")
    async with open_environment(
        settings, role, None, simulated=simulated, network=Network.direct()
    ) as environment:
        if not environment.databases:
            return None
        for database in environment.databases:
            await database.acquire("me", 5)
    return {
        str(key, "ascii").strip("{").partition(":")[0].rstrip("}")
        for key in redis.client().scan_iter()
    }


@pytest.mark.parametrize("role", [Role.SERVE, Role.INGEST])
async def test_simulated_candles_have_a_namespace_of_their_own(
    redis: RedisServer, role: Role
) -> None:
    found = await keys_written(redis, role, simulated=True, redis_url=redis.url)
    assert found == {"candles-simulated"}


async def test_simulated_serve_does_not_look_for_a_redis(redis: RedisServer) -> None:
    assert await keys_written(redis, Role.SERVE, simulated=True) is None


async def test_simulated_ingest_uses_the_default_redis_in_a_namespace_of_its_own(
    redis: RedisServer,
) -> None:
    assert await keys_written(redis, Role.INGEST, simulated=True) == {"candles-simulated"}


async def test_real_serve_uses_the_default_redis_if_it_answers(redis: RedisServer) -> None:
    assert await keys_written(redis, Role.SERVE, simulated=False) == {"candles"}


async def test_memory_store_wins_over_a_redis(redis: RedisServer) -> None:
    settings = Settings(redis_url=redis.url, use_memory_store=True)
    async with open_environment(
        settings, Role.SERVE, None, simulated=False, network=Network.direct()
    ) as environment:
        assert not environment.databases
