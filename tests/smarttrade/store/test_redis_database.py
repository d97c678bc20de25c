"""What only a real Redis does: refuse, lose, hold foreign data, and need passwords."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smarttrade.market.candle import Candle, supersedes
from smarttrade.market.window_state import SeriesNotes, WindowState
from smarttrade.store.database import (
    Batch,
    DatabaseUnavailable,
    Fenced,
    ForeignFormat,
    Group,
    Held,
    Leading,
    Lost,
    Written,
)
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.redis_database import RedisDatabase
from smarttrade.store.redis_format import SeriesChange, StoreState, state_to_text
from smarttrade.store.shards import make_shard
from smarttrade.store.stored_values import Damaged
from tests.fakes.candles import BTC, ETH, at, candle
from tests.fakes.database import BINANCE
from tests.fakes.redis_server import RedisServer, redis_binary

LEASE = 60.0
KEY = "{smarttrade:0}:candles:binance.com:BTCUSDT:1m"


def database(server: RedisServer, *, url: str = "", timeout: float = 2.0) -> RedisDatabase:
    return RedisDatabase(
        url or server.url, "smarttrade", timeout=timeout, stream_length=1000, exchange=BINANCE
    )


def batch(number: int, *candles: Candle, written: int = 0, **more: Any) -> Batch:
    group = Group(BTC, candles, [False] * len(candles), **more)
    return Batch(number, written, [group], None, is_heartbeat=False)


async def lead(redis: RedisDatabase) -> int:
    claim = await redis.acquire("me", LEASE)
    assert isinstance(claim, Leading)
    return claim.epoch


# What operators see


async def test_operator_can_read_it(redis_server: RedisServer) -> None:
    redis = database(redis_server)
    epoch = await lead(redis)
    await redis.write("me", epoch, LEASE, batch(1, candle(0), candle(1, closed=False)))
    with redis_server.client(decode_responses=True) as client:
        assert client.lrange(KEY, 0, -1) == [
            f"[{at(0)},100.0,100.0,100.0,100.0,10.0,true,{at(1)},false]",
            f"[{at(1)},100.0,100.0,100.0,100.0,1.0,false,{at(1) + 2000},false]",
        ]
        assert client.get("{smarttrade:0}:lease") == "me@binance.com"
        assert 0 < int(client.pttl("{smarttrade:0}:lease")) <= LEASE * 1000
        names = {f"{{smarttrade:0}}:{name}" for name in ("meta", "lease", "changes")}
        assert set(client.scan_iter()) == {*names, KEY, "{smarttrade}:shards"}


async def test_namespaces_do_not_meet(redis_server: RedisServer) -> None:
    epoch = await lead(database(redis_server))
    await database(redis_server).write("me", epoch, LEASE, batch(1, candle(0)))
    other = RedisDatabase(
        redis_server.url, "other", timeout=2.0, stream_length=1000, exchange=BINANCE
    )
    assert await other.acquire("you", LEASE) == Leading(1, 0)
    assert (await other.load([BTC]))[0].state is None


# What is not ours


@pytest.mark.parametrize(
    "entries",
    [
        ["nonsense"],
        ['{"open": 1}'],
        ["[1,2]"],
        [f"[{at(0)},1,1,1,1,1,true,0,false]", "[", f"{at(2)},1,1,1,1,1,true,0,false]"],
        [f"[{at(1)},1,1,1,1,1,true,0,false]", f"[{at(0)},1,1,1,1,1,true,0,false]"],
        [f"[{at(0)},1,1,1,1,1,true,0,false]"] * 2,
        [f"[{at(0)},1,1,2,1,1,true,0,false]"],
        [f"[{at(0)},1,1,1,1,-1,true,0,false]"],
        [f"[{10**17},1,1,1,1,1,true,0,false]"],
        [f"[{at(0)},1,1,1,1,1,true,0,false],[{at(1)},1,1,1,1,1,true,0,false]"],
        [f"[{at(0)},1,1,1,1,1,true,0,false]\n[{at(1)},1,1,1,1,1,true,0,false]"],
        [f"[{at(n)},1,1,1,1,1,true,0,false]" for n in range(1001)],
        [b"\xff\xfe"],
        ["[" * 5000],
    ],
)
async def test_damaged_list_is_reported_and_the_others_are_read(
    entries: list[str | bytes], redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        client.rpush(KEY, *entries)
        client.rpush(KEY.replace("BTC", "ETH"), f"[{at(0)},1,1,1,1,1,true,0,false]")
        damaged, good = await database(redis_server).load([BTC, ETH])
        assert (damaged.state, bool(damaged.damage)) == (None, True)
        assert good.state is not None
        await database(redis_server).quarantine([BTC])
        kept = f"{{smarttrade:0}}:quarantine:{KEY}"
        assert client.llen(kept) == len(entries)
        assert 0 < int(client.ttl(kept)) <= 7 * 24 * 3600
    [gone] = await database(redis_server).load([BTC])
    assert (gone.state, gone.damage) == (None, None)


async def test_key_of_another_type_is_damage(redis_server: RedisServer) -> None:
    redis = database(redis_server)
    with redis_server.client() as client:
        client.set(KEY, "foreign")
    epoch = await lead(redis)
    [window] = await redis.load([BTC])
    assert "WRONGTYPE" in (window.damage or "")
    assert await redis.write("me", epoch, LEASE, batch(1, candle(0))) == Written((-1,))
    await redis.quarantine([BTC])
    assert await redis.write("me", epoch, LEASE, batch(2, candle(0), written=1)) == Written((1,))


async def test_gaps_that_cannot_be_read_are_damage(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.rpush(KEY, f"[{at(0)},1,1,1,1,1,true,0,false]")
        client.hset("{smarttrade:0}:notes:binance.com", "BTCUSDT:1m", "[[1]]")
    [window] = await database(redis_server).load([BTC])
    assert (window.state, bool(window.damage)) == (None, True)


@pytest.mark.parametrize("name", ["lease", "meta", "changes"])
async def test_our_own_keys_of_another_type_are_quarantined(
    name: str, redis_server: RedisServer
) -> None:
    redis = database(redis_server)
    await lead(redis)
    with redis_server.client() as client:
        client.delete(f"{{smarttrade:0}}:{name}")
        client.sadd(f"{{smarttrade:0}}:{name}", "foreign")
    if name != "lease":
        assert await redis.write("me", 1, LEASE, batch(1, candle(0))) == Lost()
    assert isinstance(await redis.acquire("me", LEASE), Leading)
    with redis_server.client() as client:
        assert client.exists(f"{{smarttrade:0}}:quarantine:{{smarttrade:0}}:{name}")


async def test_notes_of_another_type_are_quarantined_with_what_they_are_about(
    redis_server: RedisServer,
) -> None:
    redis = database(redis_server)
    epoch = await lead(redis)
    with redis_server.client() as client:
        client.sadd("{smarttrade:0}:notes:binance.com", "foreign")
        assert await redis.write("me", epoch, LEASE, batch(1, candle(0))) == Lost()
        assert "WRONGTYPE" in ((await redis.load([BTC]))[0].damage or "")
        await redis.quarantine([BTC])
        assert client.exists("{smarttrade:0}:quarantine:{smarttrade:0}:notes:binance.com")
    assert await redis.write("me", epoch, LEASE, batch(1, candle(0))) == Written((1,))


def contents(client: Any, pattern: str = "*") -> dict[Any, Any]:
    return {key: client.dump(key) for key in client.scan_iter(pattern)}


@pytest.mark.parametrize("value", ["x", "0", "-1", "", "9" * 400, ["list"]])
async def test_number_of_shards_that_is_none_is_replaced(
    redis_server: RedisServer, value: str | list[str]
) -> None:
    redis = database(redis_server)
    with redis_server.client() as client:
        if isinstance(value, str):
            client.set("{smarttrade}:shards", value)
            await redis.position()
        else:
            client.rpush("{smarttrade}:shards", *value)
        await lead(redis)
        assert client.get("{smarttrade}:shards") == b"1"
        kept = "{smarttrade}:quarantine:{smarttrade}:shards"
        assert 0 < int(client.ttl(kept)) <= 7 * 24 * 3600
    assert (await redis.position()).origin == "binance.com"


@pytest.mark.parametrize("count", [1, 2])
async def test_shard_goes_on_without_the_server_that_has_the_number(
    redis_server: RedisServer, count: int
) -> None:
    """In a Cluster that may be another server; here the account may not read the number any more."""

    def connect() -> RedisDatabase:
        url = redis_server.url.replace("//", "//me:sesame@")
        shard = make_shard(0, count, ["BTCUSDT"])
        return RedisDatabase(
            url, "smarttrade", timeout=2.0, stream_length=9, exchange=BINANCE, shard=shard
        )

    with redis_server.client() as client:
        rules = ("reset", "on", ">sesame", "+@all")
        client.execute_command("ACL", "SETUSER", "me", *rules, "~*")
        known = connect()
        await lead(known)
        client.execute_command("ACL", "SETUSER", "me", *rules, "~{smarttrade:*")
        for redis, goes_on in ((known, count > 1), (connect(), False)):
            with nullcontext() if goes_on else pytest.raises(DatabaseUnavailable):
                await lead(redis)
            with nullcontext() if goes_on else pytest.raises(DatabaseUnavailable):
                await redis.position()
        client.execute_command("ACL", "DELUSER", "me")


async def test_keys_are_deleted_as_documented(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set("{smarttrade-2}:shards", 2)
        client.set("smarttrade:meta", "of 0.1.0")
        epoch = await lead(redis := database(redis_server))
        await redis.write("me", epoch, LEASE, batch(1, candle(0)))
        for key in client.scan_iter("{smarttrade[:}]*"):
            client.delete(key)
        assert set(client.scan_iter()) == {b"{smarttrade-2}:shards", b"smarttrade:meta"}


@pytest.mark.parametrize("is_led", [True, False])
async def test_a_later_versions_format_is_neither_read_nor_changed(
    redis_server: RedisServer, *, is_led: bool
) -> None:
    """Its other keys may be of any type."""
    redis = database(redis_server)
    with redis_server.client() as client:
        client.hset("{smarttrade:0}:meta", mapping={"format": "4", "epoch": "x", "leader": "you"})
        client.rpush(KEY, "[1,2,3]")
        client.set("{smarttrade:0}:changes", "of another type now")
        if is_led:
            client.set("{smarttrade:0}:lease", "you@binance.com", px=30_000)
        before = contents(client, "*[!e]")  # the lease's time runs
        with nullcontext() if is_led else pytest.raises(ForeignFormat):
            assert isinstance(await redis.acquire("me", LEASE), Held)
        with pytest.raises(ForeignFormat):
            await redis.position()
        assert isinstance(await redis.write("me", 1, LEASE, batch(1, candle(0))), Fenced | Lost)
        assert contents(client, "*[!e]") == before
        assert client.exists("{smarttrade:0}:lease") == is_led


async def test_what_a_later_version_adds_within_the_format_is_ignored(
    redis_server: RedisServer,
) -> None:
    redis = database(redis_server)
    epoch = await lead(redis)
    state = StoreState(("BTCUSDT",), (BTC.interval,), FeedStatus(Feed.LIVE, 1.0))
    await redis.write("me", epoch, LEASE, batch(1, candle(0), notes=SeriesNotes()))
    with redis_server.client() as client:
        client.hset("{smarttrade:0}:meta", "more", "x")
        text = json.loads(state_to_text(state)) | {"more": [1]}
        client.hset("{smarttrade:0}:meta", "state", json.dumps(text))
        client.hset("{smarttrade:0}:notes:binance.com", "BTCUSDT:1m", "[[],[],[],false,7]")
        changes = '[["BTCUSDT","1m",false,[],"",[[],[],[],false,7],8]]'
        fields: Any = {"seq": "2", "format": "3", "origin": "binance.com", "time": "1", "more": "x"}
        client.xadd("{smarttrade:0}:changes", fields | {"data": changes})
    assert (await redis.position()).state == state
    assert (await redis.load([BTC]))[0].state == WindowState((candle(0),))
    [_, (_, entry)] = await redis.follow("0-0", 0.1)
    assert entry.changes == (SeriesChange(BTC, False, (), SeriesNotes()),)
    assert await lead(redis) == epoch


async def test_entries_of_a_later_version_are_not_taken_for_ours(redis_server: RedisServer) -> None:
    """It begins to lead while an earlier one follows the stream."""
    redis = database(redis_server)
    epoch = await lead(redis)
    await redis.write("me", epoch, LEASE, batch(1, candle(0)))
    [(name, _)] = await redis.follow("0-0", 0.1)
    with redis_server.client() as client:
        fields: Any = {"seq": "2", "format": "4", "origin": "binance.com", "data": "[]"}
        client.xadd("{smarttrade:0}:changes", fields)
    with pytest.raises(ForeignFormat, match="'4'"):
        await redis.follow(name, 0.1)


async def test_former_formats_are_noticed_and_left_alone(redis_server: RedisServer) -> None:
    redis = database(redis_server)
    assert await redis.former_format() is None
    with redis_server.client() as client:
        client.hset("smarttrade:meta", mapping={"format": "1", "leader": "x"})
        client.rpush("smarttrade:candles:BTCUSDT:1m", "[1]")
        before = contents(client)
        assert await redis.former_format() == "1"
        epoch = await lead(redis)
        await redis.write("me", epoch, LEASE, batch(1, candle(0)))
        assert contents(client, "smarttrade:*") == before


async def test_entries_that_are_not_ours_are_damage(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.xadd("{smarttrade:0}:changes", {"data": "[[1]]", "seq": "1"})
    with pytest.raises(Damaged):
        await database(redis_server).follow("0-0", 0.1)


# Trouble


async def test_server_that_does_not_run(tmp_path: Path) -> None:
    redis = database(RedisServer("nothing", tmp_path))
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="refused"):
        await redis.acquire("me", LEASE)
    assert time.monotonic() - began < 1.5  # with the import of the library


async def test_frozen_server_costs_the_time_limit_and_no_more(own_redis: RedisServer) -> None:
    redis = database(own_redis, timeout=0.3)
    epoch = await lead(redis)
    own_redis.freeze()
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="Timeout"):
        await redis.write("me", epoch, LEASE, batch(1, candle(0)))
    assert 0.25 < time.monotonic() - began < 0.8
    with trio.move_on_after(0.1):
        await redis.write("me", epoch, LEASE, batch(2, candle(0), candle(1)))
    assert time.monotonic() - began < 1.0
    own_redis.thaw()
    # What was given up may be done now, before or after this; it does no harm.
    written = await redis.write("me", epoch, LEASE, batch(3, candle(0), candle(1), candle(2)))
    assert written == Written((3,))
    await trio.sleep(0.1)
    [window] = await redis.load([BTC])
    assert window.state == WindowState((candle(0), candle(1), candle(2)))


async def test_restarted_server_is_reached_at_once_and_gets_the_script_again(
    own_redis: RedisServer,
) -> None:
    redis = database(own_redis)
    await lead(redis)
    own_redis.kill()
    with pytest.raises(DatabaseUnavailable):
        await redis.acquire("me", LEASE)
    own_redis.start()
    assert await redis.write("me", 1, LEASE, batch(1, candle(0))) == Lost()
    assert await redis.acquire("me", LEASE) == Leading(1, 0)
    assert await redis.write("me", 1, LEASE, batch(2, candle(0))) == Written((1,))


async def test_full_server_writes_nothing_of_a_batch(redis_server: RedisServer) -> None:
    redis = database(redis_server)
    epoch = await lead(redis)
    first = Batch(1, 0, [Group(BTC, [candle(0)], is_whole=True)], None, is_heartbeat=False)
    await redis.write("me", epoch, LEASE, first)
    with redis_server.client() as client:
        client.config_set("maxmemory", 1)
        both = [Group(BTC, [candle(5)], is_whole=True), Group(ETH, [candle(5)], is_whole=True)]
        with pytest.raises(DatabaseUnavailable, match="maxmemory"):
            await redis.write("me", epoch, LEASE, Batch(2, 1, both, None, is_heartbeat=True))
        client.config_set("maxmemory", 0)
    btc, eth = await redis.load([BTC, ETH])
    assert btc.state == WindowState((candle(0),))
    assert eth.state is None
    assert await redis.write("me", epoch, LEASE, Batch(3, 1, both, None, is_heartbeat=True))


async def test_replica_refuses(own_redis: RedisServer) -> None:
    redis = database(own_redis)
    epoch = await lead(redis)
    with own_redis.client() as client:
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(DatabaseUnavailable, match=r"(?i)read ?only|replica"):
            await redis.write("me", epoch, LEASE, batch(1, candle(0)))
        client.replicaof("NO", "ONE")
    assert await redis.write("me", epoch, LEASE, batch(2, candle(0))) == Written((1,))


async def test_waiting_for_changes_ends_when_cancelled(redis_server: RedisServer) -> None:
    redis = database(redis_server)
    await lead(redis)
    began = time.monotonic()
    with trio.move_on_after(0.1):
        await redis.follow("0-0", 10.0)
    assert time.monotonic() - began < 0.4


# Who may


async def test_password_acl_user_and_database_number(tmp_path: Path) -> None:
    with RedisServer(redis_binary(), tmp_path, "--requirepass", "secret") as server:
        address = f"127.0.0.1:{server.port}"
        with server.client(password="secret") as client:
            client.execute_command(
                *("ACL", "SETUSER", "candles", "on", ">pass/word", "~{smarttrade*"),
                *("+@read", "+@write", "+@scripting", "+@connection", "+select"),
            )
        for url in (f"redis://:secret@{address}/3", f"redis://candles:pass%2Fword@{address}/4"):
            redis = database(server, url=url)
            epoch = await lead(redis)
            written = await redis.write("me", epoch, LEASE, batch(1, candle(0)))
            assert written == Written((1,))
            assert (await redis.load([BTC]))[0].state is not None
            assert await redis.follow("0-0", 0.1)
        wrong = database(server, url=f"redis://candles:hunter2@{address}")
        with pytest.raises(DatabaseUnavailable) as raised:
            await wrong.position()
        assert "hunter2" not in str(raised.value)


# The guard in the script says what market/candle.py says

values = st.builds(
    candle,
    st.just(1),
    closed=st.booleans(),
    volume=st.sampled_from([1.0, 1.5, 2.0]),
    event=st.integers(0, 12),
    from_rest=st.booleans(),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(values, values), min_size=20, max_size=40))
def test_script_and_window_agree_about_what_is_later(
    redis_server: RedisServer, pairs: list[tuple[Candle, Candle]]
) -> None:
    async def compare() -> None:
        redis = database(redis_server)
        epoch = await lead(redis)
        claim = await redis.acquire("me", LEASE)
        assert isinstance(claim, Leading)
        number = claim.written
        for candidate, current in pairs:
            with redis_server.client() as client:
                client.delete(KEY)
            whole = Group(BTC, [candle(0), current], is_whole=True)
            await redis.write("me", epoch, LEASE, Batch(number + 1, number, [whole], None, False))
            await redis.write("me", epoch, LEASE, batch(number + 2, candidate, written=number))
            number += 2
            [window] = await redis.load([BTC])
            assert window.state is not None
            expected = candidate if supersedes(candidate, current) else current
            assert window.state.candles == (candle(0), expected)

    trio.run(compare)
