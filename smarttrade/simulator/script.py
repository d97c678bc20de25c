"""Faults by name, one at a time or at the times that a script states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
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
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error
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
