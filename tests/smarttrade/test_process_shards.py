"""Several shards, each with a leader of its own, behind one gateway: with real processes."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from smarttrade.store.shards import shard_of
from tests.fakes.deployment import SERIES, SYMBOLS, Deployment, role
from tests.fakes.processes import Client

pytestmark = pytest.mark.slow

SHARDS: dict[str, Any] = {"SMARTTRADE_SHARDS": "2"}


async def test_leader_of_one_shard_is_killed_and_no_candle_is_lost(deployment: Deployment) -> None:
    first = deployment.start("ingest", "--shard", "0", **SHARDS)
    other = deployment.start("ingest", **SHARDS, SMARTTRADE_SHARD="1")
    for ingest in (first, other):
        await ingest.until("/system", role("leading"))
    standby = deployment.start("ingest", "--shard", "0", **SHARDS)
    await standby.until("/system", role("standby"))
    await standby.until_logged('"shard": 0')
    gateway = deployment.start("gateway", **SHARDS)
    await gateway.ready()
    assert (await gateway.get("/symbols"))["symbols"] == list(SYMBOLS)
    served = (await first.get("/streaming/status"))["symbols"]
    assert served == [symbol for symbol in SYMBOLS if shard_of(symbol, 2) == 0]
    client = Client(*SERIES)
    async with client.connected(gateway.url):
        await trio.sleep(2)
        first.kill()
        await standby.until("/system", role("leading"))
        await trio.sleep(8)
        await deployment.until_received(client)
    assert client.faults == []
    await deployment.until_served(gateway)
    for program in (other, standby, gateway):
        assert await program.stop() == 0


async def test_one_process_has_all_shards(deployment: Deployment) -> None:
    serve = deployment.start("serve", **SHARDS)
    await serve.until("/system", role("leading"))
    await serve.ready()
    gateway = deployment.start("gateway", **SHARDS)
    await gateway.ready()
    await deployment.until_served(gateway)
    serve.kill()
    again = deployment.start("serve", port=serve.port, **SHARDS)
    before = await deployment.requests()
    await again.until("/candles/BTCUSDT/1m?limit=1000", lambda a: len(a["candles"]) > 900)
    await again.ready()
    await deployment.assert_few_requests(again, before)
    await deployment.until_served(again)
    assert await again.stop() == 0


async def test_another_number_of_shards_does_not_start(deployment: Deployment) -> None:
    ingest = deployment.start("ingest", **SHARDS)
    await ingest.until("/system", role("leading"))
    for command in ("ingest", "serve", "gateway"):
        wrong = deployment.start(command, "--shards", "4")
        assert await wrong.ended() == 2
        text = wrong.log.read_text()
        assert "SMARTTRADE_SHARDS=2" in text
        assert "Traceback" not in text
    for command in ("serve", "gateway"):
        assert await deployment.start(command, "--shard", "1", **SHARDS).ended() == 2
    assert await deployment.start("ingest", "--shard", "2", **SHARDS).ended() == 2
    beside = deployment.start("ingest", "--shards", "4", "--redis-namespace", "smarttrade-4")
    gateway = deployment.start("gateway", "--shards", "4", "--redis-namespace", "smarttrade-4")
    await beside.ready()
    await gateway.ready()
    assert await ingest.stop() == 0
    await ingest.until_logged("stopped")
