"""SIGTERM ends the program in order and in time, whatever hangs and however far it has come."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest
import trio

from smarttrade.cli.signals import STOP_TIMEOUT
from tests.fakes.ports import free_port
from tests.fakes.processes import Program
from tests.fakes.redis_server import RedisServer, redis_binary
from tests.smarttrade.web.raw_client import TEXT, frame, upgrade_request

SYMBOLS = "BTCUSDT,ETHUSDT,SOLUSDT"
SERIES = [
    {"symbol": symbol, "interval": interval, "snapshot": 1000}
    for symbol in SYMBOLS.split(",")
    for interval in ("1m", "5m", "1h")
]


class World:
    """An exchange, a Redis and a service, each of which can hang."""

    def __init__(self, directory: Path, redis: RedisServer) -> None:
        self.redis = redis
        exchange = free_port()
        self.exchange = Program(
            *(directory / "exchange.log", "simulator", "--port", str(exchange)),
            *("--symbols", SYMBOLS, "--speed", "20"),
        )
        self.service = Program(
            *(directory / "service.log", "serve", "--port", str(free_port())),
            *("--symbols", SYMBOLS, "--intervals", "1m,5m,1h"),
            BINANCE_REST_URL=f"http://127.0.0.1:{exchange}",
            BINANCE_WS_URL=f"ws://127.0.0.1:{exchange}",
            REDIS_URL=redis.url,
        )

    async def stop(self) -> tuple[int, float]:
        """Exit status, and seconds that it took."""
        began = time.monotonic()
        status = await self.service.stop()
        return status, time.monotonic() - began

    def hang(self, what: str) -> None:
        if what == "redis":
            self.redis.freeze()
        elif what == "exchange":
            self.exchange.send(signal.SIGSTOP)

    def log(self) -> str:
        return self.service.log.read_text()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    binary = redis_binary()
    with RedisServer(binary, tmp_path) as redis:
        world = World(tmp_path, redis)
        world.exchange.start()
        try:
            yield world
        finally:
            world.service.kill()
            world.exchange.kill()


@contextmanager
def deaf_clients(port: int, number: int) -> Iterator[None]:
    """So many clients that ask for everything and read nothing."""
    with ExitStack() as stack:
        for _ in range(number):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", port))
            sock.sendall(upgrade_request("/ws/candles"))
            sock.sendall(frame(TEXT, json.dumps({"subscriptions": SERIES}).encode()))
        yield


async def unready(program: Program) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        with trio.fail_after(1):
            while (await http.get(f"{program.url}/ready?for=traffic")).status_code != 503:
                await trio.sleep(0.01)


async def test_drain_delay_is_spent_unready_but_accepting(tmp_path: Path) -> None:
    program = Program(
        *(tmp_path / "service.log", "serve", "--simulated", "--memory"),
        *("--port", str(free_port()), "--symbols", "BTCUSDT", "--intervals", "1m"),
        SMARTTRADE_DRAIN_DELAY="1.5",
    ).start()
    try:
        await program.ready()
        program.send(signal.SIGTERM)
        await unready(program)
        with closing(socket.create_connection(("127.0.0.1", program.port), 1)) as client:
            client.sendall(upgrade_request("/ws/candles"))
            assert client.recv(12) == b"HTTP/1.1 101"
        began = time.monotonic()
        assert await program.ended() == 0
        assert 0.5 < time.monotonic() - began < 5
    finally:
        program.kill()


async def test_a_hundred_clients_that_read_nothing(world: World) -> None:
    await world.exchange.until("/api/v3/time", lambda _: True)
    world.service.start()
    await world.service.ready()
    with deaf_clients(world.service.port, 100):
        await trio.sleep(2)
        status, seconds = await world.stop()
    assert status == 0, world.log()
    assert seconds < STOP_TIMEOUT


@pytest.mark.parametrize("what", ["redis", "exchange"])
async def test_what_hangs_beside_us(world: World, what: str) -> None:
    await world.exchange.until("/api/v3/time", lambda _: True)
    world.service.start()
    await world.service.ready()
    world.hang(what)
    await trio.sleep(2)
    status, seconds = await world.stop()
    assert status == 0, world.log()
    assert seconds < STOP_TIMEOUT


@pytest.mark.parametrize("what", ["nothing", "redis", "exchange"])
@pytest.mark.parametrize("after", [0.3, 0.6, 0.9, 1.3, 2.0, 4.0])
async def test_every_state_of_the_start(world: World, what: str, after: float) -> None:
    await world.exchange.until("/api/v3/time", lambda _: True)
    world.hang(what)
    world.service.start()
    await trio.sleep(after)
    status, seconds = await world.stop()
    assert status in (0, -signal.SIGTERM), world.log()  # the latter before Python has begun
    assert seconds < STOP_TIMEOUT
    assert "Traceback" not in world.log()
