"""Closes, corrections, first candles and symbols, from one process to another, with a real Redis.

A candle that was closed is never served as forming again, what was corrected is known wherever a
client comes back, and a symbol that was delisted keeps its history.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import httpx
import pytest
import trio

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.redis_format import Keys
from tests.fakes.deployment import SERIES, SYMBOLS, Deployment, role
from tests.fakes.ports import free_port
from tests.fakes.processes import Client, Program, history, until
from tests.fakes.redis_server import RedisServer

CORRECTED = ("BTCUSDT", "1m")
MINUTE = 60  # seconds, of the exchange
COMPARED = 100  # candles at the end of each list


@pytest.fixture
def speed() -> int:
    return 30  # a minute of the exchange every two seconds


class StoredLists:
    """Watches every list of candles in Redis, and records what went back."""

    def __init__(self, redis: RedisServer, origin: str) -> None:
        self.faults: list[str] = []
        self.closes = 0
        self._redis = redis
        keys = Keys("smarttrade", 0)
        self._keys = [keys.candles(origin, Series(name, Interval(i))) for name, i in SERIES]
        self._lengths = dict.fromkeys(self._keys, 0)
        self._before: dict[str, dict[int, bool]] = {key: {} for key in self._keys}

    async def watch(self) -> None:
        with self._redis.client() as redis:
            while True:
                for key in self._keys:
                    length: Any = redis.llen(key)
                    texts: Any = redis.lrange(key, -COMPARED, -1)
                    self._compare(key, length, {c[0]: c[6] for c in map(json.loads, texts)})
                await trio.sleep(0.05)

    def _compare(self, key: str, length: int, stored: dict[int, bool]) -> None:
        """`stored` says of each open time whether its candle is closed."""
        before, self._before[key] = self._before[key], stored
        former, self._lengths[key] = self._lengths[key], length
        if length < former or max(stored, default=0) < max(before, default=0):
            self.faults.append(f"{key}: {former} candles were replaced by {length}")
        for time, closed in stored.items():
            if not closed and before.get(time):
                self.faults.append(f"{key}: {time} was closed")
            self.closes += closed and before.get(time) is False


async def control(deployment: Deployment, method: str, **body: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.request(
            method,
            f"{deployment.simulator.url}/sim/faults",
            headers={"Authorization": "Bearer control"},
            json=body or None,
        )
    assert answer.status_code == httpx.codes.OK, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def test_standby_that_lags_undoes_no_close(deployment: Deployment) -> None:
    """Its stream stalls and REST hangs; the leader closes candles, and is killed."""
    simulator = deployment.simulator
    leader = deployment.start("ingest", SMARTTRADE_LEASE_TTL="1")
    await leader.until("/system", role("leading"))
    other_name = f"ws://localhost:{simulator.port}"
    standby = deployment.start("ingest", SMARTTRADE_LEASE_TTL="1", BINANCE_WS_URL=other_name)
    gateway = deployment.start("gateway")
    await standby.until("/system", role("standby"))
    for program in (leader, standby, gateway):
        await program.ready()
    client = Client(*SERIES)
    lists = StoredLists(deployment.redis, simulator.url.removeprefix("http://"))
    async with trio.open_nursery() as nursery, client.connected(gateway.url):
        nursery.start_soon(lists.watch)
        await control(deployment, "POST", fault="rest_hang")
        await control(deployment, "POST", fault="only_hosts", value=["localhost"])
        await control(deployment, "POST", fault="stall", value=[])
        await until(lambda: lists.closes >= 3 * 3)  # three minutes of three symbols
        leader.kill()
        await standby.until("/system", role("leading"))
        await trio.sleep(0.5)
        await control(deployment, "DELETE")
        await standby.ready()
        await gateway.ready()
        await trio.sleep(1.5)
        await deployment.until_received(client)
        assert lists.faults == []
        assert client.faults == []
        nursery.cancel_scope.cancel()
    await deployment.until_served(gateway)


async def test_correction_reaches_clients_that_come_back_elsewhere(deployment: Deployment) -> None:
    """To another gateway, to one that was started later, and to a process that was restarted."""
    # The first turn of the audit is a quarter of its round after the start.
    audited: dict[str, Any] = {"SMARTTRADE_AUDIT_ROUND": "10", "SMARTTRADE_INTERVALS": "1m"}
    audited["SMARTTRADE_SYMBOLS"] = "BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT"
    serve = deployment.start("serve", **audited)
    early = deployment.start("gateway")
    for program in (serve, early):
        await program.ready()
    left = Client(CORRECTED)
    async with left.connected(serve.url):
        await trio.sleep(0.2)
    expected = await correct_a_candle(deployment, left)
    for program in (serve, early):
        await until_served(program, expected)
    later = deployment.start("gateway")
    assert await serve.stop() == 0
    restarted = deployment.start("serve", port=free_port(), **audited)
    for program in (early, later, restarted):
        await program.ready()
        await assert_corrected(left, program, expected)


async def correct_a_candle(deployment: Deployment, left: Client) -> dict[str, Any]:
    """Have the exchange change a candle that `left` holds; what it is now."""
    symbol, interval = CORRECTED
    changed = max(left.charts[CORRECTED]) - 5 * MINUTE
    alteration = {"symbol": symbol, "interval": interval, "open_time": changed * 1000}
    await control(deployment, "POST", fault="alter", **alteration)
    expected = (await history(deployment.simulator.url, *CORRECTED))[changed]
    assert left.charts[CORRECTED][changed] != (expected, True)
    return expected


async def until_served(program: Program, expected: dict[str, Any]) -> None:
    path = "/candles/{}/{}?limit=100".format(*CORRECTED)
    await program.until(path, lambda page: expected in page["candles"])


async def assert_corrected(left: Client, program: Program, expected: dict[str, Any]) -> None:
    """A client that left before the correction comes back to `program`."""
    client = Client(CORRECTED)
    client.charts = copy.deepcopy(left.charts)
    async with client.connected(program.url):
        await until(lambda: client.charts[CORRECTED][expected["time"]] == (expected, True))
    assert client.faults == []


async def test_series_without_history_reaches_gateways(deployment: Deployment) -> None:
    """A symbol that begins to trade, of which nothing is listed or sent at first."""
    simulator = deployment.simulator
    new = [("NEWUSDT", "1m"), ("NEWUSDT", "5m")]
    streams = [f"newusdt@kline_{interval}" for _, interval in new]
    await control(deployment, "POST", fault="list", symbol="NEWUSDT")
    await control(deployment, "POST", fault="rest_lag", value=60 * MINUTE)
    await control(deployment, "POST", fault="stall", value=streams)
    ingest = deployment.start("ingest", SMARTTRADE_SYMBOLS="BTCUSDT,NEWUSDT")
    gateway = deployment.start("gateway")
    await ingest.until("/system", role("leading"))
    await gateway.until("/candles/BTCUSDT/1m", lambda _: True)
    await trio.sleep(0.5)
    assert await history(simulator.url, "NEWUSDT", "1m") == {}
    page = await gateway.get("/candles/NEWUSDT/1m")
    assert not page.get("candles")
    await control(deployment, "DELETE")
    later = deployment.start("gateway")
    for program in (gateway, later):
        for symbol, interval in new:
            await program.until(f"/candles/{symbol}/{interval}", lambda page: page["candles"])
    client = Client(*new)
    async with client.connected(gateway.url):
        await trio.sleep(1.5)
        await deployment.until_received(client)
    assert client.faults == []
    for program in (gateway, later):
        await deployment.until_served(program, new)


async def test_symbol_that_is_delisted_while_no_process_runs_keeps_its_history(
    deployment: Deployment,
) -> None:
    serve = deployment.start("serve")
    await serve.ready()
    assert await serve.stop() == 0
    await control(deployment, "POST", fault="unknown", value=["ETHUSDT"])
    restarted = deployment.start("serve", port=free_port())
    await restarted.ready()
    assert (await restarted.get("/symbols"))["symbols"] == list(SYMBOLS)
    [not_trading] = (await restarted.get("/ready"))["symbols"]
    assert (not_trading["symbol"], not_trading["state"]) == ("ETHUSDT", "delisted")
    assert len((await restarted.get("/candles/ETHUSDT/1m?limit=1000"))["candles"]) >= 999
