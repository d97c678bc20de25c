from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from smarttrade.cli.check import report, run_checks
from smarttrade.cli.check_exchange import Clock, clock_result, one_is_enough
from smarttrade.cli.check_redis import check_redis
from smarttrade.cli.check_result import CheckResult, Level
from smarttrade.feed.network import Network
from smarttrade.settings import Settings
from smarttrade.settings.sources import Loaded
from smarttrade.simulator import Exchange, serve_exchange
from smarttrade.store.redis_address import redis_address
from smarttrade.store.redis_smoke_test import unfit
from smarttrade.store.shards import shard_of
from tests.fakes.redis_cluster import running_cluster
from tests.fakes.redis_sentinel import running_sentinels
from tests.fakes.redis_server import RedisServer, redis_binary

NOWHERE = "127.0.0.1:1"
WORKS = "lease, scripts, change stream and reading back work"


@asynccontextmanager
async def exchange(*symbols: str, ahead: float = 0.0, speed: float = 4) -> AsyncIterator[str]:
    """A simulated one, whose clock is so many seconds ahead at first; its address."""
    simulated = Exchange(symbols, start_ms=int((time.time() + ahead) * 1000), speed=speed)
    simulated.clock.now()  # it runs from here on, however long the start takes
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve_exchange, simulated))
        yield f"127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


def settings(*addresses: str, symbols: Sequence[str] = ("BTCUSDT",)) -> Settings:
    return Settings(
        use_memory_store=True,
        symbols=tuple(symbols),
        binance_rest_url=tuple(f"http://{address}" for address in addresses),
        binance_ws_url=tuple(f"ws://{address}" for address in addresses),
    )


def brief(results: Sequence[CheckResult]) -> list[tuple[str, str]]:
    return [(result.level.value, result.subject) for result in results]


async def test_a_machine_without_faults() -> None:
    async with exchange("BTCUSDT", "ETHUSDT", speed=1) as address:
        found = await run_checks(
            settings(address, symbols=("BTCUSDT", "ETHUSDT")), Network.direct()
        )
    assert brief(found) == [
        ("ok", "rest"),
        ("ok", "clock"),
        ("ok", "symbols"),
        ("ok", "stream"),
        ("ok", "redis"),
    ]


async def test_built_in_exchange_is_checked_without_a_network(
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded = Loaded(settings(NOWHERE), {})
    assert await report(loaded, Network.direct(), simulated=True) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [line.split()[:2] for line in lines]
    assert found == [["ok", name] for name in
                     ("setting", "exchange", "rest", "clock", "symbols", "stream", "redis")]  # fmt: skip
    assert "simulator" in lines[1]


async def test_how_many_symbols_each_shard_has_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded = Loaded(Settings(use_memory_store=True, shards=4), {})
    await report(loaded, Network.direct(), simulated=True)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if " shards " in line)
    numbers = [0] * 4
    for symbol in loaded.settings.symbols:
        numbers[shard_of(symbol, 4)] += 1
    assert line == f"ok    shards    symbols of each: {', '.join(map(str, numbers))}"


async def test_one_endpoint_that_answers_is_enough_and_the_other_is_named() -> None:
    async with exchange("BTCUSDT", speed=1) as address:
        found = await run_checks(settings(NOWHERE, address), Network.direct())
    assert ("fail", "rest") not in brief(found)
    texts = [result.text for result in found if result.level is Level.WARN]
    assert [text.partition(": ")[0] for text in texts] == [f"http://{NOWHERE}", f"ws://{NOWHERE}"]
    assert all("refused" in text for text in texts)


async def test_no_exchange_is_a_failure_of_every_endpoint() -> None:
    found = await run_checks(settings(NOWHERE), Network.direct())
    assert brief(found) == [("fail", "rest"), ("fail", "stream"), ("ok", "redis")]


async def test_unlisted_symbols_are_named() -> None:
    async with exchange("BTCUSDT") as address:
        found = await run_checks(settings(address, symbols=("NOUSDT", "BTCUSDT")), Network.direct())
    symbols = [result for result in found if result.subject == "symbols"]
    assert brief(symbols) == [("ok", "symbols"), ("warn", "symbols")]
    assert symbols[1].text == "NOUSDT is left out: not listed"


