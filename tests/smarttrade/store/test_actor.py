from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import (
    ActorDied,
    Backoff,
    Child,
    Mailbox,
    Reply,
    RestartBudget,
    Strategy,
    Supervisor,
)
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.actor import MAX_TURN, run_store
from smarttrade.store.events import (
    CandlesMissing,
    CandlesPublished,
    FeedChanged,
    HubEvent,
    SubscriptionsClosed,
    SubscriptionsOpened,
)
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    Catalogue,
    CheckOverdue,
    CloseSubscriptions,
    FindMissing,
    GetCatalogue,
    GetListed,
    GetOverview,
    GetPage,
    GetSymbolOverviews,
    ListSymbols,
    OpenSubscriptions,
    Page,
    PageUnavailable,
    PutHistory,
    PutUpdates,
    ReportFeed,
    StoreMessage,
    SubscriptionSpec,
)
from tests.fakes.candles import BTC, ETH, at, candle, minutes, rows, states

INTERVALS = [Interval.MINUTE_1]


@dataclass
class World:
    """A store that runs, and the events it sends."""

    memory: MemoryStore = field(
        default_factory=lambda: MemoryStore(["BTCUSDT", "ETHUSDT"], INTERVALS)
    )
    store: Mailbox[StoreMessage] = field(default_factory=lambda: Mailbox("store", capacity=64))
    hub: Mailbox[HubEvent] = field(default_factory=lambda: Mailbox("hub", capacity=1000))
    gaps: Mailbox[CandlesMissing] = field(default_factory=lambda: Mailbox("gaps", capacity=100))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await run_store(
            self.store,
            self.memory,
            hub=self.hub,
            gaps=self.gaps,
            wall_clock=lambda: 5000 + trio.current_time(),
            task_status=task_status,
        )

    async def send(self, *messages: StoreMessage) -> None:
        for message in messages:
            await self.store.tell(message)

    async def page(self, series: Series = BTC) -> Page | PageUnavailable:
        with trio.fail_after(1):
            return await self.store.ask(partial(GetPage, series, 1000, None))

    def events(self) -> list[HubEvent]:
        """What the hub has received since the last call."""
        return [self.hub.receive_nowait() for _ in range(self.hub.depth)]

    def asked(self) -> list[CandlesMissing]:
        return [self.gaps.receive_nowait() for _ in range(self.gaps.depth)]


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    with trio.fail_after(600):
        async with trio.open_nursery() as nursery:
            await nursery.start(world.run)
            yield world
            nursery.cancel_scope.cancel()


async def test_store_ends_with_its_mailbox() -> None:
    world = World()
    world.store.close()
    with trio.fail_after(1):
        await world.run()


async def test_questions_are_answered_in_the_order_of_the_mailbox() -> None:
    async with running(World()) as world:
        assert await world.page() is PageUnavailable.HISTORY
        await world.send(PutHistory(BTC, rows(0, 3), None))
        await world.send(PutUpdates([(BTC, candle(3)), (BTC, candle(4, closed=False))]))
        page = await world.page()
        assert isinstance(page, Page)
        assert states(page.candles) == [(0, True), (1, True), (2, True), (3, True), (4, False)]
        catalogue = await world.store.ask(GetCatalogue)
        assert catalogue == Catalogue(("BTCUSDT", "ETHUSDT"), (Interval.MINUTE_1,))


async def test_overview_is_as_of_the_loop_s_time(autojump_clock: MockClock) -> None:
    async with running(World()) as world:
        await world.send(PutHistory(BTC, rows(0, 3), None), PutUpdates([(BTC, candle(3))]))
        await trio.sleep(7)
        overview = await world.store.ask(GetOverview)
        btc, eth = await world.store.ask(partial(GetSymbolOverviews, world.memory.symbols))
        assert (btc.age, eth.age) == (7, None)
        assert overview.updated_at == 5000


async def test_events_for_the_hub_and_for_the_backfill_go_their_ways() -> None:
    async with running(World()) as world:
        await world.send(
            FindMissing([BTC, ETH]),
            PutHistory(BTC, rows(0, 3), None),
            PutUpdates([(BTC, candle(3)), (BTC, candle(6))]),
            ReportFeed(FeedStatus(Feed.LIVE, 1.0)),
            CloseSubscriptions("unknown"),
        )
        await wait_all_tasks_blocked()
        assert [type(event) for event in world.events()] == [
            CandlesPublished,
            FeedChanged,
            SubscriptionsClosed,
        ]
        assert world.asked() == [
            CandlesMissing(BTC, None, None, 0),
            CandlesMissing(ETH, None, None, 0),
            CandlesMissing(BTC, at(4), at(6), candle(6).event_time),
        ]


