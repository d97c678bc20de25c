"""What clients are charged, on raw sockets."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
import trio

from smarttrade.session.budget import FRAME, FRAMES_PER_TURN, READ, Turns
from smarttrade.session.session_limits import SessionLimits
from smarttrade.token_bucket import TokenBucket
from smarttrade.web.access import Access
from tests.smarttrade.web.raw_client import PING, PONG, TEXT, RawClient, frame, served

FLOODS = {
    "unsolicited pongs": frame(PONG),
    "pings": frame(PING),
    "empty continuation frames": frame(0, b"", fin=False),
}
SMALL = SessionLimits(burst=4, requests_per_second=1)  # 200 frames or reads


async def dribble(client: RawClient, data: bytes) -> None:
    """Send each byte in a packet of its own, until the server ends."""
    with suppress(trio.BrokenResourceError):
        for byte in data:
            await client.send(bytes((byte,)))
            await trio.sleep(0.0005)


@pytest.mark.parametrize("kind", FLOODS)
async def test_flood_of_frames_ends_the_session(kind: str) -> None:
    async with served(session=SMALL) as server:
        client = await server.websocket()
        start = frame(TEXT, b"", fin=False) if "continuation" in kind else b""
        await client.send(start + FLOODS[kind] * 1000)
        assert await client.close_code() == 1008
        assert server.counters.flooding == 1


async def test_frames_within_the_budget_are_answered() -> None:
    async with served(session=SMALL) as server:
        client = await server.websocket()
        await client.send(frame(PONG) * 150)
        await client.say("hello")
        assert await client.text() == "echo hello"


async def test_message_in_many_small_pieces_ends_the_session() -> None:
    async with served(session=SessionLimits(burst=1, requests_per_second=0.01)) as server:
        client = await server.websocket()
        await dribble(client, frame(TEXT, b"x" * 5000))
        assert server.counters.flooding == 1


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /hello HTTP/1.1\r\nHost: h\r\nX-Filler: " + b"x" * 4000,
        b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4000\r\n\r\n" + b"x" * 4000,
    ],
    ids=["head", "body"],
)
async def test_request_in_many_small_pieces_is_refused(request_: bytes) -> None:
    limits = SessionLimits(burst=1, requests_per_second=0.01)
    async with served(session=limits, head_timeout=5) as server:
        client = await server.connect()
        await dribble(client, request_)
        assert b"HTTP/1.1 429" in await client.rest()
        assert server.counters.flooding == 1


async def test_address_pays_for_the_frames_of_all_its_connections() -> None:
    access = Access(requests_per_second=0.001, burst=30, exempts_loopback=False)
    async with served(access=access) as server:
        clients = [await server.websocket(f"/ws?{number}") for number in range(4)]  # 20 units
        for client in clients:
            await client.send(frame(PONG) * 200)  # 4 units each
        codes = []
        for client in clients:
            with trio.move_on_after(0.3):
                codes.append(await client.close_code())
        assert codes
        assert set(codes) == {1013}
        refused = await server.connect()
        await refused.send(b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await refused.response())[0] == 429


async def test_client_gets_a_word_in_while_others_flood() -> None:
    """Two attackers send 5000 frames each in as few packets as possible."""
    async with served() as server:
        attackers = [await server.websocket(f"/ws?{number}") for number in range(2)]
        honest = await server.websocket("/ws?honest")
        waits: list[float] = []

        async def ask() -> None:
            for _ in range(20):
                began = time.perf_counter()
                await honest.say("hello")
                assert await honest.text() == "echo hello"
                waits.append(time.perf_counter() - began)

        async def flood(attacker: RawClient) -> None:
            await attacker.send(frame(PONG) * 5000)

        async with trio.open_nursery() as nursery:
            for attacker in attackers:
                nursery.start_soon(flood, attacker)
            nursery.start_soon(ask)
        assert max(waits) < 0.5


async def test_one_of_many_busy_connections_goes_on_in_each_turn() -> None:
    turns, order = Turns(), []

    async def busy(name: str) -> None:
        for _ in range(3):
            await turns.take()
            order.append(name)

    async def idle() -> None:
        for _ in range(6):
            await trio.lowlevel.checkpoint()
            order.append("-")

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(busy, name)
        nursery.start_soon(idle)
    text = "".join(order)
    assert not any(pair in text[:8] for pair in ("ab", "bc", "ca", "aa"))


async def test_connections_of_one_address_wait_for_each_other_first() -> None:
    turns, order = Turns(), []
    address = TokenBucket(1, 1)

    async def take(name: str, of: TokenBucket | None) -> None:
        await turns.take(of)
        order.append(name)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(take, "attacker", address)
        await trio.lowlevel.checkpoint()
        nursery.start_soon(take, "other", TokenBucket(1, 1))
        nursery.start_soon(take, "exempt", None)
    assert {"other", "exempt"} <= set(order[:6])


def test_costs_bound_what_a_connection_may_send() -> None:
    """The figures that docs/operations.md gives for the default limits."""
    limits: Any = SessionLimits()
    assert limits.burst / FRAME == pytest.approx(10_000)
    assert limits.requests_per_second / READ == pytest.approx(500)
    assert FRAMES_PER_TURN * FRAME < 1
