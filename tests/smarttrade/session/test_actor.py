from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import Mailbox
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.session.actor import (
    CLOSE_TIMEOUT,
    run_legacy_session,
    run_session,
)
from smarttrade.session.budget import Budget
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.draining import Draining
from smarttrade.session.hub_actor import run_hub
from smarttrade.session.hub_counters import HubCounters
from smarttrade.session.opening import ANSWER_TIMEOUT
from smarttrade.session.protocol import SessionCounters, SessionProtocol
from smarttrade.session.session_limits import SessionLimits
from smarttrade.session.subscriber import Subscriber
from smarttrade.store.actor import run_store
from smarttrade.store.events import CandlesMissing, HubEvent
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    Catalogue,
    CloseSubscriptions,
    GetCatalogue,
    OpenSubscriptions,
    PutHistory,
    PutUpdates,
    StoreMessage,
)
from tests.fakes.candles import BTC, ETH, at, candle, rows
from tests.fakes.clients import MemoryClient, NonClosingClient, NonReadingClient
from tests.fakes.frames import Message

BTC_1M = {"symbol": "BTCUSDT", "interval": "1m"}


@dataclass
class Service:
    """A store and a hub, with BTC's history, and sessions as they come."""

    nursery: trio.Nursery
    store: Mailbox[StoreMessage] = field(default_factory=lambda: Mailbox("store", capacity=100))
    hub: Mailbox[HubEvent] = field(default_factory=lambda: Mailbox("hub", capacity=100))
    gaps: Mailbox[CandlesMissing] = field(default_factory=lambda: Mailbox("gaps", capacity=100))
    counters: HubCounters = field(default_factory=HubCounters)
    draining: Draining = field(default_factory=Draining)
    ended: list[float] = field(default_factory=list)
    """When each session ended, in order."""

    async def start_store(self) -> None:
        memory = MemoryStore(["BTCUSDT", "ETHUSDT"], [Interval.MINUTE_1])
        await self.nursery.start(
            partial(run_store, self.store, memory, hub=self.hub, gaps=self.gaps)
        )
        await self.store.tell(PutHistory(BTC, rows(0, 3), None))

    async def start_hub(self) -> None:
        await self.nursery.start(
            partial(run_hub, self.hub, CandleTexts(), self.counters, heartbeat=25)
        )

    def welcome(
        self, client: MemoryClient, limits: SessionLimits | None = None
    ) -> trio.CancelScope:
        """Begin a session; cancel what is returned when the client vanishes."""
        client.outbox.write_in(self.nursery)
        limits = limits or SessionLimits()
        budget = Budget(limits)
        protocol = SessionProtocol("s1", "smarttrade/9", 25, limits, budget)
        return self._begin(
            partial(
                run_session,
                client,
                Subscriber(client.outbox, budget),
                protocol,
                self.store,
                draining=self.draining,
            )
        )

    def welcome_legacy(
        self, client: MemoryClient, series: Series = BTC, limits: SessionLimits | None = None
    ) -> trio.CancelScope:
        client.outbox.write_in(self.nursery)
        return self._begin(
            partial(
                run_legacy_session,
                client,
                Subscriber(client.outbox, Budget(limits or SessionLimits()), legacy=True),
                series,
                self.store,
                draining=self.draining,
            )
        )

    def _begin(self, session: Callable[[], Awaitable[None]]) -> trio.CancelScope:
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await session()
            self.ended.append(trio.current_time())

        self.nursery.start_soon(run)
        return scope

    async def put(self, *candles: Candle, series: Series = BTC) -> None:
        await self.store.tell(PutUpdates([(series, each) for each in candles]))
        await wait_all_tasks_blocked()

    def is_empty(self) -> bool:
        return (self.counters.subscribers, self.counters.subscriptions) == (0, 0)


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    with trio.fail_after(3600):
        async with trio.open_nursery() as nursery:
            service = Service(nursery)
            await service.start_store()
            await service.start_hub()
            yield service
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def serving_nothing() -> AsyncIterator[Service]:
    """Only the mailboxes."""
    with trio.fail_after(3600):
        async with trio.open_nursery() as nursery:
            yield Service(nursery)
            nursery.cancel_scope.cancel()


def kinds(messages: Sequence[Message]) -> list[str]:
    return [each["type"] for each in messages]


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
