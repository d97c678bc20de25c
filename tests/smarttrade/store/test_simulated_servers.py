"""The servers of the simulation answer each call of a script as a real one does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.window_state import SeriesNotes
from smarttrade.store.database import Batch, Group, Written
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.redis_client import RedisClient
from smarttrade.store.redis_database import RedisDatabase
from smarttrade.store.redis_format import StoreState
from smarttrade.store.redis_script import Script
from tests.fakes.candles import BTC, ETH, candle, rows
from tests.fakes.database import BINANCE
from tests.fakes.redis_server import RedisServer
from tests.simulation.wire.keyspace import Keyspace
from tests.simulation.wire.scripts import Scripts
from tests.simulation.wire.site import Site

Call = tuple[Script, Sequence[str], Sequence[Any], Any]

STATE = StoreState(("BTCUSDT", "ETHUSDT"), (Interval.MINUTE_1,), FeedStatus(Feed.LIVE, 7.0))
LEASE = 30.0


def batch(number: int, *groups: Group, written: int = 0, state: StoreState | None = None) -> Batch:
    return Batch(number, written, groups, state, is_heartbeat=True, time=1_733_000_000_000)


def changed(series: Series, *candles: Any, corrected: bool = False, expected: int = -1) -> Group:
    return Group(series, candles, [corrected] * len(candles), expected)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """All calls of scripts from now on, with their replies."""
    found: list[Call] = []
    run_script = RedisClient.run_script

    def recorded(
        self: RedisClient, script: Script, keys: Sequence[str], arguments: Sequence[Any]
    ) -> Any:
        reply = run_script(self, script, keys, arguments)
        found.append((script, keys, arguments, reply))
        return reply

    monkeypatch.setattr(RedisClient, "run_script", recorded)
    return found


def text(word: Any) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


def comparable(reply: Any) -> Any:
    """Without what depends on the server's clock: entries' names, and how long a lease lasts."""
    match reply:
        case [b"HELD", holder, _]:
            return [b"HELD", holder]
        case list():
            return [comparable(each) for each in reply]
        case bytes():
            return re.sub(rb"^\d{13}-\d+$", b"a name", reply)
    return reply


async def test_scripts_answer_as_on_a_server(own_redis: RedisServer, calls: list[Call]) -> None:
    database = RedisDatabase(own_redis.url, "test", timeout=2.0, stream_length=5, exchange=BINANCE)
    await database.position()
    await database.acquire("first", LEASE)
    window = Group(BTC, rows(0, 999), is_whole=True, notes=SeriesNotes())
    await database.write("first", 1, LEASE, batch(1, window, state=STATE))
    for number in range(2, 12):
        new = changed(BTC, candle(998 + number), candle(999 + number, closed=False))
        await database.write("first", 1, LEASE, batch(number, new, written=number - 1))
    past = changed(BTC, candle(500, close=7.0), corrected=True)
    missing = changed(ETH, candle(3), candle(5, closed=False))
    between, older = changed(ETH, candle(4)), changed(ETH, candle(3, closed=False))
    outcome = await database.write("first", 1, LEASE, batch(12, past, missing, written=11))
    assert isinstance(outcome, Written)
    await database.write("first", 1, LEASE, batch(13, between, older, written=12))
    await database.write("first", 1, LEASE, batch(14, changed(ETH, candle(6), expected=77)))
    await database.write("first", 1, LEASE, batch(9))  # late
    await database.write("first", 1, LEASE, batch(99, written=98))  # something is lost
    shorter = Group(ETH, rows(0, 2), is_whole=True)
    await database.write("first", 1, LEASE, batch(15, shorter))
    await database.acquire("second", LEASE)
    await database.release("first")
    await database.acquire("second", LEASE)
    await database.write("first", 1, LEASE, batch(100))  # fenced
    await database.load([BTC, ETH])
    await database.quarantine([BTC])
    await database.load([BTC, ETH])
    await database.position()
    scripts, keyspace = Scripts(), Keyspace()
    for script, keys, arguments, reply in calls:
        found = scripts.run(
            scripts.compile(script.text),
            list(map(text, keys)),
            list(map(text, arguments)),
            keyspace,
            is_replica=False,
        )
        assert comparable(found) == comparable(reply)
    assert len({script.digest for script, *_ in calls}) == 8  # all that there are
    assert len(calls) > 20


def test_cluster_describes_its_slots_as_its_servers_answer_for_them() -> None:
    site = Site(3, lambda _: None)
    described: list[Any] = site.slots(site.servers[0])
    assert [entry[:2] for entry in described] == [[0, 5461], [5462, 10922], [10923, 16383]]
    for first, last, (_, port, _), *_ in described:
        for slot in (first, last):
            assert site._owner(slot).primary.address.port == port
