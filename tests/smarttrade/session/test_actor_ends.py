"""How sessions end: by the server, by the client, by a store in trouble."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import Mailbox
from smarttrade.market.interval import Interval
from smarttrade.session.actor import (
    CLOSE_TIMEOUT,
    run_legacy_session,
)
from smarttrade.session.budget import Budget
from smarttrade.session.opening import ANSWER_TIMEOUT
from smarttrade.session.protocol import SessionCounters
from smarttrade.session.session_limits import SessionLimits
from smarttrade.session.subscriber import Subscriber
from smarttrade.store.messages import (
    Catalogue,
    CloseSubscriptions,
    GetCatalogue,
    OpenSubscriptions,
    PutHistory,
)
from tests.fakes.candles import BTC, ETH, at, candle, rows
from tests.fakes.clients import MemoryClient, NonClosingClient, NonReadingClient
from tests.smarttrade.session.session_service import BTC_1M, kinds, serving, serving_nothing

# Ends


async def test_draining_closes_with_1001(autojump_clock: MockClock) -> None:
    async with serving() as service:
        visitors = [MemoryClient() for _ in range(3)]
        for client in visitors[:2]:
            service.welcome(client)
            client.ask(BTC_1M)
        service.welcome_legacy(visitors[2])
        await wait_all_tasks_blocked()
        service.draining.set()
        await wait_all_tasks_blocked()
        assert [client.closed for client in visitors] == [(1001, "shutting down")] * 3
        assert service.ended == [0.0] * 3
        assert service.is_empty()


async def test_session_that_begins_while_draining_is_closed_with_the_reason(
    autojump_clock: MockClock,
) -> None:
    async with serving() as service:
        service.draining.set()
        client = MemoryClient()
        service.welcome(client)
        await wait_all_tasks_blocked()
        assert client.closed == (1001, "shutting down")
        assert service.is_empty()


async def test_client_that_has_too_much_pending_is_closed_with_1013(
    autojump_clock: MockClock,
) -> None:
    async with serving() as service:
        client = MemoryClient(max_pending_bytes=1000)
        service.welcome(client)
        await client.read(2)
        await service.store.tell(PutHistory(ETH, rows(0, 99), None))
        client.ask({"symbol": "ETHUSDT", "interval": "1m", "snapshot": 100})
        await wait_all_tasks_blocked()
        assert client.closed == (1013, "too slow")
        assert service.ended == [0.0]
        assert service.is_empty()


async def test_client_that_takes_nothing_is_given_up_without_a_word(
    autojump_clock: MockClock,
) -> None:
    async with serving() as service:
        client = NonReadingClient()
        service.welcome(client)
        await trio.sleep(29.9)
        assert service.ended == []
        await trio.sleep(0.2)
        assert service.ended == [30.0]
        assert client.closed is None
        assert service.is_empty()


async def test_snapshot_is_taken_when_the_client_has_read_what_was_sent_before(
    autojump_clock: MockClock,
) -> None:
    async with serving() as service:
        client = NonReadingClient()
        service.welcome(client)
        client.ask({**BTC_1M, "snapshot": 1000})
        await trio.sleep(1)
        assert service.counters.subscriptions == 0
        await service.put(candle(3), candle(4, closed=False))
        got = await client.read(4)
        assert kinds(got) == ["welcome", "status", "subscribed", "snapshot"]
        assert service.counters.subscriptions == 1
        assert [each["time"] for each in got[3]["candles"]] == [at(m) // 1000 for m in range(5)]
        await service.put(candle(4))
        [update] = await client.read(1)
        assert (update["candle"]["time"], update["closed"]) == (at(4) // 1000, True)


async def test_client_that_reads_at_once_gets_more_at_a_time(autojump_clock: MockClock) -> None:
    intervals = tuple(Interval)
    whole = [{"symbol": "BTCUSDT", "interval": i.value, "snapshot": 1000} for i in intervals]
    async with serving_nothing() as service:
        client, opened = MemoryClient(), list[int]()
        service.welcome(client)
        client.ask({"subscriptions": [*whole, {"symbol": "ETHUSDT", "interval": "1m"}]})
        while sum(opened) < len(intervals) + 1:
            match await service.store.receive():
                case GetCatalogue(reply):
                    reply.set(Catalogue(("BTCUSDT", "ETHUSDT"), intervals))
                case OpenSubscriptions(wanted=wanted, reply=answer) if answer is not None:
                    opened.append(len(wanted))
                    answer.set(None)
        assert opened == [1 + 2, 4, 8, 2]


async def test_flood_of_bad_requests_is_closed_with_1008_after_the_last_answer(
    autojump_clock: MockClock,
) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client, SessionLimits(bad_requests=3))
        for _ in range(10):
            client.ask("nonsense")
        await wait_all_tasks_blocked()
        assert client.closed == (1008, "too many bad requests")
        assert service.is_empty()
        await client.outbox.send_all(b"")  # what was pending, as a close frame would push it
        assert kinds(await client.read_all()).count("error") == 4


async def test_flood_of_good_requests_is_closed_with_1008(autojump_clock: MockClock) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client)
        for _ in range(200):
            client.ask({"action": "ping"})
        got = await client.read(202)
        assert kinds(got).count("pong") == 200
        assert client.closed is None
        client.ask({"action": "ping"})
        await wait_all_tasks_blocked()
        assert client.closed == (1008, "too many requests")


async def test_requests_are_counted_by_the_loop_s_time(autojump_clock: MockClock) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client, SessionLimits(burst=5, requests_per_second=1.0))
        for _ in range(50):
            client.ask({"action": "ping"})
            await trio.sleep(1.01)
        assert client.closed is None


async def test_client_that_does_not_part_is_left_after_two_seconds(
    autojump_clock: MockClock,
) -> None:
    async with serving() as service:
        client = NonClosingClient()
        service.welcome(client)
        await client.read(2)
        service.draining.set()
        await trio.sleep(10)
        assert client.closed == (1001, "shutting down")
        assert service.ended == [CLOSE_TIMEOUT]


@pytest.mark.parametrize("legacy", [False, True])
async def test_client_that_vanishes_leaves_nothing_behind(
    autojump_clock: MockClock, legacy: bool
) -> None:
    async with serving() as service:
        client = MemoryClient()
        gone = service.welcome_legacy(client) if legacy else service.welcome(client)
        if not legacy:
            client.ask(BTC_1M)
        await wait_all_tasks_blocked()
        assert (service.counters.subscribers, service.counters.subscriptions) == (1, 1)
        gone.cancel()
        await wait_all_tasks_blocked()
        assert service.is_empty()
        assert client.closed is None
        before = service.counters.delivered
        await service.put(candle(3))
        assert service.counters.delivered == before


async def test_outbox_that_was_finished_ends_the_session_without_a_word(
    autojump_clock: MockClock,
) -> None:
    """The front end closed the connection itself, for a message that is too big for example."""
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client)
        await client.read(2)
        client.outbox.finish()
        await wait_all_tasks_blocked()
        assert (client.closed, service.ended) == (None, [0.0])
        assert service.is_empty()


# A store in trouble


async def test_store_that_does_not_answer_ends_the_session_with_1013(
    autojump_clock: MockClock,
) -> None:
    async with serving_nothing() as service:
        client = MemoryClient()
        service.welcome(client)
        client.ask({"action": "ping"})
        await trio.sleep(4.9)
        assert service.ended == []
        await trio.sleep(0.2)
        assert service.ended == [ANSWER_TIMEOUT]
        assert client.closed is not None
        assert client.closed[0] == 1013
        received = [type(service.store.receive_nowait()) for _ in range(service.store.depth)]
        assert received == [OpenSubscriptions, GetCatalogue, CloseSubscriptions]


async def test_store_that_dies_while_it_is_asked_ends_the_session_with_1013(
    autojump_clock: MockClock,
) -> None:
    async with serving_nothing() as service:
        client = MemoryClient()
        service.welcome(client)
        client.ask({"action": "ping"})
        await service.store.receive()
        await service.store.receive()
        service.store.fail_unanswered()
        await wait_all_tasks_blocked()
        assert service.ended == [0.0]
        assert client.closed is not None
        assert client.closed[0] == 1013


async def test_store_that_is_full_holds_up_an_end_for_five_seconds_at_most(
    autojump_clock: MockClock,
) -> None:
    async with serving_nothing() as service:
        service.store = Mailbox("store", capacity=1)
        client = MemoryClient()
        gone = service.welcome(client)
        await wait_all_tasks_blocked()
        gone.cancel()
        await trio.sleep(60)
        assert service.ended == [ANSWER_TIMEOUT]


async def test_session_ends_though_the_store_has_ended_before(autojump_clock: MockClock) -> None:
    async with serving_nothing() as service:
        client = MemoryClient()
        gone = service.welcome(client)
        await wait_all_tasks_blocked()
        service.store.close()
        gone.cancel()
        await wait_all_tasks_blocked()
        assert service.ended == [0.0]


async def test_client_that_wants_nothing_is_closed_after_a_while(autojump_clock: MockClock) -> None:
    async with serving() as service:
        client = MemoryClient()
        service.welcome(client, SessionLimits(idle_timeout=100))
        await trio.sleep(90)
        client.ask(BTC_1M)
        await trio.sleep(1000)
        assert client.closed is None
        client.ask({"action": "unsubscribe", **BTC_1M})
        for _ in range(9):
            await trio.sleep(10)
            client.ask({"action": "ping"})
        assert client.closed is None
        await trio.sleep(11)
        assert client.closed == (1008, "no subscription for 100 s")
        assert service.is_empty()


# What follows a store that has ended


async def test_store_that_has_ended_before_it_is_asked_ends_the_session_with_1013(
    autojump_clock: MockClock,
) -> None:
    async with serving_nothing() as service:
        client = MemoryClient()
        service.welcome(client)
        await wait_all_tasks_blocked()
        service.store.close()
        client.ask({"action": "ping"})
        await wait_all_tasks_blocked()
        assert service.ended == [0.0]
        assert client.closed is not None
        assert client.closed[0] == 1013


async def test_legacy_client_that_floods_is_counted(autojump_clock: MockClock) -> None:
    async with serving() as service:
        client, counters = MemoryClient(), SessionCounters()
        for _ in range(100):
            client.ask("hello?")
        await run_legacy_session(
            client,
            Subscriber(
                client.outbox,
                Budget(SessionLimits(burst=3, requests_per_second=1)),
                legacy=True,
            ),
            BTC,
            service.store,
            counters=counters,
            draining=service.draining,
        )
        assert counters.closed_flooding == 1
        assert client.closed is not None
        assert client.closed[0] == 1008