async def test_no_symbol_left_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smarttrade.cli.check_exchange.FIRST_MESSAGE_TIMEOUT", 0.1)
    async with exchange("BTCUSDT") as address:
        found = await run_checks(settings(address, symbols=("NOUSDT",)), Network.direct())
    assert ("fail", "symbols") in brief(found)


async def test_a_clock_that_is_hours_off_is_reported_and_is_no_failure() -> None:
    async with exchange("BTCUSDT", ahead=7200.0) as address:
        found = await run_checks(settings(address), Network.direct())
    (clock,) = [result for result in found if result.subject == "clock"]
    assert clock.level is Level.WARN
    assert "s behind the exchange's" in clock.text


async def test_the_report_ends_with_0_when_nothing_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with exchange("BTCUSDT") as address:
        loaded = Loaded(settings(address), {"SMARTTRADE_SYMBOLS": ".env"}, {"SMARTTRADE_X": None})
        assert await report(loaded, Network.direct()) == 0
    out = capsys.readouterr().out
    assert "ok    setting   SMARTTRADE_SYMBOLS = BTCUSDT (.env)\n" in out
    assert "PORT" not in out
    assert out.startswith("warn  setting   SMARTTRADE_X is unknown and ignored\n")
    assert "warn  setting   SMARTTRADE_X is unknown and ignored\n" in out


async def test_the_report_begins_with_what_is_wrong_and_ends_with_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await report(Loaded(settings(NOWHERE), {}), Network.direct()) == 1
    assert capsys.readouterr().out.startswith("fail  rest")


@pytest.mark.parametrize(
    ("skew", "latency", "level"),
    [
        (0.0, 0.1, Level.OK),
        (0.9, 0.1, Level.OK),
        (-0.9, 0.1, Level.OK),
        (1.4, 1.0, Level.OK),  # the answer may have been under way for so long
        (1.4, 0.1, Level.WARN),
        (-3600.0, 0.1, Level.WARN),
    ],
)
def test_a_clock_may_be_off_by_a_second_beyond_the_measuring_error(
    skew: float, latency: float, level: Level
) -> None:
    assert clock_result(Clock(skew, latency)).level is level


def test_a_failure_counts_less_when_another_endpoint_works() -> None:
    ok, fail = CheckResult(Level.OK, "rest", "a"), CheckResult(Level.FAIL, "rest", "b")
    warn = CheckResult(Level.WARN, "rest", "b")
    assert one_is_enough([fail, fail]) == [fail, fail]
    assert one_is_enough([ok, fail]) == [ok, warn]
    assert one_is_enough([warn, fail]) == [warn, warn]


# -- Redis --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(redis_binary(), tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(shared_redis: RedisServer) -> Iterator[RedisServer]:
    yield shared_redis
    with shared_redis.client() as client:
        client.replicaof("NO", "ONE")
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
        client.flushall()


async def found(url: str | None, **more: Any) -> list[tuple[Level, str]]:
    results = await check_redis(Settings(redis_url=url, **more))
    return [(result.level, result.text) for result in results]


async def test_working_redis_passes_and_is_left_unchanged(redis: RedisServer) -> None:
    ((level, text),) = await found(f"{redis.url}/2")
    assert level is Level.OK
    assert text == f"{redis.url}/2: {WORKS}"
    with redis.client(db=2) as client:
        assert list(client.scan_iter()) == []


async def test_other_number_of_shards_is_a_failure(redis: RedisServer) -> None:
    with redis.client() as client:
        client.set("{smarttrade}:shards", "4")
    works, (level, text) = await found(redis.url, shards=2)
    assert works[0] is Level.OK
    assert level is Level.FAIL
    assert "SMARTTRADE_SHARDS=4, and this process 2" in text
    assert [level for level, _ in await found(redis.url, shards=4)] == [Level.OK]


async def test_replica_is_a_failure(redis: RedisServer) -> None:
    with redis.client() as client:
        client.replicaof("127.0.0.1", 1)
    ((level, text),) = await found(redis.url)
    assert level is Level.FAIL
    assert "this is a replica" in text


LIMITED = {
    "scripts": ("-@scripting", "taking the lease"),
    "streams": ("-xread", "following the change stream"),
    "our keys": ("resetkeys", "taking the lease"),
}


