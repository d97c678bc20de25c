from __future__ import annotations

import gc
import itertools
import ssl
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import memory_stream_pair

from smarttrade.session.outbox import Outbox
from smarttrade.web.access import Access
from smarttrade.web.edge.context import edge_for
from smarttrade.web.server.accept import serve_web
from smarttrade.web.server.sockets import open_listeners
from smarttrade.web.server.tls import TurnStream
from smarttrade.web.server_limits import ServerCounters, ServerLimits
from tests.smarttrade.web.raw_client import Application, RawClient

HANDSHAKES = 8  # that the address of the clients may begin


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for localhost in one file."""
    path = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    files = ["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost"]
    try:
        subprocess.run([*command.split(), *files], cwd=path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the openssl command")
    both = path / "both.pem"
    both.write_bytes((path / "key.pem").read_bytes() + (path / "cert.pem").read_bytes())
    return both


@dataclass
class TlsServer:
    port: int
    application: Application
    counters: ServerCounters
    client_context: ssl.SSLContext

    async def connect(self) -> RawClient:
        stream = await trio.open_ssl_over_tcp_stream(
            "127.0.0.1", self.port, ssl_context=self.client_context, https_compatible=True
        )
        await stream.do_handshake()
        return RawClient(stream)


async def start_server(nursery: trio.Nursery, certificate: Path, access: Access) -> TlsServer:
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate)
    theirs = ssl.create_default_context()
    theirs.check_hostname = False
    theirs.verify_mode = ssl.CERT_NONE
    listeners = await open_listeners("127.0.0.1", 0)
    application, counters = Application(), ServerCounters()
    await nursery.start(
        partial(
            serve_web,
            application.build(),
            listeners,
            limits=ServerLimits(linger=0.1, head_timeout=0.2),
            counters=counters,
            draining=application.draining,
            drain_timeout=1,
            access=access,
            ssl_context=ours,
        )
    )
    port = listeners[0].socket.getsockname()[1]
    return TlsServer(port, application, counters, theirs)


async def test_tls_clients_are_served_and_closed_on_stop(
    certificate: Path, nursery: trio.Nursery
) -> None:
    server = await start_server(nursery, certificate, Access())
    silent = await trio.open_tcp_stream("127.0.0.1", server.port)
    client = await server.connect()
    with trio.fail_after(3):
        await client.upgrade("/ws?me")
        await server.application.joined("/ws?me")
        server.application.post(1, size=100_000)
        assert (await client.text()).startswith("candle 1")
        await client.say("hi")
        assert await client.text() == "echo hi"
        assert await silent.receive_some() == b""
        server.application.draining.set()
        assert await client.close_code() == 1001
    await client.close()
    await silent.aclose()
    assert server.counters.failed == 0


async def test_handshakes_are_charged_to_their_address(
    certificate: Path, nursery: trio.Nursery
) -> None:
    access = Access(burst=HANDSHAKES, requests_per_second=0.001, exempts_loopback=False)
    server = await start_server(nursery, certificate, access)
    with trio.fail_after(5):
        clients = [await server.connect() for _ in range(HANDSHAKES)]
        with pytest.raises(trio.BrokenResourceError):
            await server.connect()
    assert server.counters.refused_rate == 1
    assert server.counters.failed == 0
    for client in clients:
        await trio.aclose_forcefully(client.stream)
    server.application.draining.set()


async def test_nothing_is_left_of_clients_that_only_greet(
    certificate: Path, nursery: trio.Nursery
) -> None:
    server = await start_server(nursery, certificate, Access())
    for _ in range(3):
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        await stream.send_all(b"\x16\x03\x01\x00\x05hello")
        await stream.receive_some()
        await stream.aclose()
    with trio.fail_after(3):
        while server.counters.open:
            await trio.sleep(0.01)
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Outbox)]
    server.application.draining.set()


async def test_one_read_is_handled_in_each_turn_of_the_loop() -> None:
    edge, order = edge_for(None, ServerLimits(), ServerCounters()), list[str]()  # type: ignore[arg-type]

    async def read(name: str, stream: TurnStream) -> None:
        await stream.receive_some()
        order.append(name)

    async def others() -> None:
        for _ in range(8):
            await trio.lowlevel.checkpoint()
            order.append("-")

    async with trio.open_nursery() as nursery:
        for name in "abc":
            ours, theirs = memory_stream_pair()
            await theirs.send_all(b"hello")
            nursery.start_soon(read, name, TurnStream(ours, edge))
        nursery.start_soon(others)
    text = "".join(order)
    assert sorted(text.replace("-", "")) == ["a", "b", "c"]
    assert not any(one in "abc" and two in "abc" for one, two in itertools.pairwise(text))
