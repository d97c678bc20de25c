"""Sessions with a store and a hub: what a client asks for comes, in order."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from smarttrade.session.session_limits import SessionLimits
from smarttrade.store.messages import (
    PutHistory,
)
from tests.fakes.candles import BTC, ETH, at, candle, rows
from tests.fakes.clients import MemoryClient
from tests.smarttrade.session.session_service import BTC_1M, kinds, serving, serving_nothing

# Serving


async def test_client_gets_the_welcome_and_the_feed_status(autojump_clock: MockClock) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client)
        got = await client.read(2)
        assert kinds(got) == ["welcome", "status"]
        assert got[0]["session"] == "s1"
        assert (service.counters.subscribers, service.counters.subscriptions) == (1, 0)


async def test_welcome_comes_first_even_when_the_hub_is_behind(autojump_clock: MockClock) -> None:
    async with serving_nothing() as service:
        await service.start_store()
        client = MemoryClient()
        client.ask("nonsense")
        client.ask({"action": "ping"})
        service.welcome(client)
        got = await client.read(3)
        assert kinds(got) == ["welcome", "error", "pong"]
        await service.start_hub()
        assert kinds(await client.read(1)) == ["status"]


async def test_request_of_the_first_hour_brings_every_update(autojump_clock: MockClock) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client)
        client.ask(BTC_1M)
        assert kinds(await client.read(3)) == ["welcome", "status", "subscribed"]
        await service.put(candle(3, closed=False, event=4, volume=11.0))
        await service.put(candle(3), candle(4, closed=False))
        await service.put(candle(4), series=ETH)
        got = await client.read_all()
        assert [(m["candle"]["time"], m["closed"]) for m in got] == [
            (at(3) // 1000, False),
            (at(3) // 1000, True),
            (at(4) // 1000, False),
        ]


async def test_snapshot_follows_the_acknowledgement_and_updates_follow_it(
    autojump_clock: MockClock,
) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client)
        client.ask({"id": 7, "subscriptions": [{**BTC_1M, "snapshot": 2}]})
        got = await client.read(4)
        await service.put(candle(3))
        got += await client.read(1)
        assert kinds(got) == ["welcome", "status", "subscribed", "snapshot", "candle"]
        assert got[2]["id"] == 7
        assert [each["time"] for each in got[3]["candles"]] == [at(2) // 1000, at(3) // 1000]


async def test_client_that_waits_for_history_gets_its_snapshot_and_nothing_before(
    autojump_clock: MockClock,
) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client)
        client.ask({"symbol": "ETHUSDT", "interval": "1m", "snapshot": 5})
        await client.read(3)
        await service.put(candle(3, closed=False), series=ETH)
        assert await client.read_all() == []
        await service.store.tell(PutHistory(ETH, rows(0, 3), None))
        (snapshot,) = await client.read(1)
        assert (snapshot["type"], len(snapshot["candles"])) == ("snapshot", 4)
        await service.put(candle(3), series=ETH)
        assert kinds(await client.read_all()) == ["candle"]


async def test_nothing_comes_after_the_answer_to_an_unsubscription(
    autojump_clock: MockClock,
) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client)
        client.ask(BTC_1M)
        client.ask({"action": "unsubscribe", "id": 2, **BTC_1M})
        got = await client.read(4)
        assert (got[3]["id"], got[3]["subscriptions"]) == (2, [])
        await service.put(candle(3))
        assert await client.read_all() == []
        assert (service.counters.subscribers, service.counters.subscriptions) == (1, 0)


async def test_bad_request_is_answered_and_the_session_goes_on(autojump_clock: MockClock) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client)
        client.ask("nonsense")
        client.ask(b"\x00")
        client.ask([])
        client.ask({"action": "dance", "id": 3})
        client.ask({"action": "ping", "id": 8})
        got = await client.read(7)
        assert [m.get("code") for m in got if m["type"] == "error"] == [
            "bad_json",
            "binary_message",
            "bad_request",
            "unknown_action",
        ]
        assert got[-1] == {"type": "pong", "id": 8}
        assert service.ended == []


async def test_heartbeat_is_heard_every_25_seconds(autojump_clock: MockClock) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client)
        await client.read(2)
        for beat in (25, 50, 75):
            assert kinds(await client.read(1)) == ["heartbeat"]
            assert trio.current_time() == beat


# Front ends of the first hour


async def test_legacy_client_gets_the_newest_candle_at_once_and_then_every_update(
    autojump_clock: MockClock,
) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome_legacy(client)
        (newest,) = await client.read(1)
        assert (newest["timestamp"], newest["is_closed"]) == (at(3), False)
        await service.put(candle(3), candle(4, closed=False))
        got = await client.read(2)
        assert [(m["timestamp"], m["is_closed"]) for m in got] == [(at(3), True), (at(4), False)]
        await trio.sleep(100)  # heartbeats
        assert await client.read_all() == []


async def test_legacy_client_of_a_series_without_history_waits_for_it(
    autojump_clock: MockClock,
) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome_legacy(client, ETH)
        await service.put(candle(3, closed=False), series=ETH)
        assert await client.read_all() == []
        await service.store.tell(PutHistory(ETH, rows(0, 3), None))
        (newest,) = await client.read(1)
        assert newest["timestamp"] == at(3)


async def test_what_a_legacy_client_says_is_forgotten(autojump_clock: MockClock) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome_legacy(client)
        for request in ("nonsense", b"\x00", {"action": "ping"}):
            client.ask(request)
        assert len(await client.read_all()) == 1
        assert service.ended == []


async def test_legacy_client_that_floods_is_closed_with_1008(autojump_clock: MockClock) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome_legacy(client, BTC, SessionLimits(burst=4))
        for _ in range(4):
            client.ask("spam")
        await wait_all_tasks_blocked()
        assert client.closed is None
        client.ask("spam")
        await wait_all_tasks_blocked()
        assert client.closed == (1008, "too many requests")
        assert service.is_empty()
