"""Whatever happens to two processes and their store, no client sees a close undone or a hole.

Two processes read one exchange, each by a stream of its own that stalls and loses events; one leads
and the other takes over, dies, and starts again. Their windows receive what a
process receives: from its stream, over REST, and from what is stored. Each has a client that stays
subscribed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smarttrade.market.candle import Candle
from smarttrade.store.events import (
    CandlesMissing,
    CandlesPublished,
    Event,
    SeriesReturned,
    SubscriptionsOpened,
)
from smarttrade.store.messages import (
    CorrectCandles,
    ListSymbols,
    OpenSubscriptions,
    PutHistory,
    SubscriptionSpec,
)
from tests.fakes.candles import BTC, at, candle
from tests.fakes.database import VirtualRedis
from tests.fakes.journals import LEASE, Process

PROCESSES = 2

EXAMPLES = int(os.environ.get("STORY_EXAMPLES", "150"))


@dataclass
class Exchange:
    """Its clock is at second `second` of the minute `minute`; what has closed may be corrected."""

    minute: int = 5
    corrected: dict[int, float] = field(default_factory=dict)

    def row(self, minute: int) -> Candle:
        close = self.corrected.get(minute, 100.0)
        return candle(minute, close=close, from_rest=True)._replace(event_time=at(self.minute))

    def history(self, first: int) -> list[Candle]:
        closed = [self.row(minute) for minute in range(first, self.minute)]
        return [*closed, candle(self.minute, closed=False, from_rest=True)]


class Chart:
    """What a client holds, and what it complains about."""

    def __init__(self) -> None:
        self.is_open = False
        self.candles: dict[int, Candle] = {}
        self.faults: list[str] = []

    def take(self, event: Event) -> None:
        match event:
            case CandlesPublished(published) if self.is_open:
                for _, one, corrected in published:
                    self._update(one, corrected=corrected)
            case SeriesReturned(snapshot):
                self._snapshot(snapshot.candles)
            case SubscriptionsOpened(snapshots=snapshots) if snapshots:
                self.is_open = True
                for snapshot in snapshots:
                    self._snapshot(snapshot.candles)

    def _update(self, one: Candle, *, corrected: bool) -> None:
        newest = max(self.candles, default=0)
        held = self.candles.get(one.open_time)
        if held is not None and held.closed and not (corrected and one.closed):
            self.faults.append(f"{one} after {held}")
        if corrected and not one.closed:
            self.faults.append(f"a correction that is not final: {one}")
        if one.open_time > newest and newest and not self.candles[newest].closed:
            self.faults.append(f"{one} follows {self.candles[newest]}")
        if newest and one.open_time > newest + 60_000:
            self.faults.append(f"a hole between {newest} and {one}")
        self.candles[one.open_time] = one

    def _snapshot(self, candles: Sequence[Candle]) -> None:
        for one in candles:
            held = self.candles.get(one.open_time)
            if held is not None and held.closed and not one.closed:
                self.faults.append(f"a snapshot with {one} after {held}")
            self.candles[one.open_time] = one


class Watched(Process):
    """A process whose client takes every event, and whose backfill answers at once."""

    def __init__(self, server: VirtualRedis, exchange: Exchange, chart: Chart) -> None:
        super().__init__(server, "BTCUSDT")
        self.exchange_ = exchange
        self.chart = chart
        self.is_stalled = False
        note = self.journal.backlog.note

        def watch(event: Event) -> None:
            note(event)
            chart.take(event)

        self.journal.backlog.note = watch  # type: ignore[method-assign]

    async def backfill(self) -> None:
        while True:
            missing: CandlesMissing = await self.gaps.receive()
            first = 0 if missing.first is None else (missing.first - at(0)) // 60_000
            found = self.exchange_.history(max(0, first))
            await self.store.tell(PutHistory(BTC, found, missing.first))

    async def stream(self, *candles: Candle) -> None:
        if not self.is_stalled:
            await self.update(*candles)


class Scenario:
    """Two machines with a process each, and what becomes of them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.server = VirtualRedis()
        self.exchange = Exchange()
        self.charts = [Chart(), Chart()]
        self.processes: list[Watched | None] = [None, None]
        self._nursery = nursery

    async def start(self, number: int) -> None:
        if self.processes[number] is None:
            process = Watched(self.server, self.exchange, self.charts[number])
            self.processes[number] = process
            await self._nursery.start(process.run)
            self._nursery.start_soon(process.backfill)
            wanted = [SubscriptionSpec(BTC, snapshot=1000)]
            await process.store.tell(OpenSubscriptions("client", wanted, b""))
            await process.store.tell(ListSymbols(["BTCUSDT"]))
            await process.store.tell(PutHistory(BTC, self.exchange.history(0), None))

    async def step(self, what: str, number: int) -> None:
        process = self.processes[number]
        if what == "minute":
            await self._next_minute()
        elif what == "start":
            await self.start(number)
        elif process is None:
            return
        elif what == "kill":
            process.kill()
            self.processes[number] = None
            self.charts[number].candles.clear()
            self.charts[number].is_open = False
        elif what == "stall":
            process.is_stalled = not process.is_stalled
        elif what == "cut":
            process.link.is_cut = not process.link.is_cut
        elif what == "correct":
            await self._correct(process)
        elif what == "leave":
            await process.store.tell(ListSymbols([]))
        elif what == "return":
            await process.store.tell(ListSymbols(["BTCUSDT"]))
            await process.store.tell(PutHistory(BTC, self.exchange.history(0), None))

    async def _next_minute(self) -> None:
        exchange = self.exchange
        closed = candle(exchange.minute)
        exchange.minute += 1
        for process in filter(None, self.processes):
            await process.stream(closed, candle(exchange.minute, closed=False))

    async def _correct(self, process: Watched) -> None:
        """The exchange has corrected its history, and the audit of this process finds it."""
        minute = self.exchange.minute - 2
        self.exchange.corrected[minute] = 100.0 + self.exchange.minute
        await process.store.tell(CorrectCandles(BTC, [self.exchange.row(minute)]))

    async def settle(self) -> None:
        for number in range(PROCESSES):
            await self.start(number)
        for process in filter(None, self.processes):
            process.is_stalled = process.link.is_cut = False
            await process.store.tell(ListSymbols(["BTCUSDT"]))
        await self._next_minute()
        await trio.sleep(3 * LEASE)
        for process in filter(None, self.processes):
            await process.store.tell(PutHistory(BTC, self.exchange.history(0), None))
        await trio.sleep(1)


steps = st.tuples(
    st.sampled_from(
        [
            "minute",
            "minute",
            "minute",
            "start",
            "kill",
            "stall",
            "cut",
            "correct",
            "leave",
            "return",
        ]
    ),
    st.integers(0, 1),
    st.sampled_from([0.0, 0.01, 1.0, LEASE + 1.0]),
)


async def live_through(story: Sequence[tuple[str, int, float]]) -> None:
    async with trio.open_nursery() as nursery:
        deployment = Scenario(nursery)
        await deployment.start(0)
        for what, number, pause in story:
            await deployment.step(what, number)
            await trio.sleep(pause)
        await deployment.settle()
        for chart in deployment.charts:
            assert chart.faults == []
        stored = deployment.server.contents.lists[BTC]
        expected = [c.open_time for c in deployment.exchange.history(0)]
        assert [c.open_time for c in stored] == expected
        assert all(c.closed for c in stored[:-1])
        nursery.cancel_scope.cancel()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=25))
def test_no_client_sees_a_close_undone_or_a_hole(story: list[tuple[str, int, float]]) -> None:
    async def live() -> None:
        await live_through(story)

    trio.run(live, clock=trio.testing.MockClock(autojump_threshold=0))
