"""Over real loopback sockets, with the clients that the project and others use."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from trio_websocket import open_websocket_url

from smarttrade.simulator import Exchange, inject, serve_exchange

from .clients import exchange, get, http_client, its_end


@asynccontextmanager
async def serving(venue: Exchange) -> AsyncIterator[str]:
    """Host and port of a running exchange."""
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_exchange, venue)
            yield f"127.0.0.1:{port}"
            nursery.cancel_scope.cancel()


async def test_rest_and_stream_share_a_port() -> None:
    venue = exchange(speed=20.0)
    async with serving(venue) as address, httpx.AsyncClient(base_url=f"http://{address}") as client:
        query = "symbol=BTCUSDT&interval=1m&limit=1000"
        rows = (await client.get(f"/api/v3/klines?{query}")).json()
        assert len(rows) == 1000
        url = f"ws://{address}/stream?streams=btcusdt@kline_1m"
        async with open_websocket_url(url) as connection:
            heard = [json.loads(await connection.get_message()) for _ in range(5)]
        assert heard[0]["data"]["k"]["t"] >= rows[-1][0]


async def test_a_cut_over_the_control_path() -> None:
    venue = exchange(speed=20.0)
    async with serving(venue) as address, httpx.AsyncClient(base_url=f"http://{address}") as client:
        async with open_websocket_url(f"ws://{address}/ws/btcusdt@kline_1m") as connection:
            await connection.get_message()
            stats = (await client.get("/sim/stats")).json()
            assert [one["streams"] for one in stats["connections"]["streams"].values()] == [1]
            answer = await client.post("/sim/faults", json={"fault": "cut", "how": "rst"})
            assert answer.status_code == 200
            assert await its_end(connection) == 1006
            # trio-websocket leaves the socket open when the other side has ended it.
            await trio.aclose_forcefully(connection._stream)
        stats = (await client.get("/sim/stats")).json()
        assert stats["connections"]["streams"] == {}
        assert stats["handshakes"] == {"101": 1}
        assert stats["requests"]["/sim/faults"] == {"200": 1}
        assert stats["faults"] == {"cut": 1}


async def test_a_reset_and_a_bare_end_are_told_apart() -> None:
    venue = exchange()
    async with serving(venue) as address:
        host, port = address.split(":")
        for how, expected in (("rst", "broken"), ("fin", "end")):
            stream = await trio.open_tcp_stream(host, int(port))
            await stream.send_all(b"GET /api/v3/ping HTTP/1.1\r\nHost: exchange\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            inject(venue, "cut", {"how": how, "which": "all"})
            try:
                found = "end" if await stream.receive_some() == b"" else "data"
            except trio.BrokenResourceError:
                found = "broken"
            assert found == expected
            await stream.aclose()


async def test_refusing_resets_the_socket() -> None:
    venue = exchange()
    async with serving(venue) as address, httpx.AsyncClient() as client:
        venue.faults.refuse.on()
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://{address}/api/v3/ping")


async def test_faults_are_listed_set_and_cleared_over_http(autojump_clock: Any) -> None:
    venue = exchange()
    async with http_client(venue) as client:
        listed = (await client.ask("GET", "/sim/faults")).json
        assert all(entry["help"] for kind in listed.values() for entry in kind.values())
        order = json.dumps({"fault": "rest_status", "value": 429, "for": 30}).encode()
        assert (await client.ask("POST", "/sim/faults", order)).status == 200
        assert (await client.ask("GET", "/api/v3/time")).status == 429
        status = (await client.ask("GET", "/sim/faults")).json["switches"]["rest_status"]
        assert (status["value"], status["seconds_left"]) == (429, 30.0)
        cleared = (await client.ask("DELETE", "/sim/faults")).json["switches"]
        assert all(switch["value"] is None for switch in cleared.values())
        assert (await client.ask("GET", "/api/v3/time")).status == 200


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"fault": "nosuch"}', b'{"fault": "cut", "for": "long"}']
)
async def test_bad_orders_are_refused(body: bytes, autojump_clock: Any) -> None:
    async with http_client(exchange()) as client:
        answer = await client.ask("POST", "/sim/faults", body)
        assert answer.status == 400
        assert answer.json["error"]


async def test_the_control_path_explains_itself(autojump_clock: Any) -> None:
    answer = await get(exchange(), "/sim")
    assert answer.status == 404
    assert b"/sim/faults" in answer.body
