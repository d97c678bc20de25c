"""Processes that are killed, paused and moved between, around a Redis that is lost.

Here is what the operations manual promises, with real processes, sockets and servers. The
exchange's time runs fast, so that minutes end every few seconds.
"""

from __future__ import annotations

import signal
import time

import pytest
import trio

from tests.fakes.deployment import SERIES, Deployment, role
from tests.fakes.ports import free_port
from tests.fakes.processes import Client, until

pytestmark = pytest.mark.slow


async def test_restart_after_kill_9(deployment: Deployment) -> None:
    first = deployment.start("serve")
    await first.ready()
    await trio.sleep(1)
    first.kill()
    await trio.sleep(3)
    before, kept_waiting = await deployment.requests(), deployment.kept_waiting()
    second = deployment.start("serve", port=first.port)
    served = await second.until("/candles/BTCUSDT/1m?limit=1000", lambda a: len(a["candles"]) > 900)
    cpu = second.cpu
    ready = await second.ready()
    print(f"served {served:.2f} s, cpu {cpu:.2f} s, ready {ready:.2f} s")
    await deployment.assert_few_requests(second, before)
    assert cpu < 1.0
    assert ready - (deployment.kept_waiting() - kept_waiting) < 10
    await deployment.until_served(second)
    assert await second.stop() == 0


async def test_redis_killed_and_started_empty(deployment: Deployment) -> None:
    serve = deployment.start("serve")
    await serve.ready()
    client = Client(*SERIES)
    async with client.connected(serve.url):
        deployment.redis.kill()
        await serve.until("/system", role("away"))
        updates = client.updates
        await until(lambda: client.updates > updates + 20)
        await serve.ready()  # about candles
        deployment.redis.start()
        await serve.until("/system", role("leading"))
        prefix = "{smarttrade:0}:candles:" + deployment.simulator.url.removeprefix("http://")
        keys = [":".join((prefix, *series)) for series in SERIES]
        with deployment.redis.client() as redis:
            await until(lambda: [redis.llen(key) for key in keys] == [1000] * len(keys))
    gateway = deployment.start("gateway")
    await gateway.ready()
    await deployment.until_served(gateway)
    assert client.faults == []


async def test_leader_killed_and_clients_move(deployment: Deployment) -> None:
    ingests = [deployment.start("ingest")]
    await ingests[0].until("/system", role("leading"))
    ingests.append(deployment.start("ingest"))
    await ingests[1].until("/system", role("standby"))
    port = free_port()
    gateways = [deployment.start("gateway", "--reuse-port", port=port) for _ in range(2)]
    alone = deployment.start("gateway")
    for program in (*gateways, alone, ingests[1]):
        await program.ready()
    clients = [Client(*SERIES) for _ in range(6)]
    moving = Client(*SERIES)
    async with trio.open_nursery() as nursery:

        async def stay(client: Client) -> None:
            async with client.connected(gateways[0].url):
                await trio.sleep_forever()

        async def move() -> None:
            for number in range(100):
                async with moving.connected((gateways[0], alone)[number % 2].url):
                    await trio.sleep(1.1)

        for client in clients:
            nursery.start_soon(stay, client)
        nursery.start_soon(move)
        await trio.sleep(3)
        await until(lambda: all(client.updates for client in clients))
        ingests[0].kill()
        killed_at, kept_waiting = time.monotonic(), deployment.kept_waiting()
        await trio.sleep(0.3)
        before = [client.updates for client in clients]
        await until(lambda: [client.updates for client in clients] != before)
        waited = max(client.last_update_at for client in clients) - killed_at
        print(f"next update {waited:.2f} s after the leader was killed")
        assert waited - (deployment.kept_waiting() - kept_waiting) < 5
        await trio.sleep(8)
        await ingests[1].until("/system", role("leading"))
        for client in clients:
            await deployment.until_received(client)
        nursery.cancel_scope.cancel()
    for client in (*clients, moving):
        assert client.faults == []
        assert await deployment.client_differences(client) == []
    for program in (*gateways, alone):
        await deployment.until_served(program)
        assert await program.stop() == 0
    assert await ingests[1].stop() == 0


async def test_paused_leader_does_no_harm(deployment: Deployment) -> None:
    """Split brain: the old leader wakes up while another one leads."""
    old, new = deployment.start("ingest"), None
    await old.until("/system", role("leading"))
    new = deployment.start("ingest")
    await new.until("/system", role("standby"))
    gateway = deployment.start("gateway")
    await gateway.ready()
    client = Client(*SERIES)
    async with client.connected(gateway.url):
        old.send(signal.SIGSTOP)
        await new.until("/system", role("leading"))
        await trio.sleep(3)
        old.send(signal.SIGCONT)
        await old.until("/system", role("standby"))
        await trio.sleep(4)
        await new.until("/system", role("leading"))
        await deployment.until_received(client)
    assert client.faults == []
    await deployment.until_served(gateway)


async def test_gateway_outlives_redis(deployment: Deployment) -> None:
    ingest = deployment.start("ingest")
    await ingest.ready()
    gateway = deployment.start("gateway")
    await gateway.ready()
    client = Client(*SERIES)
    async with client.connected(gateway.url):
        deployment.redis.freeze()
        frozen_at = time.monotonic()
        await until(lambda: client.feeds[-1] == "stale")
        print(f"stale after {time.monotonic() - frozen_at:.2f} s")
        page = await gateway.get("/candles/BTCUSDT/1m?limit=5")
        assert len(page["candles"]) == 5
        deployment.redis.kill()
        await trio.sleep(2)
        deployment.redis.start()
        await until(lambda: client.feeds[-1] == "live")
        await trio.sleep(4)
        await deployment.until_received(client)
    assert client.faults == []
    deployment.redis.freeze()
    assert [await program.stop() for program in (gateway, ingest)] == [0, 0]


async def test_second_serve_does_not_fight(deployment: Deployment) -> None:
    one = deployment.start("serve")
    await one.until("/system", role("leading"))
    two = deployment.start("serve")
    await two.until("/system", role("standby"))
    await two.ready()
    await deployment.until_served(two)
    assert await one.stop() == 0
    await two.until("/system", role("leading"))
    await deployment.until_served(two)


async def test_parts_need_redis(deployment: Deployment) -> None:
    for part in ("ingest", "gateway"):
        program = deployment.start(part, USE_MEMORY_STORE="1")
        await program.until_logged("USE_MEMORY_STORE")
