"""Tokens, origins and rates as clients meet them, on a real socket."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest

from smarttrade.web.access import Access
from tests.smarttrade.web.raw_client import RawClient, Served, served, upgrade_request

TOKEN = "a-token-of-the-operator"
LOCAL = (ip_network("127.0.0.1/32"),)


async def ask(server: Served, head: str, *lines: str) -> tuple[int, str, dict[str, Any]]:
    client = await server.connect()
    await client.send("\r\n".join((head, "Host: test", *lines, "", "")).encode())
    status, answer, body = await client.response()
    is_problem = b"problem+json" in answer
    return status, answer.decode().lower(), json.loads(body) if is_problem else {}


async def tls_handshake(server: Served, target: str = "/ws", *lines: str) -> tuple[int, RawClient]:
    client = await server.connect()
    await client.send(upgrade_request(target, *lines))
    return int((await client.head()).split()[1]), client


async def test_a_request_without_a_token_is_answered_with_what_is_missing() -> None:
    async with served(access=Access(tokens=(TOKEN,))) as server:
        status, head, problem = await ask(server, "GET /hello HTTP/1.1", "Origin: http://a.test")
        assert (status, problem["code"]) == (401, "token_required")
        assert "www-authenticate: bearer" in head
        assert "access-control-allow-origin: *" in head
        assert server.counters.refused_token == 1
        status, *_ = await ask(server, "GET /hello HTTP/1.1", f"Authorization: Bearer {TOKEN}")
        assert status == 200


async def test_a_websocket_needs_a_token_too() -> None:
    async with served(access=Access(tokens=(TOKEN,))) as server:
        assert (await tls_handshake(server))[0] == 401
        assert (await tls_handshake(server, f"/ws?access_token={TOKEN}"))[0] == 101
        assert (await tls_handshake(server, "/ws", f"Authorization: Bearer {TOKEN}"))[0] == 101


async def test_a_head_request_is_refused_without_a_body() -> None:
    async with served(access=Access(tokens=(TOKEN,))) as server:
        client = await server.connect()
        await client.send(b"HEAD /hello HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 401 ")
        assert await client.rest() == b""


async def test_a_page_from_elsewhere_opens_no_websocket() -> None:
    async with served(access=Access(origins=("https://charts.test",))) as server:
        assert (await tls_handshake(server, "/ws", "Origin: https://evil.test"))[0] == 403
        assert server.counters.refused_origin == 1
        assert (await tls_handshake(server, "/ws", "Origin: https://charts.test"))[0] == 101
        assert (await tls_handshake(server))[0] == 101
        status, *_ = await ask(server, "GET /hello HTTP/1.1", "Origin: https://evil.test")
        assert status == 200  # CORS decides what a page may read of it


async def test_an_address_that_asks_too_often_is_refused_and_others_are_not() -> None:
    access = Access(requests_per_second=0.001, burst=2, trusted_proxies=LOCAL)
    async with served(access=access) as server:
        for address, statuses in (("192.0.2.1", (200, 200, 429)), ("192.0.2.2", (200,))):
            for expected in statuses:
                status, head, problem = await ask(
                    server, "GET /hello HTTP/1.1", f"X-Forwarded-For: {address}"
                )
                assert status == expected
        assert server.counters.refused_rate == 1
        status, head, problem = await ask(
            server, "GET /hello HTTP/1.1", "X-Forwarded-For: 192.0.2.1"
        )
        assert "retry-after: 1" in head
        assert problem["code"] == "too_many_requests"


async def test_a_long_head_counts_as_several_requests() -> None:
    access = Access(requests_per_second=0.001, burst=8, exempts_loopback=False)
    async with served(access=access) as server:
        statuses = [
            (await ask(server, "GET /hello HTTP/1.1", *lines))[0]
            for lines in ([], ["Cookie: a=b"] * 50, ["a:"] * 2500, [], [])
        ]
        assert statuses == [200, 200, 200, 200, 429]  # 1, 1, 5 and 1 units


async def test_a_handshake_counts_as_several_requests() -> None:
    access = Access(requests_per_second=0.001, burst=9, exempts_loopback=False)
    async with served(access=access) as server:
        assert (await tls_handshake(server))[0] == 101
        assert (await tls_handshake(server))[0] == 429


async def test_clients_of_a_proxy_have_their_own_limits() -> None:
    async with served(access=Access(trusted_proxies=LOCAL), max_connections_per_ip=2) as server:
        first = [
            await tls_handshake(server, f"/ws?{number}", "X-Forwarded-For: 192.0.2.1")
            for number in range(3)
        ]
        assert [status for status, _ in first] == [101, 101, 503]
        assert server.counters.refused_per_ip == 1
        assert (await tls_handshake(server, "/ws?o", "X-Forwarded-For: 192.0.2.2"))[0] == 101
        await first[0][1].close()
        for _ in range(100):
            again, client = await tls_handshake(server, "/ws?a", "X-Forwarded-For: 192.0.2.1")
            if again == 101:
                break
            await client.close()
        assert again == 101


@pytest.mark.parametrize("header", ["X-Forwarded-For: 192.0.2.1"])
async def test_who_is_no_proxy_is_not_believed(header: str) -> None:
    async with served(max_connections_per_ip=2) as server:
        for number in range(2):
            assert (await tls_handshake(server, f"/ws?{number}", header))[0] == 101
        client = await server.connect()
        assert (await client.head()).startswith(b"HTTP/1.1 503 ")
