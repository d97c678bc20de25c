"""Days of exchange time with one fault after the other, drawn at random."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import trio
from trio.testing import MockClock

from actors.testing import seeded_scheduler
from smarttrade.market.interval import Interval
from smarttrade.simulator import RANDOM_FAULTS, Step, inject, random_script
from tests.fakes.service import World, running
from tests.fakes.unhandled import UNHANDLED

from .events import Journal, counted
from .report import describe_reaction
from .trial import Crowd
from .watch import Limits, Spending, Watch

SYMBOLS = ("BTCUSDT", "ETHUSDT", "LTCUSDT")
QUIET, RENAMED = "ETHUSDT", "LTCUSDT"
INTERVALS = (Interval.MINUTE_1, Interval.MINUTE_15)
PER_MINUTE = 0.1  # faults
CALM = 1800.0  # seconds without faults in the end
LOOK_EVERY = 15.0  # seconds
NEED_A_CUT = ("refuse", "no_handshake", "handshake_status", "rest_")
"""Faults that a service with open streams and complete windows does not notice."""
FAULTS = tuple(sorted(RANDOM_FAULTS.keys() - UNHANDLED))


@dataclass(frozen=True)
class Report:
    text: str
    wrong: Sequence[str]


def script(seed: int, seconds: float) -> list[Step]:
    """At least one of each kind, and one symbol that is renamed."""
    rng = Random(seed)
    drawn = random_script(seed, seconds, per_minute=PER_MINUTE, faults=FAULTS)
    missing = sorted(set(FAULTS) - {step.fault for step in drawn})
    for fault in missing:
        drawn += _one(fault, rng, seconds)
    for _ in range(max(1, round(seconds / 36_000))):
        drawn += [
            Step(
                rng.uniform(0, seconds),
                "hole",
                {"seconds": rng.uniform(60, 5400), "symbol": rng.choice([None, *SYMBOLS])},
            ),
            Step(rng.uniform(0, seconds), "refuse", {}, rng.uniform(300, 3600)),
            Step(rng.uniform(0, seconds), "stall", {"value": ["btcusdt@kline_1m"]}, 300),
            Step(rng.uniform(0, seconds), "alter", {"symbol": "BTCUSDT", "interval": "1m"}),
        ]
    drawn += [
        Step(step.at + 0.5, "cut", {"which": "all"})
        for step in drawn
        if step.fault.startswith(NEED_A_CUT) and rng.random() < 0.7
    ]
    drawn.append(Step(0.7 * seconds, "rename", {"symbol": RENAMED, "to": "NEWUSDT"}))
    return sorted(drawn, key=lambda step: step.at)


def _one(fault: str, rng: Random, seconds: float) -> Iterator[Step]:
    draw, shortest, longest = RANDOM_FAULTS[fault]
    lasting = rng.uniform(shortest, longest) if longest else float("inf")
    yield Step(rng.uniform(0, seconds), fault, draw(rng), lasting)


async def _suffer(world: World, steps: Sequence[Step], hours: float) -> Counter[str]:
    """Play the script; what cannot happen at its moment is left out."""
    began, clock = trio.current_time(), time.monotonic()
    played: Counter[str] = Counter()
    printed = 0
    for step in steps:
        await trio.sleep_until(began + step.at)
        try:
            inject(world.exchange, step.fault, step.arguments, step.seconds)
        except ValueError:
            continue  # an alteration while nothing has closed
        played[step.fault] += 1
        if step.at >= (printed + 6) * 3600:
            printed = int(step.at // 3600)
            took = time.monotonic() - clock
            print(f"{printed:3} h of {hours:g} after {took:.0f} s", file=sys.stderr, flush=True)
    return played


async def _endure(seed: int, hours: float, journal: Journal) -> Report:
    steps = script(seed, hours * 3600)
    options = {"symbols": SYMBOLS, "intervals": INTERVALS, "quiet": [QUIET], "seed": seed}
    async with running(**options) as world, trio.open_nursery() as nursery:
        limits, crowd, spending = Limits(world), Crowd(world), Spending(world)
        watch = Watch(world, crowd.staying, frozenset(SYMBOLS), every=LOOK_EVERY)
        nursery.start_soon(crowd.run)
        await world.next_minute(1, plus=25)
        nursery.start_soon(watch.run)
        began = trio.current_time()
        played = await _suffer(world, steps, hours)
        await trio.sleep_until(began + hours * 3600)
        world.exchange.faults.clear()
        await trio.sleep(CALM)
        await world.ready()
        await world.next_minute(plus=25)  # by then history is final
        await crowd.finish()
        wrong = [*await world.differences(), *crowd.faults(), *limits.check(), *journal.crashes]
        wrong += [f"not played: {kind}" for kind in FAULTS if not played[kind]]
        did = describe_reaction(journal.counts, (), (), spending.skipped, crowd.corrections)
        seen = crowd.staying.charts.by_series
        closed = sum(len(chart.closes) for chart in seen.values())
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(played.items()))
        lines = {
            "seed": seed,
            "faults": f"{played.total()} of {len(played)} kinds: {kinds}",
            "series": f"{', '.join(map(str, seen))}; {QUIET} is quiet, {RENAMED} is renamed",
            "updates at the client that stayed": crowd.staying.charts.updates,
            "candles that closed there": closed,
            "connections of the clients": f"{crowd.staying.connects}, {crowd.restless.connects}",
            "the service": did,
            "not complete": f"at {watch.incomplete} of {watch.looks} looks, {watch.every:g} s apart",
            "weight of candles beyond the audit": spending.weight,
            "most weight in a minute": limits.most_weight,
            "most attempts to connect in 5 minutes": limits.most_attempts,
            "missing or wrong in the end": len(wrong) or "none",
        }
        rows = [f"| {name} | {value} |" for name, value in lines.items()]
        text = "\n".join([f"| {hours:g} h of exchange time | |", "| --- | --- |", *rows])
        nursery.cancel_scope.cancel()
    return Report(text, wrong)


def endure(seed: int, hours: float) -> Report:
    with counted() as journal, seeded_scheduler(seed):
        return trio.run(_endure, seed, hours, journal, clock=MockClock(autojump_threshold=0))
