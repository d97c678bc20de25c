"""`/metrics`: what this process counts, in Prometheus' words.

Nothing is counted for its sake: at a scrape, the counters that there are anyway are read, the store
is asked for its overview, and the supervision tree is looked at. Labels are symbols, intervals and
actors, of which there are as many as are configured; nothing that a client says becomes a label.

Every number in a `...Counters` is exported; `descriptions.py` has the name of each, and one that it
does not name is an error that the tests find.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

import trio

from actors import ActorDied, MailboxClosed, State, walk

from ... import __version__
from ...feed.rest import RestClient
from ...store.feed import Feed
from ...store.messages import GetOverview, Overview
from ...store.redis_report import RedisRole
from ..problem import ProblemError
from ..services import Services
from ..status import check_ready
from .descriptions import DESCRIPTIONS, GAUGES, GROUPS
from .exposition import Exposition, labels
from .process import process_numbers

PREFIX = "smarttrade_"

ANSWER_TIMEOUT = 2.0
"""Seconds for the store. Everything else is exported without it: a store that is stuck is
what somebody wants to see here."""


async def metrics(services: Services) -> str:
    """All metrics, as one text."""
    overview = await _overview(services)
    into = Exposition(PREFIX)
    into.gauges("info", DESCRIPTIONS["info"], [(labels(_info_labels(services)), 1)])
    _tell(into, "store_answers", int(overview is not None))
    if overview is not None:
        _tell_overview(into, services, overview)
    counters = services.counters
    for each in fields(counters):
        for name, value in numbers_in(getattr(counters, each.name)):
            _tell(into, name, value)
    into.histogram("push_delay_seconds", DESCRIPTIONS["push_delay_seconds"], counters.hub.delays)
    into.histogram("loop_delay_seconds", DESCRIPTIONS["loop_delay_seconds"], counters.loop_delays)
    _tell(into, "server_waiting_bytes", counters.server.waiting_bytes())
    if counters.rest is not None:
        _tell_exchange(into, counters.rest)
    _tell_actors(into, services)
    _add_redis(into, services.describe_store())
    for name, value in process_numbers():
        _tell(into, name, value)
    return into.text()


def _info_labels(services: Services) -> dict[str, str]:
    return {
        "version": __version__,
        "origin": services.origin() or "unknown",
        "simulated": str(services.is_simulated).lower(),
    }


async def _overview(services: Services) -> Overview | None:
    try:
        with trio.fail_after(ANSWER_TIMEOUT):
            return await services.store.ask(GetOverview)
    except (trio.TooSlowError, ActorDied, MailboxClosed):
        return None


def _tell(into: Exposition, name: str, value: float) -> None:
    add = into.gauge if name in GAUGES else into.counter
    add(name, DESCRIPTIONS[name], value)


# -- candles ------------------------------------------------------------------------------------


def _tell_overview(into: Exposition, services: Services, overview: Overview) -> None:
    _tell(into, "ready", int(_is_ready(services, overview)))
    feed = [(labels({"state": each.value}), int(overview.feed.feed is each)) for each in Feed]
    into.gauges("feed", DESCRIPTIONS["feed"], feed)
    named = [
        (_series_labels(each.series.symbol, each.series.interval.value), each)
        for each in overview.series
    ]
    ages = [(label, round(each.age, 3)) for label, each in named if each.age is not None]
    into.gauges("series_age_seconds", DESCRIPTIONS["series_age_seconds"], ages)
    ready = [(label, int(each.not_ready_reason is None)) for label, each in named]
    into.gauges("series_ready", DESCRIPTIONS["series_ready"], ready)
    causes = [gap.cause for each in overview.series for gap in each.gaps]
    counts = [(labels({"cause": cause}), causes.count(cause)) for cause in ("exchange", "unfilled")]
    into.gauges("gaps", DESCRIPTIONS["gaps"], counts)


@lru_cache(10_000)
def _series_labels(symbol: str, interval: str) -> str:
    return labels({"symbol": symbol, "interval": interval})


def _is_ready(services: Services, overview: Overview) -> bool:
    try:
        check_ready(overview, services.not_ready_reasons)
    except ProblemError:
        return False
    return True


# -- counters -----------------------------------------------------------------------------------


def numbers_in(counters: Any) -> Iterator[tuple[str, float]]:
    """Every plain number of some `...Counters`, and of those inside it, as metrics are named."""
    group = GROUPS.get(type(counters))
    if group is None:
        return
    for each in fields(counters):
        value = getattr(counters, each.name)
        if isinstance(value, int | float):
            yield f"{group}_{each.name}", value
        else:
            yield from numbers_in(value)


def _tell_exchange(into: Exposition, rest: RestClient) -> None:
    budget = rest.budget
    _tell(into, "exchange_requests", rest.requests)
    _tell(into, "exchange_weight", budget.spent)
    _tell(into, "exchange_weight_used", budget.used)
    _tell(into, "exchange_weight_ceiling", budget.ceiling)
    _tell(into, "exchange_limited", rest.hosts.limited)
    _tell(into, "exchange_weight_others", budget.others)


# -- actors and Redis -----------------------------------------------------------------------------


def _tell_actors(into: Exposition, services: Services) -> None:
    actors = [(labels({"actor": "/".join(path)}), info) for path, info in walk(services.inspect())]
    into.counters(
        "actor_restarts", DESCRIPTIONS["actor_restarts"], [(name, i.restarts) for name, i in actors]
    )
    into.gauges(
        "actor_running",
        DESCRIPTIONS["actor_running"],
        # One that has done what it was for is as well as one that runs.
        [(name, int(i.state in (State.RUNNING, State.STOPPED))) for name, i in actors],
    )
    boxes = [(name, i) for name, i in actors if i.mailbox_capacity is not None]
    into.gauges(
        "mailbox_depth",
        DESCRIPTIONS["mailbox_depth"],
        [(n, i.mailbox_depth or 0) for n, i in boxes],
    )
    into.gauges(
        "mailbox_capacity",
        DESCRIPTIONS["mailbox_capacity"],
        [(n, i.mailbox_capacity or 0) for n, i in boxes],
    )
    into.counters(
        "mailbox_handled", DESCRIPTIONS["mailbox_handled"], [(n, i.handled or 0) for n, i in boxes]
    )


def _add_redis(into: Exposition, report: Mapping[str, Any]) -> None:
    if report.get("kind") != "redis":
        return
    role = report.get("role")
    roles = [(labels({"role": each.value}), int(role == each.value)) for each in RedisRole]
    into.gauges("redis_role", DESCRIPTIONS["redis_role"], roles)
    for name, value in report.items():
        if name != "since" and isinstance(value, int | float):
            _tell(into, f"redis_{_REDIS_UNITS.get(name, name)}", value)


_REDIS_UNITS = {"lag": "lag_seconds", "waiting": "waiting_candles"}