@pytest.mark.parametrize("what", LIMITED)
async def test_account_without_a_permission_is_a_failure_that_names_it(
    redis: RedisServer, what: str
) -> None:
    rule, step = LIMITED[what]
    with redis.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "me", "reset", "on", ">sesame", "~*", "+@all", rule
        )
    ((level, text),) = await found(f"redis://me:sesame@127.0.0.1:{redis.port}")
    assert level is Level.FAIL
    assert step in text
    assert "sesame" not in text


async def test_account_of_the_documentation_is_enough(redis: RedisServer) -> None:
    rules = "~{smarttrade* +@read +@write +@scripting +@connection +select"
    with redis.client() as client:
        client.execute_command("ACL", "SETUSER", "me", "reset", "on", ">sesame", *rules.split())
    levels = await found(f"redis://me:sesame@127.0.0.1:{redis.port}")
    assert [level for level, _ in levels] == [Level.WARN, Level.OK]
    assert "INFO is refused" in levels[0][1]


async def test_redis_that_evicts_or_is_too_small_is_a_warning(redis: RedisServer) -> None:
    with redis.client() as client:
        client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + 2_000_000)
        client.config_set("maxmemory-policy", "allkeys-lru")
    levels = await found(redis.url)
    assert [level for level, _ in levels] == [Level.WARN, Level.WARN, Level.OK]
    assert "allkeys-lru" in levels[0][1]
    assert "60 series need up to 5.6 MB" in levels[1][1]


async def test_wrong_password_is_a_failure_with_the_servers_words(redis: RedisServer) -> None:
    ((level, text),) = await found(f"redis://stranger:sesame@127.0.0.1:{redis.port}")
    assert level is Level.FAIL
    assert "AuthenticationError" in text
    assert "sesame" not in text


ONE, CLUSTER = "redis://h", "redis+cluster://h"


@pytest.mark.parametrize(
    ("info", "url", "problem"),
    [
        ({"redis_mode": "sentinel"}, ONE, "redis+sentinel://"),
        ({"cluster_enabled": 1}, ONE, "redis+cluster://"),
        ({"cluster_enabled": 1}, CLUSTER, None),
        ({"redis_version": "5.0.7"}, ONE, "too old"),
        ({"redis_version": "6.2.1", "role": "master", "cluster_enabled": 0}, ONE, None),
        ({"redis_version": "7.4.1"}, ONE, None),
        ({}, ONE, None),
    ],
)
def test_server_of_the_wrong_kind_is_named(
    info: dict[str, Any], url: str, problem: str | None
) -> None:
    reason = unfit(info, redis_address(url))
    assert reason is None if problem is None else problem in str(reason)


async def test_cluster_passes_and_is_left_unchanged(tmp_path: Path) -> None:
    with running_cluster(redis_binary(), tmp_path) as cluster:
        ((level, text),) = await found(cluster.url)
        assert (level, text.partition(": ")[2]) == (Level.OK, WORKS)
        assert [each.ask("DBSIZE") for each in cluster.servers] == [0] * 6
        ((level, text),) = await found(f"redis://127.0.0.1:{cluster.servers[0].port}")
        assert level is Level.FAIL
        assert "use redis+cluster://" in text
        serving = cluster.primary_of("{smarttrade:0}:meta")
        cluster.replica_of(serving).kill()
        levels = await found(cluster.url)
        assert [level for level, _ in levels] == [Level.WARN, Level.OK]
        assert "no replica" in levels[0][1]


async def test_sentinels_pass_and_what_keeps_them_from_a_failover_is_named(tmp_path: Path) -> None:
    with running_sentinels(redis_binary(), tmp_path) as sentinels:
        ((level, text),) = await found(sentinels.url)
        assert (level, text.partition(": ")[2]) == (Level.OK, WORKS)
        ((level, text),) = await found(f"{sentinels.url}-2")
        assert level is Level.FAIL
        assert "no primary 'candles-2': 127.0.0.1:" in text
        ((level, text),) = await found(f"redis://127.0.0.1:{sentinels.sentinels[0].port}")
        assert level is Level.FAIL
        assert "use redis+sentinel://" in text
        sentinels.sentinels[1].kill()
        levels = await found(sentinels.url)
        assert [level for level, _ in levels] == [Level.WARN, Level.OK]
        assert f"Sentinel 127.0.0.1:{sentinels.sentinels[1].port}: " in levels[0][1]


