"""`/metrics`: what this process counts, in Prometheus' words.

Nothing is counted for its sake: at a scrape, the counters that there are anyway are read, the store
is asked for its overview, and the supervision tree is looked at. Labels are symbols, intervals and
actors, of which there are as many as are configured; nothing that a client says becomes a label.
Series are described in slices, so that candles are not held up.

Every number in a `...Counters` is exported; `descriptions.py` has the name of each, and one that it
does not name is an error that the tests find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache, partial
from typing import Any, TypeVar

import trio

from actors import ActorDied, MailboxClosed, Reply, State, walk

from ... import __version__
from ...feed.rest import RestClient
from ...store.feed import Feed
from ...store.messages import GetOverview, GetSymbolOverviews, Overview, StoreMessage
from ...store.redis_report import RedisRole
from ..problem import ProblemError
from ..services import Services
from ..status import check_ready
from .descriptions import DESCRIPTIONS, GAUGES, GROUPS
from .exposition import Exposition, labels
from .process import process_numbers
from .shards import add_series_of_shards, shard_label

PREFIX = "smarttrade_"

ANSWER_TIMEOUT = 2.0
"""Seconds for the store, each time. Everything else is exported without it: a store that is stuck
must be seen here."""


SERIES_PER_QUESTION = 256
"""Series that are described at a time: about 2 ms in the store, and 1 ms here."""

T = TypeVar("T")


async def metrics(services: Services) -> str:
    """All metrics, as one text."""
    overview = await _ask(services, GetOverview)
    into = Exposition(PREFIX, DESCRIPTIONS, GAUGES)
    into.add_all("info", [(labels(_info_labels(services)), 1)])
    into.add("store_answers", int(overview is not None))
    if overview is not None:
        await _add_overview(into, services, overview)
    counters = services.counters
    for each in fields(counters):
        for name, value in numbers_in(getattr(counters, each.name)):
            into.add(name, value)
    into.histogram("push_delay_seconds", counters.hub.delays)
    into.histogram("loop_delay_seconds", counters.loop_delays)
    into.add("server_waiting_bytes", counters.server.waiting_bytes())
    into.add("server_cached_bytes", services.texts.cache.bytes)
    if counters.rest is not None:
        _add_exchange(into, counters.rest)
    _add_actors(into, services)
    _add_redis(into, services.describe_store())
    for name, value in process_numbers():
        into.add(name, value)
    return into.text()


def _info_labels(services: Services) -> dict[str, str]:
    return {
        "version": __version__,
        "origin": services.origin() or "unknown",
        "simulated": str(services.is_simulated).lower(),
    }


async def _ask(services: Services, make: Callable[[Reply[T]], StoreMessage]) -> T | None:
    try:
        with trio.fail_after(ANSWER_TIMEOUT):
            return await services.store.ask(make)
    except (trio.TooSlowError, ActorDied, MailboxClosed):
        return None


# -- candles ------------------------------------------------------------------------------------


async def _add_overview(into: Exposition, services: Services, overview: Overview) -> None:
    into.add("ready", int(_is_ready(services, overview)))
    feed = overview.feed.feed
    into.add_all("feed", [(labels({"state": each.value}), int(feed is each)) for each in Feed])
    add_series_of_shards(into, overview, services.shards)
    gaps = overview.gaps.items()
    into.add_all("gaps", [(labels({"cause": cause}), count) for cause, count in gaps])
    if overview.series_count <= services.max_series_metrics:
        await _add_series(into, services, overview)


async def _add_series(into: Exposition, services: Services, overview: Overview) -> None:
    ages: list[str] = []
    ready: list[str] = []
    symbols = max(1, SERIES_PER_QUESTION // max(1, len(overview.intervals)))
    for first in range(0, len(overview.symbols), symbols):
        ask = partial(GetSymbolOverviews, overview.symbols[first : first + symbols])
        for each in await _ask(services, ask) or ():
            series = each.series
            label = _series_labels(series.symbol, series.interval.value, services.shards)
            is_ready = each.not_ready_reason is None
            ready.append(into.sample("series_ready", label, int(is_ready)))
            if each.age is not None:
                ages.append(into.sample("series_age_seconds", label, round(each.age, 3)))
    into.add_formatted("series_age_seconds", ages)
    into.add_formatted("series_ready", ready)


@lru_cache(10_000)
def _series_labels(symbol: str, interval: str, shards: int) -> str:
    return labels({"symbol": symbol, "interval": interval} | shard_label(symbol, shards))


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


def _add_exchange(into: Exposition, rest: RestClient) -> None:
    budget = rest.budget
    into.add("exchange_requests", rest.requests)
    into.add("exchange_weight", budget.spent)
    into.add("exchange_weight_used", budget.used)
    into.add("exchange_weight_ceiling", budget.ceiling)
    into.add("exchange_limited", rest.hosts.limited)
    into.add("exchange_weight_others", budget.others)


# -- actors and Redis -----------------------------------------------------------------------------


def _add_actors(into: Exposition, services: Services) -> None:
    actors = [(labels({"actor": "/".join(path)}), info) for path, info in walk(services.inspect())]
    into.add_all("actor_restarts", [(name, i.restarts) for name, i in actors])
    into.add_all(
        "actor_running",  # One that has done what it was for is as well as one that runs.
        [(name, int(i.state in (State.RUNNING, State.STOPPED))) for name, i in actors],
    )
    boxes = [(name, i) for name, i in actors if i.mailbox_capacity is not None]
    into.add_all(
        "mailbox_depth",
        [(n, i.mailbox_depth or 0) for n, i in boxes],
    )
    into.add_all(
        "mailbox_capacity",
        [(n, i.mailbox_capacity or 0) for n, i in boxes],
    )
    into.add_all("mailbox_handled", [(n, i.handled or 0) for n, i in boxes])


def _add_redis(into: Exposition, report: Mapping[str, Any]) -> None:
    if report.get("kind") != "redis":
        return
    shards: Sequence[Mapping[str, Any]] = report.get("shards") or [report]
    roles = [
        (labels({"role": role.value} | _shard_of(each)), int(each.get("role") == role.value))
        for each in shards
        for role in RedisRole
    ]
    into.add_all("redis_role", roles)
    for name, value in report.items():
        if name != "since" and isinstance(value, int | float):
            metric = f"redis_{_REDIS_UNITS.get(name, name)}"
            into.add_all(metric, [(labels(_shard_of(each)), each[name]) for each in shards])


def _shard_of(report: Mapping[str, Any]) -> dict[str, str]:
    return {"shard": str(report["shard"])} if "shard" in report else {}


_REDIS_UNITS = {"lag": "lag_seconds", "waiting": "waiting_candles"}
