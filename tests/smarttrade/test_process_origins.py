"""Processes whose exchanges, settings or stored values do not fit, with a real Redis.

Prices of one exchange are never served as another's, and nothing that is stored ends or blocks a
process.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio

from tests.fakes.deployment import SPEED, SYMBOLS, Deployment, role
from tests.fakes.ports import free_port
from tests.fakes.processes import MAX_WAIT, POLL_INTERVAL, Client, Program

pytestmark = pytest.mark.slow

HOUR = 3_600_000  # ms


def origin_of(program: Program) -> str:
    return program.url.removeprefix("http://")


def stored_keys(deployment: Deployment) -> dict[bytes, Any]:
    with deployment.redis.client() as client:
        return {key: client.dump(key) for key in client.scan_iter() if not key.endswith(b":lease")}


async def test_simulated_prices_never_meet_real_ones(deployment: Deployment) -> None:
    """A simulated `serve` first, then a real one on the same Redis."""
    simulated = deployment.start("serve", "--simulated")
    await simulated.until("/system", role("leading"))
    assert (await simulated.get("/ready"))["simulated"] is True
    real = deployment.start("serve")
    await real.until("/system", role("leading"))
    await real.ready()
    assert (await real.get("/ready"))["simulated"] is False
    await deployment.until_served(real)
    assert await simulated.stop() == 0


async def test_another_exchange_does_not_start_and_changes_nothing(deployment: Deployment) -> None:
    """A changed `BINANCE_REST_URL`: with a leader and without one."""
    ingest = deployment.start("ingest")
    await ingest.ready()
    other = deployment.program("simulator", "--speed", str(SPEED)).start()
    await other.until("/api/v3/time", lambda _: True)
    urls: dict[str, Any] = {
        "BINANCE_REST_URL": other.url,
        "BINANCE_WS_URL": other.url.replace("http", "ws"),
    }
    for command in ("serve", "ingest"):
        wrong = deployment.start(command, **urls)
        assert await wrong.ended() == 2
        assert "SMARTTRADE_REDIS_NAMESPACE" in wrong.log.read_text()
        assert origin_of(deployment.simulator) in wrong.log.read_text()
    assert await ingest.stop() == 0
    before = stored_keys(deployment)
    assert await deployment.start("serve", **urls).ended() == 2
    assert stored_keys(deployment) == before
    fine = deployment.start("serve", SMARTTRADE_REDIS_NAMESPACE="other", **urls)
    await fine.ready()


async def test_gateway_begins_anew_when_the_exchange_changes(deployment: Deployment) -> None:
    ingest = deployment.start("ingest")
    gateway = deployment.start("gateway")
    await ingest.ready()
    await gateway.ready()
    ingest.kill()
    with deployment.redis.client() as redis:
        redis.flushall()
    deployment.simulator.kill()
    deployment.simulator = deployment.program("simulator", "--speed", str(SPEED)).start()
    await deployment.simulator.until("/api/v3/time", lambda _: True)
    await deployment.start("ingest").ready()
    await gateway.until_logged("relay_reloads")
    await gateway.ready()
    await deployment.until_served(gateway)


async def test_candles_of_0_1_0_are_read_anew(deployment: Deployment) -> None:
    with deployment.redis.client() as redis:
        redis.hset("smarttrade:meta", mapping={"format": "1", "leader": "x", "epoch": "1"})
        for symbol in SYMBOLS:
            key = f"smarttrade:candles:{symbol}:1m"
            redis.rpush(key, "[1733007600000,1.0,1.0,1.0,1.0,1.0,true,0,false]")
    serve = deployment.start("serve")
    await serve.ready()
    await deployment.until_served(serve)
    lines = serve.log.read_text().splitlines()
    assert sum("former_format_ignored" in line for line in lines) == 1


async def test_what_a_later_version_stores_is_left_alone(deployment: Deployment) -> None:
    """It takes the lead in the middle of an upgrade, and goes again: the upgrade is given up."""
    ingest = deployment.start("ingest")
    await ingest.ready()
    gateway = deployment.start("gateway")
    await gateway.ready()
    with deployment.redis.client() as redis:
        redis.set("{smarttrade:0}:lease", f"later@{origin_of(deployment.simulator)}", px=4000)
        redis.hset("{smarttrade:0}:meta", mapping={"format": "4", "leader": "later", "epoch": "7"})
        await ingest.until("/system", role("standby"))
        before = stored_keys(deployment)
        await ingest.until("/system", role("away"))
        await gateway.until("/system", role("away"))
        serve = deployment.start("serve")
        await serve.ready()
        await trio.sleep(3)
        assert stored_keys(deployment) == before
        assert (await serve.get("/system"))["store"]["role"] == "away"
        assert "format '4'" in (await serve.get("/system"))["store"]["last_error"]
        assert (await gateway.get("/streaming/status"))["feed"] == "stale"
        assert len((await gateway.get("/candles/BTCUSDT/1m"))["candles"]) == 500
        redis.hset("{smarttrade:0}:meta", "format", "3")
    await gateway.ready()
    await deployment.until_served(gateway)


async def test_stored_candles_of_the_future_are_never_served(deployment: Deployment) -> None:
    first = deployment.start("serve")
    await first.ready()
    await first.until("/system", role("leading"))
    assert await first.stop() == 0
    prefix = f"{{smarttrade:0}}:candles:{origin_of(deployment.simulator)}"
    with deployment.redis.client() as redis:
        for symbol in SYMBOLS:
            key = f"{prefix}:{symbol}:1m"
            texts: Any = redis.lrange(key, 0, -1)
            redis.delete(key)
            for text in texts:
                fields = json.loads(text)
                fields[0], fields[7] = fields[0] + 1000 * HOUR, fields[7] + 1000 * HOUR
                redis.rpush(key, json.dumps(fields, separators=(",", ":")))
    second = deployment.start("serve")
    clock = (await deployment.simulator.get("/api/v3/time"))["serverTime"] // 1000
    async with httpx.AsyncClient(trust_env=False) as http:
        with trio.fail_after(MAX_WAIT):
            while True:
                await trio.sleep(POLL_INTERVAL)
                try:
                    answer = await http.get(second.url + "/candles/BTCUSDT/1m?limit=1000")
                    ready = await http.get(second.url + "/ready")
                except httpx.HTTPError:
                    continue
                if answer.status_code == httpx.codes.OK:
                    assert answer.json()["candles"][-1]["time"] < clock + HOUR // 1000
                if ready.status_code == httpx.codes.OK:
                    break
    await deployment.until_served(second)


async def test_hostile_values_end_and_block_nothing(deployment: Deployment) -> None:
    ingest = deployment.start("ingest")
    gateway = deployment.start("gateway")
    for program in (ingest, gateway):
        await program.ready()
    prefix = f"{{smarttrade:0}}:candles:{origin_of(deployment.simulator)}"
    values: list[Any] = [
        lambda redis: redis.hset("{smarttrade:0}:meta", "seq", "9" * 5000),
        lambda redis: redis.hset("{smarttrade:0}:meta", "format", b"\xff\xfe"),
        lambda redis: redis.hset("{smarttrade:0}:meta", "state", b"\xff"),
        lambda redis: redis.hset("{smarttrade:0}:meta", "origin", b"\xff"),
        lambda redis: redis.hset("{smarttrade:0}:meta", "time", "9" * 40),
        lambda redis: redis.xadd("{smarttrade:0}:changes", {"seq": "1", "data": "[" * 99}),
        lambda redis: redis.lset(f"{prefix}:BTCUSDT:1m", 5, "[1,2"),
        lambda redis: redis.set("{smarttrade:0}:lease", b"\xff" * 9999),
        lambda redis: redis.delete("{smarttrade:0}:changes"),
    ]
    for plant in values:
        with deployment.redis.client() as redis:
            plant(redis)
        await trio.sleep(1.5)
        assert ingest.status() is None
        assert gateway.status() is None
    await trio.sleep(3)
    for program in (ingest, gateway):
        await program.ready()
        assert len(program.log.read_text().splitlines()) < 200
    await ingest.until("/system", role("leading"))
    await gateway.until("/system", role("following"))
    await deployment.until_served(gateway)  # the changed list is found in its turn
    restarted = [deployment.start("ingest"), deployment.start("gateway")]
    for program in restarted:
        await program.ready()


async def test_series_that_another_ingest_lacks_returns_whole(deployment: Deployment) -> None:
    """The lead goes to an ingest with fewer symbols, and back."""
    every = deployment.start("ingest")
    await every.until("/system", role("leading"))
    few = deployment.start("ingest", SMARTTRADE_SYMBOLS="BTCUSDT")
    await few.until("/system", role("standby"))
    await few.until_logged("leader_has_other_series")
    gateway = deployment.start("gateway")
    await gateway.ready()
    client = Client(("ETHUSDT", "1m"), ("BTCUSDT", "1m"))
    async with client.connected(gateway.url):
        await trio.sleep(2)
        assert await every.stop() == 0
        await few.until("/system", role("leading"))
        await trio.sleep(15)  # five minutes of the exchange
        every = deployment.start("ingest", port=free_port())
        await every.until("/system", role("standby"))
        assert await few.stop() == 0
        await every.until("/system", role("leading"))
        await deployment.until_received(client)
    assert client.faults == []


async def test_gateway_knows_the_symbols_as_its_ingest_does(deployment: Deployment) -> None:
    ingest = deployment.start("ingest")
    await ingest.ready()
    gateway = deployment.start("gateway")
    await gateway.ready()
    details = (await gateway.get("/symbols?details=1"))["details"]
    assert [each["symbol"] for each in details] == list(SYMBOLS)
    assert all(each["status"] == "TRADING" and each["decimals"] for each in details)
    hosts = (await ingest.get("/system"))["hosts"]
    healthy = {"host": origin_of(deployment.simulator), "state": "ok", "retry_in": 0}
    assert hosts == [{"use": "rest", **healthy}, {"use": "stream", **healthy}]
    assert (await gateway.get("/system"))["hosts"] == []