async def test_every_shard_is_tried_where_it_is_in_a_cluster(tmp_path: Path) -> None:
    with running_cluster(redis_binary(), tmp_path) as cluster:
        levels = await found(cluster.url, shards=3)
        texts = [text.partition(": ")[2] for _, text in levels]
        assert texts == [f"shard {number}: {WORKS}" for number in range(3)]
        for each in cluster.servers:
            each.ask("CONFIG", "SET", "maxmemory", 1)
        levels = await found(cluster.url, shards=3, shard=2)
        assert [level for level, _ in levels] == [Level.WARN, Level.FAIL]
        assert all("shard 2: " in text for _, text in levels)
        assert [each.ask("DBSIZE") for each in cluster.servers] == [0] * 6


async def test_account_of_the_documentation_is_enough_for_a_cluster(tmp_path: Path) -> None:
    rules = "~{smarttrade* +@read +@write +@scripting +@connection +cluster|slots"
    with running_cluster(redis_binary(), tmp_path) as cluster:
        for each in cluster.servers:
            each.ask("ACL", "SETUSER", "me", "reset", "on", ">sesame", *rules.split())
        levels = await found(cluster.url.replace("://", "://me:sesame@"))
        assert [level for level, _ in levels] == [Level.WARN, Level.OK]
        assert "INFO is refused" in levels[0][1]


async def test_accounts_of_the_documentation_are_enough_for_sentinels(tmp_path: Path) -> None:
    rules = "~{smarttrade* +@read +@write +@scripting +@connection +select"
    of_sentinels = "+@connection +sentinel|masters"
    with running_sentinels(redis_binary(), tmp_path) as sentinels:
        for server in sentinels.servers:
            with server.client() as client:
                client.execute_command(
                    "ACL", "SETUSER", "me", "reset", "on", ">sesame", *rules.split()
                )
        for sentinel in sentinels.sentinels:
            with sentinel.client() as client:
                client.execute_command(
                    "ACL", "SETUSER", "you", "reset", "on", ">hunter2", *of_sentinels.split()
                )
                client.execute_command("ACL", "SETUSER", "default", "off")
        url = sentinels.url.replace("://", "://me:sesame@")
        ((level, text),) = await found(url)
        assert level is Level.FAIL
        assert "no primary 'candles': 127.0.0.1:" in text
        assert "Authentication required" in text
        ((level, text),) = await found(f"{url}?sentinel_username=me&sentinel_password=hunter2")
        assert "WRONGPASS" in text or "invalid username-password" in text
        assert "sesame" not in text
        assert "hunter2" not in text
        levels = await found(f"{url}?sentinel_username=you&sentinel_password=hunter2")
        assert [level for level, _ in levels] == [Level.WARN, Level.OK]
        assert "INFO is refused" in levels[0][1]


async def test_single_replica_that_would_refuse_writes_is_named(tmp_path: Path) -> None:
    with running_sentinels(redis_binary(), tmp_path) as sentinels:
        for server in sentinels.servers:
            with server.client() as client:
                client.config_set("min-replicas-to-write", 1)
                client.config_set("min-replicas-max-lag", 10)
        levels = await found(sentinels.url)
    assert [level for level, _ in levels] == [Level.WARN, Level.OK]
    assert "single replica" in levels[0][1]


@pytest.mark.parametrize("kind", ["redis+cluster://{}", "redis+sentinel://{}/name"])
async def test_single_server_is_no_cluster_and_no_sentinel(redis: RedisServer, kind: str) -> None:
    ((level, text),) = await found(kind.format(f"127.0.0.1:{redis.port}"))
    assert level is Level.FAIL
    assert "Cluster mode is not enabled" in text or "SENTINEL" in text


async def test_configured_redis_that_is_away_is_a_failure() -> None:
    ((level, text),) = await found(f"redis://{NOWHERE}")
    assert level is Level.FAIL
    assert "refused" in text


async def test_default_redis_that_is_away_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("smarttrade.cli.check_redis.DEFAULT_REDIS_URL", f"redis://{NOWHERE}")
    ((level, text),) = await found(None)
    assert level is Level.WARN
    assert "in memory" in text
