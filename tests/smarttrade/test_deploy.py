"""Another version is deployed, one gateway after the other, and no client misses a candle."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio_websocket

from tests.fakes.deployment import SERIES, Deployment
from tests.fakes.ports import free_port
from tests.fakes.processes import Client, Program

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIGURATION = Path(__file__).parents[2] / "docs" / "deploy" / "nginx-compose.conf"


@contextmanager
def balancer(directory: Path, gateways: list[Program]) -> Iterator[str]:
    """nginx, as the deployment files have it, in front of these; its URL."""
    port = free_port()
    text = CONFIGURATION.read_text().replace("8080", f"127.0.0.1:{port}")
    for number, gateway in enumerate(gateways, 1):
        text = text.replace(f"gateway-{number}:8000", f"127.0.0.1:{gateway.port}")
    file = directory / "nginx.conf"
    file.write_text(
        f"daemon off; pid {directory}/pid; error_log {directory}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off;\n{text}\n}}\n"
    )
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-p", str(directory), "-c", str(file)])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


async def until_it_listens(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with trio.fail_after(30):
        while True:
            try:
                await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
            except OSError:
                await trio.sleep(0.05)
            else:
                return


async def stay(client: Client, urls: list[str], ends: list[int], refused: list[str]) -> None:
    """Stay connected as a front end does: back at once, to the gateway that is next."""
    turn = 0
    while True:
        url = urls[turn % len(urls)]
        turn += 1
        try:
            await client._listen(url, trio.Event())
        except trio_websocket.ConnectionClosed as error:
            ends.append(error.reason.code if error.reason else 1006)
        except (OSError, trio_websocket.HandshakeError) as error:
            refused.append(repr(error))
            await trio.sleep(0.1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the client's
@pytest.mark.parametrize(
    "through",
    [
        "nothing",
        pytest.param("nginx", marks=pytest.mark.skipif(NGINX is None, reason="no nginx here")),
    ],
)
async def test_a_deploy_loses_no_clients_data(
    deployment: Deployment, tmp_path: Path, through: str
) -> None:
    await deployment.start("ingest").ready()
    gateways = [deployment.start("gateway") for _ in range(2)]
    for gateway in gateways:
        await gateway.ready()
    if through == "nginx":
        with balancer(tmp_path, gateways) as url:
            await until_it_listens(url)
            assert await deploy(deployment, gateways, [url]) == []
    else:
        await deploy(deployment, gateways, [gateway.url for gateway in gateways])


async def deploy(deployment: Deployment, gateways: list[Program], urls: list[str]) -> list[str]:
    """Restart one gateway after the other; returns why clients were refused meanwhile."""
    clients = [Client(*SERIES) for _ in range(5)]
    ends: list[int] = []
    refused: list[str] = []
    async with trio.open_nursery() as nursery:
        for number, client in enumerate(clients):
            nursery.start_soon(stay, client, urls[number % len(urls) :] + urls, ends, refused)
        await trio.sleep(1)
        for gateway in gateways:
            assert await gateway.stop() == 0
            await trio.sleep(1)
            await gateway.start().ready()
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert len(ends) >= len(clients)
    assert set(ends) == {1001}
    for client in clients:
        assert client.updates > 0
        assert not client.faults
        assert not await deployment.client_differences(client)
    return refused