async def test_look_around_releases_and_asks_by_the_loop_s_time(autojump_clock: MockClock) -> None:
    async with running(World()) as world:
        await world.send(
            PutHistory(BTC, rows(0, 3), None), PutUpdates([(BTC, candle(3)), (BTC, candle(6))])
        )
        published: list[float] = []
        overdue: list[float] = []
        await wait_all_tasks_blocked()
        world.events(), world.asked()
        for _ in range(30):
            await world.send(CheckOverdue())
            await wait_all_tasks_blocked()
            if any(isinstance(event, CandlesPublished) for event in world.events()):
                published.append(trio.current_time())
            if any(question.last is None for question in world.asked()):
                overdue.append(trio.current_time())
            await trio.sleep(1)
        assert published == [6]
        assert overdue == [0, 5, 12, 15, 20, 24]  # 12 and 24: what was published over


@pytest.mark.parametrize(("cost", "turns"), [(0.0, 2), (MAX_TURN / 9.5, 5), (2 * MAX_TURN, 41)])
async def test_store_takes_several_messages_in_a_turn_of_bounded_length(
    cost: float, turns: int
) -> None:
    """Otherwise it takes one for each turn of all the tasks that decode history at a start."""
    world, spent, passed, handled = World(), 0.0, 0, []

    def cost_clock() -> float:
        nonlocal spent
        spent += cost
        return spent

    async def others() -> None:
        nonlocal passed
        while True:
            passed += 1
            handled.append(world.store.handled)
            await trio.lowlevel.checkpoint()

    await world.send(*(PutUpdates([(BTC, candle(n))]) for n in range(40)))
    async with trio.open_nursery() as nursery:
        run = partial(run_store, hub=world.hub, gaps=world.gaps, cost_clock=cost_clock)
        nursery.start_soon(run, world.store, world.memory)
        nursery.start_soon(others)
        while world.store.depth:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert len(set(handled)) <= turns
    assert len(set(handled)) >= turns / 2


async def test_full_hub_makes_the_store_wait_and_loses_nothing() -> None:
    world = World(hub=Mailbox("hub", capacity=1))
    async with running(world):
        await world.send(PutHistory(BTC, rows(0, 0), None))
        for minute in range(20):
            await world.send(PutUpdates([(BTC, candle(minute))]))
        await wait_all_tasks_blocked()
        assert world.hub.depth == 1
        assert world.store.depth > 10
        heard: list[Candle] = []
        while len(heard) < 20:
            event = await world.hub.receive()
            assert isinstance(event, CandlesPublished)
            heard += [each.candle for each in event.published]
        assert minutes(heard) == list(range(20))


# Listing


async def test_listed_series_are_answered_once_the_exchange_has_listed_them() -> None:
    async with running(World()) as world:
        answers: list[tuple[Series, ...]] = []

        async def ask() -> None:
            answers.append(await world.store.ask(GetListed))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            assert answers == []
            await world.page()  # others are answered meanwhile
            await world.send(ListSymbols(["ETHUSDT"]))
        assert answers == [(ETH,)] * 3
        assert await world.store.ask(GetListed) == (ETH,)
        assert await world.page(BTC) is PageUnavailable.SYMBOL


# Crashes


class FailingStore(MemoryStore):
    """Fails at the next page that is asked for, and at history of ETH."""

    stumbles = 1

    def page(self, series: Series, limit: int, before: int | None) -> Page | PageUnavailable:
        if self.stumbles:
            self.stumbles -= 1
            raise RuntimeError("stumbled")
        return super().page(series, limit, before)

    def put_history(self, series: Series, *rest: object) -> list[object]:  # type: ignore[override]
        if series == ETH:
            raise RuntimeError("stumbled")
        return super().put_history(series, *rest)  # type: ignore[arg-type, return-value]


@asynccontextmanager
async def supervised(world: World) -> AsyncIterator[World]:
    tree = Supervisor(
        "service",
        [Child("store", world.run, mailbox=world.store)],
        strategy=Strategy.ONE_FOR_ONE,
        budget=RestartBudget(3, within=60),
        backoff=Backoff(0, 0),
    )
    with trio.fail_after(600):
        async with trio.open_nursery() as nursery:
            await nursery.start(tree.run)
            yield world
            tree.stop()


async def test_crash_while_a_question_is_answered_answers_it(autojump_clock: MockClock) -> None:
    async with supervised(World(memory=FailingStore(["BTCUSDT", "ETHUSDT"], INTERVALS))) as world:
        with trio.fail_after(0.1), pytest.raises(ActorDied):
            await world.page()
        assert await world.page() is PageUnavailable.HISTORY


async def test_crash_answers_the_question_in_hand_without_a_supervisor_too() -> None:
    world = World(memory=FailingStore(["BTCUSDT"], INTERVALS))
    reply: Reply[Page | PageUnavailable] = Reply()
    await world.send(GetPage(BTC, 1, None, reply))
    with pytest.raises(RuntimeError, match="stumbled"):
        await world.run()
    assert reply.answered
    with pytest.raises(ActorDied):
        await reply.wait()


