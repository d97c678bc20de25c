"""Watches a running service from outside: whether it is complete, and what it spends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import trio

from smarttrade.binance.limits import (
    CONNECTION_PERIOD,
    EXCHANGE_CONNECTION_LIMIT,
    EXCHANGE_WEIGHT_LIMIT,
)
from smarttrade.market.series import Series
from smarttrade.simulator import Exchange
from smarttrade.simulator.rate_limits import AddressBudget, Refusal
from tests.fakes.chart import Chart
from tests.fakes.service import ReconnectingClient, World

EVERY = 1.0  # seconds between two looks
SETTLED_AFTER = 3_000  # ms after a candle's end by which its client should have it
FRESH_FOR = 15.0  # seconds; a busy chart is stale after that
LOOKED_AT = 6  # closed candles, the newest

KLINES_WEIGHT = 2


class Meter(AddressBudget):
    """Counts as the exchange does, and remembers the most."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self.refused = 0

    def spend(self, weight: int, now: float, others: int = 0) -> Refusal | None:
        refusal = super().spend(weight, now, others)
        self.most = max(self.most, self.used)
        self.refused += refusal is not None
        return refusal


def attach_meter(exchange: Exchange) -> Meter:
    meter = exchange.limits._weights["memory"] = Meter()
    return meter


def weight_spent(world: World) -> int:
    """Of all requests for candles that were answered, in whatever way."""
    return sum(
        KLINES_WEIGHT * times
        for exchange in (world.exchange, world.spare)
        if exchange is not None
        for (path, _), times in exchange.stats.requests.items()
        if path == "/api/v3/klines"
    )


def _refusals(world: World) -> int:
    stats = [one.stats for one in (world.exchange, world.spare) if one is not None]
    requests = [each.requests.items() for each in stats]
    handshakes = [each.handshakes.items() for each in stats]
    return sum(times for found in requests for (_, status), times in found if status >= 400) + sum(
        times for found in handshakes for status, times in found if status >= 400
    )


def most_attempts(times: Sequence[float]) -> int:
    """To connect to streams, within any five minutes."""
    most = begin = 0
    for end, at in enumerate(times):
        while times[begin] <= at - CONNECTION_PERIOD:
            begin += 1
        most = max(most, end - begin + 1)
    return most


class Spending:
    """What was spent, and skipped, since it was made."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before = self._now()
        self._refused_before = _refusals(world)

    @property
    def refusals(self) -> int:
        """Requests and handshakes that an exchange refused, whatever the reason."""
        return _refusals(self._world) - self._refused_before

    def _now(self) -> tuple[int, int, int]:
        counters = self._world.counters
        return weight_spent(self._world), counters.audit.turns, counters.stream.malformed

    @property
    def weight(self) -> int:
        """Of requests for candles, without what the audit spends when all is well."""
        spent, turns, _ = (now - then for now, then in zip(self._now(), self._before, strict=True))
        return spent - KLINES_WEIGHT * turns

    @property
    def skipped(self) -> int:
        """Messages of the stream."""
        return self._now()[2] - self._before[2]


@dataclass
class Limits:
    """That no budget was exceeded, in the end."""

    world: World
    meters: list[Meter] = field(default_factory=list)

    def __post_init__(self) -> None:
        exchanges = [self.world.exchange, self.world.spare]
        self.meters = [attach_meter(one) for one in exchanges if one is not None]

    @property
    def most_weight(self) -> int:
        return max(meter.most for meter in self.meters)

    @property
    def most_attempts(self) -> int:
        return most_attempts(self.world.dialled)

    def check(self) -> list[str]:
        found = []
        if self.most_weight > EXCHANGE_WEIGHT_LIMIT // 2:
            found.append(f"weight of {self.most_weight} in a minute")
        if any(meter.refused for meter in self.meters):
            found.append("the exchange had to refuse requests")
        if self.most_attempts > EXCHANGE_CONNECTION_LIMIT // 2:
            found.append(f"{self.most_attempts} attempts to connect in five minutes")
        return found


@dataclass
class Watch:
    """Looks at one client that stays connected: since when it has all that there is."""

    world: World
    client: ReconnectingClient
    quiet: frozenset[str] = frozenset()
    """Symbols of which no updates need to come."""
    sick: frozenset[str] = frozenset()
    """Symbols that the fault happens to; the others should not notice."""
    noticed: str = ""
    """The first problem of a series of another symbol."""
    last_problem_at: float = -math.inf
    """When something was last not as it should be."""
    problem: str = ""
    is_complete: bool = True
    every: float = EVERY
    looks: int = 0
    incomplete: int = 0
    """Looks at which it was not complete."""
    _seen: dict[Series, tuple[int, float]] = field(default_factory=dict)

    async def run(self) -> None:
        while True:
            problems = self.look()
            problem = next(iter(problems.values()), None)
            others = [text for series, text in problems.items() if series.symbol not in self.sick]
            self.noticed = self.noticed or next(iter(others), "")
            if problem is None and not await self.world.is_ready():
                problem = "not ready"
            self.is_complete = problem is None
            self.looks += 1
            if problem is not None:
                self.incomplete += 1
                self.last_problem_at = trio.current_time()
                self.problem = problem
            await trio.sleep(self.every)

    def look(self) -> dict[Series, str]:
        """The series that are not as they should be, and why."""
        problems = {}
        for series in self.client.series:
            chart = self.client.charts.by_series.get(series)
            problem = "nothing yet" if chart is None else self._look_at(series, chart)
            if problem:
                problems[series] = f"{series}: {problem}"
        return problems

    def _look_at(self, series: Series, chart: Chart) -> str | None:
        now = trio.current_time()
        updates, since = self._seen.get(series, (-1, now))
        if updates != chart.updates:
            self._seen[series] = chart.updates, now
        elif series.symbol not in self.quiet and now > since + FRESH_FOR:
            return "no news"
        over = series.interval.floor(self.world.exchange.now() - SETTLED_AFTER)
        *earlier, _ = self.world.exchange.klines(
            series.symbol, series.interval.value, limit=LOOKED_AT
        )
        for time, row in ((row[0] // 1000, row) for row in earlier if row[0] < over):
            if time not in chart.closed:
                return f"{time} is not closed"
            if chart.candles[time] != tuple(map(Decimal, row[1:6])):
                return f"{time} has wrong values"
        return None
