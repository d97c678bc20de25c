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

from .clients import Answer, close_code, exchange, get, http_client

TOKEN = "a token"
BEARER = f"Bearer {TOKEN}"


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
            received = [json.loads(await connection.get_message()) for _ in range(5)]
        assert received[0]["data"]["k"]["t"] >= rows[-1][0]


async def test_a_cut_over_the_control_path() -> None:
    venue = exchange(speed=20.0, control_token=TOKEN)
    client = httpx.AsyncClient(headers={"Authorization": BEARER})
    async with serving(venue) as address, client:
        client.base_url = httpx.URL(f"http://{address}")
        async with open_websocket_url(f"ws://{address}/ws/btcusdt@kline_1m") as connection:
            await connection.get_message()
            stats = (await client.get("/sim/stats")).json()
            assert [one["streams"] for one in stats["connections"]["streams"].values()] == [1]
            answer = await client.post("/sim/faults", json={"fault": "cut", "how": "rst"})
            assert answer.status_code == 200
            assert await close_code(connection) == 1006
            # trio-websocket leaves the socket open when the other side has ended it.
            await trio.aclose_forcefully(connection._stream)
        stats = (await client.get("/sim/stats")).json()
        assert stats["connections"]["streams"] == {}
        assert stats["handshakes"] == {"101": 1}
        assert stats["requests"]["/sim/faults"] == {"200": 1}
        assert stats["faults"] == {"cut": 1}


async def test_a_reset_and_a_bare_end_differ() -> None:
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


async def control(
    venue: Exchange, method: str, target: str, body: bytes = b"", peer: str = "memory", **given: str
) -> Answer:
    headers = {"Host": "localhost:9000", "Authorization": BEARER} | given
    if method == "POST":
        headers = {"Content_Type": "application/json"} | headers
    async with http_client(venue, peer) as client:
        return await client.ask(method, target, body, **headers)


def order(**given: Any) -> bytes:
    return json.dumps(given).encode()


async def test_faults_are_listed_set_and_cleared_over_http(autojump_clock: Any) -> None:
    venue = exchange(control_token=TOKEN)
    listed = (await control(venue, "GET", "/sim/faults")).json
    assert all(entry["help"] for kind in listed.values() for entry in kind.values())
    body = order(fault="rest_status", value=429, **{"for": 30})
    assert (await control(venue, "POST", "/sim/faults", body)).status == 200
    assert (await get(venue, "/api/v3/time")).status == 429
    status = (await control(venue, "GET", "/sim/faults")).json["switches"]["rest_status"]
    assert (status["value"], status["seconds_left"]) == (429, 30.0)
    cleared = (await control(venue, "DELETE", "/sim/faults")).json["switches"]
    assert all(switch["value"] is None for switch in cleared.values())
    assert (await get(venue, "/api/v3/time")).status == 200


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"fault": "nosuch"}', b'{"fault": "cut", "for": "long"}']
)
async def test_bad_requests_are_refused(body: bytes, autojump_clock: Any) -> None:
    answer = await control(exchange(control_token=TOKEN), "POST", "/sim/faults", body)
    assert answer.status == 400
    assert answer.json["error"]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {}),
        (200, {"Origin": "http://localhost:9000"}),
        (200, {"Host": "[::1]:9000"}),
        (200, {"Content_Type": "application/json; charset=utf-8"}),
        (415, {"Content_Type": "text/plain"}),
        (415, {"Content_Type": "application/x-www-form-urlencoded"}),
        (403, {"Origin": "https://evil.example"}),
        (403, {"Origin": "null"}),
        (403, {"Host": "evil.example"}),
        (403, {"Host": "localhost.evil.example"}),
        (401, {"Authorization": "Bearer guessed"}),
        (401, {"Authorization": ""}),
    ],
)
async def test_a_web_page_cannot_cause_faults(
    status: int, headers: dict[str, str], autojump_clock: Any
) -> None:
    venue = exchange(control_token=TOKEN)
    answer = await control(venue, "POST", "/sim/faults", order(fault="stall"), **headers)
    assert answer.status == status
    assert (venue.faults.stall.value is not None) == (status == 200)


@pytest.mark.parametrize(
    ("peer", "status"), [("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 403), ("unknown", 403)]
)
async def test_faults_are_controlled_from_this_machine_only(
    peer: str, status: int, autojump_clock: Any
) -> None:
    venue = exchange(control_token=TOKEN)
    assert (await control(venue, "GET", "/sim/stats", peer=peer)).status == status


async def test_without_a_token_nothing_is_controlled(autojump_clock: Any) -> None:
    for given in ("", "Bearer None"):
        answer = await control(exchange(), "GET", "/sim/stats", Authorization=given)
        assert answer.status == 404


async def test_the_control_path_documents_itself(autojump_clock: Any) -> None:
    answer = await control(exchange(control_token=TOKEN), "GET", "/sim")
    assert answer.status == 404
    assert b"/sim/faults" in answer.body
