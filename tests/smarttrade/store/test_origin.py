"""Which exchange candles are from, and what a process does that reads another one."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from smarttrade.errors import Misconfigured
from smarttrade.store.messages import AdoptCatalogue
from smarttrade.store.mismatch import WrongNamespace
from smarttrade.store.origin import ForeignOrigin, OwnExchange, is_origin
from smarttrade.store.redis_report import RedisRole
from tests.fakes.candles import BTC, candle, rows
from tests.fakes.database import VirtualRedis
from tests.fakes.journals import Process, running

TESTNET = OwnExchange("testnet.binance.vision")


def test_own_name_is_the_first_that_is_accepted() -> None:
    exchange = OwnExchange("b:1", frozenset({"a:1", "b:1"}))
    assert exchange.accepted == ("b:1", "a:1")


@pytest.mark.parametrize("name", ["binance.com", "127.0.0.1:8080", "[::1]:9000", "simulated"])
def test_host_names_are_origins(name: str) -> None:
    assert is_origin(name)


@pytest.mark.parametrize("name", ["", "Binance", "a b", "x" * 261, "a\n", "bücher.example"])
def test_anything_else_is_no_origin(name: str) -> None:
    assert not is_origin(name)


def test_message_names_a_namespace_that_can_be_used() -> None:
    error = ForeignOrigin("binance.com", OwnExchange("[::1]:9000"), "smarttrade")
    assert "SMARTTRADE_REDIS_NAMESPACE, to smarttrade-1-9000 " in str(error)


async def test_process_of_another_exchange_ends_and_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    first = Process(server)
    async with running(first):
        await first.history(BTC, rows(0, 5))
        await trio.sleep(1)
        stored = list(server.contents.lists[BTC])
        other = Process(server, exchange=TESTNET)
        with pytest.RaisesGroup(WrongNamespace, flatten_subgroups=True):
            async with running(other):
                await trio.sleep(10)
        assert other.memory.state_of(BTC) is None
        assert server.contents.lists[BTC] == stored
        assert first.role() is RedisRole.LEADING
    assert issubclass(WrongNamespace, Misconfigured)


async def test_process_that_led_goes_on_in_memory_when_another_exchange_takes_its_place(
    autojump_clock: MockClock,
) -> None:
    server = VirtualRedis()
    first = Process(server)
    async with running(first):
        await first.history(BTC, rows(0, 5))
        await trio.sleep(1)
        server.flush()
        await server.connect(TESTNET).acquire("other", 1e9)
        await first.update(candle(5), candle(6, closed=False))
        await trio.sleep(60)
        assert first.role() is RedisRole.AWAY
        assert "testnet.binance.vision" in (first.report.error or "")
        assert first.memory.state_of(BTC) is not None
        assert BTC not in server.contents.lists


async def test_follower_drops_what_it_has_when_the_exchange_changes(
    autojump_clock: MockClock,
) -> None:
    process = Process(VirtualRedis())
    async with running(process):
        await process.history(BTC, rows(0, 5))
        await process.store.tell(AdoptCatalogue(["BTCUSDT"], [BTC.interval], "simulated"))
        await trio.testing.wait_all_tasks_blocked()
        assert process.memory.state_of(BTC) is None
        assert process.memory.origin == "simulated"
