"""What goes wrong and when: written down, or drawn at random from a seed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from math import inf
from random import Random
from typing import Any

import msgspec
import trio

from .exchange import Exchange
from .incidents import INCIDENTS


@dataclass(frozen=True, slots=True)
class Step:
    at: float
    """Trio seconds after the script began."""

    fault: str
    """A switch of `Faults` or an incident, by name."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """`value` of a switch, or the fields of an incident."""

    seconds: float = inf
    """How long a switch stays on, in Trio seconds."""


def inject(
    exchange: Exchange, fault: str, arguments: Mapping[str, Any] | None = None, seconds: float = inf
) -> None:
    """Make a fault happen by its name.

    Raises:
        ValueError: there is no such fault, or its arguments are wrong.
    """
    given = dict(arguments or {})
    switches = dict(exchange.faults.switches())
    if fault in switches:
        value = given.pop("value", None)
        if given:
            raise ValueError(f"unknown arguments: {', '.join(given)}")
        switches[fault].set(value, seconds)
    elif fault in INCIDENTS:
        if seconds < inf and "seconds" in INCIDENTS[fault].__struct_fields__:
            given.setdefault("seconds", seconds)
        try:
            incident = msgspec.convert(given, INCIDENTS[fault])
        except msgspec.ValidationError as problem:
            raise ValueError(str(problem)) from problem
        incident.apply(exchange)
    else:
        raise ValueError(f"unknown fault: {fault!r}")
    exchange.stats.faults[fault] += 1


async def run_script(exchange: Exchange, script: Iterable[Step]) -> None:
    """Inject every step at its time; returns after the last."""
    began = trio.current_time()
    for step in sorted(script, key=lambda one: one.at):
        await trio.sleep_until(began + step.at)
        inject(exchange, step.fault, step.arguments, step.seconds)


async def play_random(exchange: Exchange, seed: int) -> None:
    """Random faults of every kind, for ever; what cannot happen at its moment is left out."""
    day = 86_400.0
    for number in count():
        began = trio.current_time()
        for step in random_script(seed + number, day, symbols=list(exchange.listings)):
            await trio.sleep_until(began + step.at)
            with suppress(ValueError):
                inject(exchange, step.fault, step.arguments, step.seconds)
        await trio.sleep_until(began + day)


Draw = Callable[[Random], dict[str, Any]]


def _nothing(rng: Random) -> dict[str, Any]:  # noqa: ARG001
    return {}


def _one_of(*values: Any, name: str = "value") -> Draw:
    return lambda rng: {name: rng.choice(values)}


def _between(low: float, high: float) -> Draw:
    return lambda rng: {"value": round(rng.uniform(low, high), 3)}


RANDOM_FAULTS: dict[str, tuple[Draw, float, float]] = {
    "cut": (_one_of("rst", "fin", "close", name="how"), 0, 0),
    "half_open": (_nothing, 0, 0),
    "expire": (_nothing, 0, 0),
    "server_shutdown": (_nothing, 1, 30),
    "alter": (_nothing, 0, 0),
    "refuse": (_nothing, 1, 60),
    "no_handshake": (_nothing, 1, 60),
    "handshake_status": (_one_of(429, 418, 451, 403, 503), 1, 60),
    "stall": (_nothing, 1, 90),
    "late": (_between(0.1, 20), 5, 60),
    "duplicate": (_between(0.05, 1), 5, 120),
    "disorder": (_between(0.05, 0.6), 5, 120),
    "truncate": (_between(0.01, 0.3), 5, 60),
    "garbage": (_between(0.01, 0.3), 5, 60),
    "broken_frames": (_between(0.01, 0.3), 5, 60),
    "missing_close": (_between(0.2, 1), 60, 240),
    "no_ping": (_nothing, 30, 180),
    "no_pong": (_nothing, 30, 180),
    "rest_status": (_one_of(429, 418, 451, 403, 500, 502, 503, 504), 1, 60),
    "rest_slow": (_between(0.1, 20), 5, 60),
    "rest_hang": (_nothing, 5, 90),
    "rest_drip": (_between(20, 2000), 5, 60),
    "rest_nonsense": (_one_of("html", "object", "null", "empty", "cut"), 5, 60),
    "rest_short": (_one_of(1, 2, 10, 100), 5, 120),
    "rest_lag": (_between(0.5, 20), 30, 240),
}
"""What random scripts are made of: how its arguments are drawn, and for how long (Trio seconds)."""

SYMBOL_FAULTS = ("alter_one", "hole", "rename", "stall_one")
"""Drawn as well when symbols are named: changed history, no trading for a while, a new name (one a
script), and one stream that is mute. `delist` and `list` are what `rename` consists of."""


def random_script(
    seed: int,
    seconds: float,
    *,
    per_minute: float = 0.5,
    faults: Collection[str] = tuple(RANDOM_FAULTS),
    symbols: Collection[str] = (),
) -> list[Step]:
    """Faults at random times within `seconds`, on average so many a minute; the same for a seed.

    With `symbols`, also what happens to one of them.
    """
    rng = Random(seed)
    kinds = sorted(faults) + (list(SYMBOL_FAULTS) if symbols else [])
    names, has_renamed = sorted(symbols), False
    script: list[Step] = []
    time = rng.expovariate(per_minute / 60)
    while time < seconds:
        fault = rng.choice(kinds)
        if fault in SYMBOL_FAULTS:
            step = _step_for_symbol(rng, fault, round(time, 3), names)
            if not (step.fault == "rename" and has_renamed):
                script.append(step)
            has_renamed = has_renamed or step.fault == "rename"
            time += rng.expovariate(per_minute / 60)
            continue
        draw, shortest, longest = RANDOM_FAULTS[fault]
        lasting = round(rng.uniform(shortest, longest), 3) if longest else inf
        script.append(Step(round(time, 3), fault, draw(rng), lasting))
        time += rng.expovariate(per_minute / 60)
    return script


def _step_for_symbol(rng: Random, fault: str, at: float, names: Sequence[str]) -> Step:
    symbol = rng.choice(names)
    if fault == "hole":
        seconds = round(rng.uniform(60, 5400), 3)
        return Step(at, "hole", {"seconds": seconds, "symbol": rng.choice([None, symbol])})
    if fault == "stall_one":
        stream = f"{symbol.lower()}@kline_1m"
        return Step(at, "stall", {"value": [stream]}, round(rng.uniform(30, 600), 3))
    if fault == "alter_one":
        return Step(at, "alter", {"symbol": symbol})
    return Step(at, "rename", {"symbol": symbol, "to": f"NEW{symbol}"})
