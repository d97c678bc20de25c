"""TLS to one server, to a Redis Cluster, and to a Sentinel and what it names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import trio

from smarttrade.store.database import DatabaseUnavailable, Leading
from smarttrade.store.redis_database import RedisDatabase
from tests.fakes.database import BINANCE
from tests.fakes.ports import free_port
from tests.fakes.redis_cluster import SLOTS, ClusterServer
from tests.fakes.redis_sentinel import NAME, SentinelServer
from tests.fakes.redis_server import RedisServer


class Tls:
    """A server's binary, a certificate for this machine, and a port for each that uses it."""

    def __init__(self, binary: str, directory: Path) -> None:
        self.binary = binary
        self.certificate = directory / "certificate.pem"
        self.key = directory / "key.pem"
        self.port = free_port()

    @property
    def options(self) -> dict[str, str]:
        return {
            "tls-port": str(self.port),
            "tls-cert-file": str(self.certificate),
            "tls-key-file": str(self.key),
            "tls-ca-cert-file": str(self.certificate),
            "tls-auth-clients": "no",
        }

    @property
    def arguments(self) -> list[str]:
        return [word for name, value in self.options.items() for word in (f"--{name}", value)]

    def url(self, form: str, port: int, path: str = "") -> str:
        return f"rediss{form}://127.0.0.1:{port}{path}?ssl_ca_certs={self.certificate}"


@pytest.fixture
async def tls(tmp_path: Path) -> Tls:
    openssl, server = shutil.which("openssl"), shutil.which("redis-server")
    if openssl is None or server is None:
        pytest.skip("needs openssl, and a redis-server that speaks TLS")
    made = Tls(server, tmp_path)
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    generate = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(made.key))
    await trio.run_process(
        [openssl, *generate, "-out", str(made.certificate), *subject], capture_stderr=True
    )
    return made


async def assert_works_only_with_the_certificate(url: str) -> None:
    database = RedisDatabase(url, "test", timeout=2.0, stream_length=10, exchange=BINANCE)
    assert await database.acquire("me", 60.0) == Leading(1, 0)
    database = RedisDatabase(
        url.partition("?")[0], "test", timeout=2.0, stream_length=10, exchange=BINANCE
    )
    with pytest.raises(DatabaseUnavailable, match=r"(?i)certificate"):
        await database.acquire("me", 60.0)


async def test_one_server(tls: Tls, tmp_path: Path) -> None:
    with RedisServer(tls.binary, tmp_path, *tls.arguments):
        await assert_works_only_with_the_certificate(tls.url("", tls.port))


async def test_cluster(tls: Tls, tmp_path: Path) -> None:
    own = ("--tls-cluster", "yes")  # it names the ports of TLS only then
    server = ClusterServer(tls.binary, tmp_path / "node", 1000, *tls.arguments, *own)
    with server, trio.fail_after(20):
        server.ask("CLUSTER ADDSLOTS", *range(SLOTS))
        while server.ask("CLUSTER INFO")["cluster_state"] != "ok":
            await trio.sleep(0.05)
        await assert_works_only_with_the_certificate(tls.url("+cluster", tls.port))


async def test_sentinel(tls: Tls, tmp_path: Path) -> None:
    own = Tls(tls.binary, tmp_path)
    options = {**own.options, "tls-replication": "yes"}  # to the primary, too
    sentinel = SentinelServer(tls.binary, tmp_path, tls.port, quorum=1, options=options)
    with RedisServer(tls.binary, tmp_path, *tls.arguments), sentinel, trio.fail_after(20):
        await trio.sleep(0.5)  # until the Sentinel knows that the primary is up
        url = tls.url("+sentinel", own.port, f"/{NAME}")
        await assert_works_only_with_the_certificate(url)
