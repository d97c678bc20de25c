"""Faults drawn at random from a seed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import count
from math import inf
from random import Random
from typing import Any

import trio

from .exchange import Exchange
from .script import Step, inject


async def play_random(exchange: Exchange, seed: int) -> None:
    """Random faults of every kind until cancelled; what cannot happen at its time is left out."""
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
    "retry_after": (_one_of("none", "soon", "3600", "999999999", "-1"), 30, 300),
    "stall": (_nothing, 1, 90),
    "late": (_between(0.1, 20), 5, 60),
    "late_close": (_between(1, 30), 60, 600),
    "missing_close": (_between(0.2, 1), 60, 240),
    "duplicate": (_between(0.05, 1), 5, 120),
    "disorder": (_between(0.05, 0.6), 5, 120),
    "jitter": (_one_of(1, 5, 15), 30, 600),
    "without_b": (_between(0.05, 1), 30, 600),
    "impossible": (_between(0.01, 0.3), 5, 60),
    "truncate": (_between(0.01, 0.3), 5, 60),
    "garbage": (_between(0.01, 0.3), 5, 60),
    "broken_frames": (_between(0.01, 0.3), 5, 60),
    "no_ping": (_nothing, 30, 180),
    "no_pong": (_nothing, 30, 180),
    "rest_status": (_one_of(429, 418, 451, 403, 500, 502, 503, 504), 1, 60),
    "overload": (_nothing, 10, 180),
    "firewall": (_between(30, 300), 120, 900),
    "redirect": (_nothing, 5, 60),
    "rest_slow": (_between(0.1, 20), 5, 60),
    "rest_hang": (_nothing, 5, 90),
    "rest_drip": (_between(20, 2000), 5, 60),
    "rest_nonsense": (_one_of("html", "object", "null", "empty", "cut"), 5, 60),
    "gzip_bomb": (_one_of(32), 5, 30),
    "rest_short": (_one_of(1, 2, 10, 100), 5, 120),
    "rest_lag": (_between(0.5, 20), 30, 240),
    "stale_rows": (_between(2, 10), 60, 600),
    "others_weight": (_one_of(1000, 3500, 5500), 60, 300),
    "halt": (_nothing, 60, 900),
}
"""What random scripts are made of: how its arguments are drawn, and for how long (Trio seconds)."""

SYMBOL_FAULTS: dict[str, Callable[[Random, float, str], Step]] = {
    "alter": lambda _, at, symbol: Step(at, "alter", {"symbol": symbol}),
    "failing": lambda rng, at, symbol: _switched(rng, at, "failing", symbol, 600),
    "halt": lambda rng, at, symbol: Step(
        at, "halt", {"symbols": [symbol], "seconds": _lasting(rng, 30, 900)}
    ),
    "hole": lambda rng, at, symbol: Step(
        at, "hole", {"seconds": _lasting(rng, 60, 5400), "symbol": rng.choice([None, symbol])}
    ),
    "rename": lambda _, at, symbol: Step(at, "rename", {"symbol": symbol, "to": f"NEW{symbol}"}),
    "roll_back": lambda rng, at, symbol: Step(
        at, "roll_back", {"symbol": symbol, "seconds": _lasting(rng, 60, 300)}
    ),
    "stall": lambda rng, at, symbol: _switched(rng, at, "stall", f"{symbol.lower()}@kline_1m", 600),
    "unknown": lambda rng, at, symbol: _switched(rng, at, "unknown", symbol, 900),
}
"""Drawn as well when symbols are named; `delist` and `list` are what `rename` consists of."""


def _lasting(rng: Random, shortest: float, longest: float) -> float:
    return round(rng.uniform(shortest, longest), 3)


def _switched(rng: Random, at: float, fault: str, name: str, longest: float) -> Step:
    return Step(at, fault, {"value": [name]}, _lasting(rng, 30, longest))


def random_script(
    seed: int,
    seconds: float,
    *,
    per_minute: float = 0.5,
    faults: Collection[str] = tuple(RANDOM_FAULTS),
    symbols: Collection[str] = (),
) -> list[Step]:
    """Faults at random times within `seconds`, on average so many a minute; the same for a seed.

    With `symbols`, also faults of one of them; one of them at most is renamed.
    """
    rng = Random(seed)
    kinds = [(name, False) for name in sorted(faults)]
    kinds += [(name, True) for name in SYMBOL_FAULTS] if symbols else []
    names = sorted(symbols)
    script: list[Step] = []
    time = rng.expovariate(per_minute / 60)
    while time < seconds:
        fault, is_of_symbol = rng.choice(kinds)
        at = round(time, 3)
        if is_of_symbol:
            script.append(SYMBOL_FAULTS[fault](rng, at, rng.choice(names)))
        else:
            draw, shortest, longest = RANDOM_FAULTS[fault]
            lasting = _lasting(rng, shortest, longest) if longest else inf
            script.append(Step(at, fault, draw(rng), lasting))
        if script[-1].fault == "rename":
            kinds.remove(("rename", True))
        time += rng.expovariate(per_minute / 60)
    return script
