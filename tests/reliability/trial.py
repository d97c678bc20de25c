"""One fault, played against the service while clients are connected."""

from __future__ import annotations

import math
from typing import Any

import trio
from trio.testing import MockClock

from actors.testing import seeded_scheduler
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from tests.fakes.service import ReconnectingClient, World, running

from .events import Journal, counted
from .faults import Fault
from .report import Result, describe_reaction
from .watch import EVERY, Limits, Spending, Watch

SYMBOLS = ("BTCUSDT", "ETHUSDT")
INTERVALS = (Interval.MINUTE_1, Interval.MINUTE_5)
WITHIN = 900.0  # seconds to be complete again
CALM = 30.0  # seconds without a problem after which it counts as complete
STAYS, AWAY = 95.0, 20.0  # seconds, of the client that comes and goes


def all_series(world: World) -> list[Series]:
    return [Series(s, i) for s in world.settings.symbols for i in world.settings.intervals]


class Crowd:
    """A client that stays connected, and one that comes and goes with what it has."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.staying = ReconnectingClient(all_series(world))
        self.restless = ReconnectingClient(all_series(world))
        self._coming_and_going = trio.CancelScope()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.staying.run, self.world)
            with self._coming_and_going:
                while True:
                    with trio.move_on_after(STAYS):
                        await self.restless.run(self.world)
                    await trio.sleep(AWAY)

    async def finish(self) -> None:
        """The last visit, so that both have everything."""
        self._coming_and_going.cancel()
        with trio.move_on_after(5):
            await self.restless.run(self.world)

    def faults(self) -> list[str]:
        return [
            f"client that {does}: {fault}"
            for does, client in (("stays", self.staying), ("comes and goes", self.restless))
            for series in client.series
            for fault in self.world.compare(series, client.charts)
        ]

    @property
    def corrections(self) -> int:
        return sum(chart.corrections for chart in self.staying.charts.by_series.values())


async def _play(fault: Fault, journal: Journal, seed: int) -> Result:
    options: dict[str, Any] = {"symbols": SYMBOLS, "intervals": INTERVALS, "seed": seed}
    async with running(**options | dict(fault.world)) as world, trio.open_nursery() as nursery:
        limits, crowd = Limits(world), Crowd(world)
        watch = Watch(world, crowd.staying, fault.quiet, fault.sick)
        nursery.start_soon(crowd.run)
        await world.next_minute(1, plus=25)
        spending = Spending(world)
        journal.reset()
        nursery.start_soon(watch.run)
        await fault.play(world)
        ended = trio.current_time()
        refused = spending.refusals
        world.exchange.faults.clear()
        await trio.sleep(fault.at_least)
        await _calm(watch)
        last_problem_at = watch.last_problem_at
        did = describe_reaction(
            journal.counts, journal.feeds, journal.hints, spending.skipped, crowd.corrections
        )
        weight = spending.weight
        await world.next_minute(plus=25)  # by then history is final
        await crowd.finish()
        wrong = [*await world.differences(), *crowd.faults(), *limits.check(), *journal.crashes]
        if not watch.is_complete:
            wrong.append(f"not complete within {WITHIN:.0f} s: {watch.problem}")
        nursery.cancel_scope.cancel()
    seconds = None if last_problem_at == -math.inf else max(0.0, last_problem_at + EVERY - ended)
    noticed = (watch.noticed or "nothing") if fault.sick else ""
    return Result(fault.name, did, seconds, noticed, wrong, weight, refused)


async def _calm(watch: Watch) -> None:
    """Return once nothing has been wrong for a while, or `WITHIN` is over."""
    since = trio.current_time()
    with trio.move_on_after(WITHIN):
        while trio.current_time() < max(since, watch.last_problem_at) + CALM:
            await trio.sleep(EVERY)


def play(fault: Fault, seed: int = 0) -> Result:
    """In virtual time; the same for the same seed."""
    with counted() as journal, seeded_scheduler(seed):
        return trio.run(_play, fault, journal, seed, clock=MockClock(autojump_threshold=0))
