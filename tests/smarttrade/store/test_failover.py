"""Redis fails over behind a name, with real servers: the next try leads to the new primary."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from smarttrade.market.candle import Candle
from smarttrade.store.database import Batch, DatabaseUnavailable, Group, Leading, Lost, Written
from smarttrade.store.redis_database import RedisDatabase
from tests.fakes.candles import BTC, candle
from tests.fakes.database import BINANCE
from tests.fakes.forwarder import forwarder_to
from tests.fakes.redis_server import RedisServer, redis_binary

LEASE = 60.0


def database(url: str) -> RedisDatabase:
    return RedisDatabase(url, "smarttrade", timeout=2.0, stream_length=1000, exchange=BINANCE)


def batch(number: int, *candles: Candle, written: int = 0) -> Batch:
    group = Group(BTC, candles, [False] * len(candles))
    return Batch(number, written, [group], None, is_heartbeat=False)


async def synchronize(replica: RedisServer, primary: RedisServer) -> None:
    with replica.client() as client, primary.client() as source:
        client.replicaof("127.0.0.1", primary.port)
        while client.info("replication")["master_link_status"] != "up":
            await trio.sleep(0.02)
        source.set("synchronized", "1")
        while not client.exists("synchronized"):
            await trio.sleep(0.02)


async def test_old_primary_that_lives_on_as_a_replica_is_left(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with RedisServer(redis_binary(), tmp_path) as other, trio.fail_after(60):
        async with forwarder_to(own_redis.port) as name:
            redis = database(name.url)
            assert await redis.acquire("me", LEASE) == Leading(1, 0)
            assert await redis.write("me", 1, LEASE, batch(1, candle(0))) == Written((1,))
            await synchronize(other, own_redis)
            with other.client() as promoted, own_redis.client() as demoted:
                promoted.replicaof("NO", "ONE")
                name.target = other.port
                demoted.replicaof("127.0.0.1", other.port)
            with pytest.raises(DatabaseUnavailable, match=r"READONLY|read only"):
                await redis.write("me", 1, LEASE, batch(2, candle(1), written=1))
            again = batch(3, candle(1), written=1)
            assert await redis.write("me", 1, LEASE, again) == Written((2,))
            [window] = await redis.load([BTC])
            with other.client() as client:
                assert client.llen("{smarttrade:0}:candles:binance.com:BTCUSDT:1m") == 2
    assert window.state is not None
    assert window.state.candles == (candle(0), candle(1))


async def test_old_primary_that_lives_on_and_takes_writes_is_left_in_time(
    own_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smarttrade.store.redis_lane.MAX_AGE", 0.3)
    with RedisServer(redis_binary(), tmp_path) as other, trio.fail_after(60):
        async with forwarder_to(own_redis.port) as name:
            redis = database(name.url)
            await redis.acquire("me", LEASE)
            name.target = other.port
            assert await redis.write("me", 1, LEASE, batch(1, candle(0))) == Written((1,))
            await trio.sleep(0.3)
            assert await redis.write("me", 1, LEASE, batch(2, candle(1), written=1)) == Lost()
            assert await redis.acquire("me", LEASE) == Leading(1, 0)
            assert name.opened == [own_redis.port, other.port]


@asynccontextmanager
async def server_that_answers(line: bytes) -> AsyncIterator[int]:
    """Every command with this line; with an empty one it closes the connection. The port."""

    async def answer(line: bytes, stream: trio.SocketStream) -> None:
        async with stream:
            async for _ in stream:
                if not line:
                    return
                await stream.send_all(line + b"\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, partial(answer, line), [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"-READONLY You can't write against a read only replica.", "read only replica"),
        (b"-ERR Error running script: @user_script: -READONLY You can't write", "READONLY"),
        (b"-MASTERDOWN Link with MASTER is down", "Link with MASTER"),
        (b"-LOADING Redis is loading the dataset in memory", "loading"),
        (b"-NOAUTH Authentication required.", "Authentication required"),
        (b"-MOVED 3999 127.0.0.1:6381", "MovedError"),
        (b"-UNBLOCKED force unblock from blocking operation", "force unblock"),
        (b"-CLUSTERDOWN Hash slot not served", "Hash slot not served"),
        (b"", "ConnectionError"),
    ],
)
async def test_after_a_refusal_the_next_try_is_a_new_connection(
    line: bytes, words: str, redis_server: RedisServer
) -> None:
    with trio.fail_after(30):
        async with server_that_answers(line) as refusing, forwarder_to(refusing) as name:
            redis = database(name.url)
            with pytest.raises(DatabaseUnavailable, match=words):
                await redis.acquire("me", LEASE)
            name.target = redis_server.port
            assert await redis.acquire("me", LEASE) == Leading(1, 0)
            assert name.opened == [refusing, redis_server.port]


async def test_idle_connections_of_other_calls_are_left_too(redis_server: RedisServer) -> None:
    """A call that fails says something of the server, which the others must not go on using."""
    with trio.fail_after(30):
        async with forwarder_to(redis_server.port) as name:
            redis = database(name.url)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(redis.follow, "0-0", 0.2)
                nursery.start_soon(redis.position)
            before = len(name.opened)
            assert before == 2
            with redis_server.client() as client:
                client.sadd("{smarttrade:0}:changes", "x")
            with pytest.raises(DatabaseUnavailable, match="WRONGTYPE"):
                await redis.follow("0-0", 0.1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(redis.load, [BTC])
    assert len(name.opened) == before + 1
