from __future__ import annotations

import socket

import pytest

from smarttrade.web.server.sockets import CannotListenError, open_listeners


async def test_localhost_is_both_loopback_addresses() -> None:
    for host in ("localhost", "127.0.0.1"):
        listeners = await open_listeners(host, 0)
        names = [listener.socket.getsockname()[:2] for listener in listeners]
        assert [address for address, _ in names] == ["127.0.0.1", "::1"][: len(names)]
        assert len({port for _, port in names}) == 1
        for listener in listeners:
            await listener.aclose()


async def test_a_taken_port_is_reported_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListenError, match=f"port {port} on 127.0.0.1 is taken.*set PORT"):
            await open_listeners("127.0.0.1", port)


async def test_a_port_may_be_shared_by_processes() -> None:
    first = await open_listeners("127.0.0.1", 0, reuse_port=True)
    port = first[0].socket.getsockname()[1]
    second = await open_listeners("127.0.0.1", port, reuse_port=True)
    for listener in (*first, *second):
        await listener.aclose()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
async def test_a_host_that_is_not_this_machine_is_reported(host: str) -> None:
    with pytest.raises(CannotListenError, match="set HOST to 127"):
        await open_listeners(host, 0)
