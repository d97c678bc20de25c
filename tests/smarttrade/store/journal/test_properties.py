"""Whatever becomes of its batches, what is stored ends as what memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import Mailbox
from smarttrade.store.database import Database, DatabaseUnavailable, Leading
from smarttrade.store.events import Event
from smarttrade.store.journal import Journal
from smarttrade.store.journal.actor import _Writer
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import StoreMessage
from smarttrade.store.redis_database import RedisDatabase
from tests.fakes.candles import BTC, ETH, at, candle, rows
from tests.fakes.database import BINANCE, VirtualRedis
from tests.fakes.redis_server import RedisServer


class Unreliable:
    """Hands writes on, loses them, does them without saying so, or does them much later."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.fate = "done"
        self.late: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def write(self, *arguments: Any) -> Any:
        fate, self.fate = self.fate, "done"
        if fate in ("done", "twice", "unknown"):
            outcome = await self.inner.write(*arguments)
            if fate == "twice":
                await self.inner.write(*arguments)
            if fate != "unknown":
                return outcome
        if fate == "late":
            self.late.append(arguments)
        raise DatabaseUnavailable(fate)

    async def deliver_late(self) -> None:
        if self.late:
            await self.inner.write(*self.late.pop())


candles = st.builds(
    candle,
    st.integers(0, 14),
    closed=st.booleans(),
    close=st.sampled_from([100.0, 101.0, 102.5]),
    volume=st.sampled_from([1.0, 2.0, 3.0]),
    event=st.integers(0, 9),
)
ranges = st.tuples(st.integers(0, 14), st.integers(0, 6))

steps = st.one_of(
    st.tuples(st.just("updates"), st.lists(candles, max_size=6)),
    st.tuples(st.just("history"), ranges),
    st.tuples(st.just("correction"), candles),
    st.tuples(st.just("release"), st.none()),
    st.tuples(st.just("send"), st.sampled_from(["done", "twice", "unknown", "lost", "late"])),
    st.tuples(st.just("arrives late"), st.none()),
)


def change(memory: MemoryStore, what: str, value: Any) -> list[Event]:
    match what:
        case "updates":
            return memory.put_updates([(BTC, each) for each in value], 0.0, 0.0)
        case "history":
            first, length = value
            return memory.put_history(BTC, rows(first, first + length), at(first), 0.0, 0.0)
        case "correction":
            return memory.correct(BTC, [value._replace(closed=True)], 0.0)
        case "release":
            memory.check_overdue(0.0, 0.0)
            return memory.check_overdue(100.0, 0.0)
    return []


async def live_through(database: Database, story: Sequence[tuple[str, Any]]) -> None:
    unreliable = Unreliable(database)
    memory = MemoryStore(("BTCUSDT", "ETHUSDT"), (BTC.interval,))
    journal = Journal(memory, unreliable, lease=60.0, wall_clock=lambda: 0.0)
    writer = _Writer(journal, Mailbox[StoreMessage]("store", capacity=9), trio.TASK_STATUS_IGNORED)

    async def send() -> None:
        claim = await unreliable.acquire(journal.name, 60.0)
        assert isinstance(claim, Leading)
        await writer._begin_to_lead(claim)
        while not writer._reconciler.is_done:
            await writer._compare_some()
        with suppress(DatabaseUnavailable):
            await writer._batches.write(journal.backlog.take(5))

    await send()
    for what, value in story:
        if what == "send":
            unreliable.fate = value
            await send()
        elif what == "arrives late":
            await unreliable.deliver_late()
        for event in change(memory, what, value):
            journal.backlog.note(event)
    while not journal.backlog.is_empty:
        await send()
    while unreliable.late:
        await unreliable.deliver_late()
    btc, eth = await database.load([BTC, ETH])
    mine = memory.state_of(BTC)
    stored = btc.state
    if mine is None or not mine.candles:
        assert stored is None or not stored.candles
    else:
        assert stored is not None
        # A state read again with equal values is not written again, though it is known later.
        assert [c._replace(event_time=0) for c in stored.candles] == [
            c._replace(event_time=0) for c in mine.candles
        ]
        assert (stored.holes, stored.unfilled) == (mine.holes, mine.unfilled)
    assert eth.state is None


@settings(max_examples=300)
@given(st.lists(steps, max_size=30))
def test_any_story_in_the_stand_in(story: list[tuple[str, Any]]) -> None:
    async def live() -> None:
        await live_through(VirtualRedis().connect(), story)

    trio.run(live, clock=trio.testing.MockClock(autojump_threshold=0))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=30))
def test_any_story_in_redis(redis_server: RedisServer, story: list[tuple[str, Any]]) -> None:
    async def live() -> None:
        with redis_server.client() as client:
            client.flushall()
        await live_through(
            RedisDatabase(
                redis_server.url, "test", timeout=2.0, stream_length=1000, exchange=BINANCE
            ),
            story,
        )

    trio.run(live)