async def test_crash_answers_those_who_wait_for_the_listing(autojump_clock: MockClock) -> None:
    async with supervised(World(memory=FailingStore(["BTCUSDT", "ETHUSDT"], INTERVALS))) as world:
        failed: list[bool] = []

        async def ask() -> None:
            with pytest.raises(ActorDied):
                await world.store.ask(GetListed)
            failed.append(True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            await world.send(PutHistory(ETH, rows(0, 3), None))
        assert failed
        await world.send(ListSymbols(["BTCUSDT"]))
        assert await world.store.ask(GetListed) == (BTC,)


async def test_restart_loses_nothing_but_the_message_in_hand(autojump_clock: MockClock) -> None:
    async with supervised(World(memory=FailingStore(["BTCUSDT", "ETHUSDT"], INTERVALS))) as world:
        world.memory.stumbles = 0  # type: ignore[attr-defined]
        await world.send(
            PutHistory(BTC, rows(0, 3), None),
            PutHistory(ETH, rows(0, 3), None),
            PutUpdates([(BTC, candle(3))]),
        )
        page = await world.page()
        assert isinstance(page, Page)
        assert states(page.candles)[-1] == (3, True)


# The hand-over


class SubscriberViews:
    """A hub that keeps every subscriber's view, and the order of its candles."""

    def __init__(self) -> None:
        self.views: dict[object, dict[int, Candle]] = {}
        self.received: dict[object, list[tuple[int, bool]]] = {}

    async def listen(self, hub: Mailbox[HubEvent]) -> None:
        async for event in hub:
            match event:
                case SubscriptionsOpened(subscriber, _, _, snapshots):
                    (snapshot,) = snapshots
                    assert subscriber not in self.views
                    self.views[subscriber] = {each.open_time: each for each in snapshot.candles}
                    self.received[subscriber] = []
                case CandlesPublished(published):
                    for subscriber, view in self.views.items():
                        for _, candle, _ in published:
                            view[candle.open_time] = candle
                            self.received[subscriber].append((candle.open_time, candle.closed))

    def check(self, subscriber: object, page: Page, since: int | None) -> None:
        view, received = self.views[subscriber], self.received[subscriber]
        assert since is None or min(view) == since
        assert [view[t] for t in sorted(view)] == [
            each for each in page.candles if each.open_time >= min(view)
        ]
        assert received == sorted(received)
        final = [open_time for open_time, closed in received if closed]
        assert len(final) == len(set(final))


class Scenario:
    """A feed that loses a close now and then, a backfill, and clients who come when they like."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(seed)

    async def feed(self) -> None:
        for minute in range(3, 40):
            for event in (2, 4, 6):
                update = candle(minute, closed=False, event=event, volume=10.0 + event)
                await self.world.send(PutUpdates([(BTC, update)]))
                if self.rng.random() < 0.3:
                    await trio.lowlevel.checkpoint()
            if self.rng.random() < 0.8:
                await self.world.send(PutUpdates([(BTC, candle(minute))]))

    async def backfill(self) -> None:
        async for missing in self.world.gaps:
            assert missing.first is not None
            assert missing.last is not None
            first, last = ((t - at(0)) // 60_000 for t in (missing.first, missing.last))
            await self.world.send(PutHistory(BTC, rows(first, last), missing.first))

    async def subscribe(self, number: int) -> None:
        for _ in range(self.rng.randrange(200)):
            await trio.lowlevel.checkpoint()
        wanted = (
            SubscriptionSpec(BTC, snapshot=4) if number % 2 else SubscriptionSpec(BTC, since=at(3))
        )
        await self.world.send(OpenSubscriptions(number, [wanted], b""))


@pytest.mark.parametrize("seed", range(8))
async def test_subscription_begins_at_one_instant_between_two_updates(seed: int) -> None:
    """However and whenever a client subscribes, its view and the window are equal in the end."""
    world = World(hub=Mailbox("hub", capacity=2))
    story, audience = Scenario(world, seed), SubscriberViews()
    async with running(world), trio.open_nursery() as nursery:
        await world.send(PutHistory(BTC, rows(0, 3), None))
        nursery.start_soon(audience.listen, world.hub)
        nursery.start_soon(story.backfill)
        async with trio.open_nursery() as busy:
            busy.start_soon(story.feed)
            for number in range(20):
                busy.start_soon(story.subscribe, number)
        await wait_all_tasks_blocked()
        page = await world.page()
        assert isinstance(page, Page)
        assert len(audience.views) == 20
        for number in range(20):
            audience.check(number, page, since=None if number % 2 else at(3))
        nursery.cancel_scope.cancel()
