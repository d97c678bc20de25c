"""The part of the supervision tree that exists only with Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from actors import Child, Mailbox, RestartBudget, Strategy, Supervisor

from ..market.interval import Interval
from .backlog import Backlog
from .backlogs import Backlogs
from .database import Database
from .followed_shards import FollowedShards
from .journal import FLUSH_TIMEOUT, START_TIMEOUT, Journal, run_journal
from .memory import MemoryStore
from .messages import StoreMessage
from .redis_report import RelayReport, describe_shards
from .relay import run_relay
from .shards import Shard
from .stored_symbols import StoredSymbols


@dataclass(frozen=True, slots=True)
class RedisSubtree:
    """Empty without Redis."""

    describe: Callable[[], Mapping[str, Any]] = lambda: {"kind": "memory"}
    """Where candles are stored, and how that works, for `/system`."""
    children: tuple[Supervisor, ...] = ()
    backlog: Backlog | Backlogs | None = None
    """Where the store notes what is to be written; None if this process writes nothing."""


def build_redis(
    databases: Sequence[Database],
    memory: MemoryStore,
    store: Mailbox[StoreMessage],
    *,
    has_feed: bool,
    lease: float,
    stale_after: float,
    wall_clock: Callable[[], float],
    expected: tuple[Sequence[str], Sequence[Interval]] = ((), ()),
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> RedisSubtree:
    """The supervisor `redis`, not running yet; empty without databases, of which each is a shard.

    redis                one_for_one
    └── journal          stored candles -> store; then writes behind it. One for each shard
                         that this process writes: journal-0, journal-1, if there are several

    In a process without a feed, relays have the place of journals, and report the `progress` of
    reading all windows.
    """
    if not databases:
        return RedisSubtree()
    if has_feed:
        return _build_journals(databases, memory, store, lease=lease, wall_clock=wall_clock)
    followed = FollowedShards(len(databases), memory.symbols, expected, progress)
    return _build_relays(databases, followed, store, stale_after, wall_clock)


def _build_journals(
    databases: Sequence[Database],
    memory: MemoryStore,
    store: Mailbox[StoreMessage],
    *,
    lease: float,
    wall_clock: Callable[[], float],
) -> RedisSubtree:
    """For a process with a feed: it writes behind its store, or is a standby."""
    stored_symbols = StoredSymbols(len(databases))
    journals = [
        Journal(memory, each, lease=lease, wall_clock=wall_clock, stored_symbols=stored_symbols)
        for each in databases
    ]
    backlog = _join([(journal.memory.shard, journal.backlog) for journal in journals])
    children = [
        Child(
            _name("journal", journal.memory.shard),
            partial(run_journal, journal, store, start_timeout=START_TIMEOUT / len(journals)),
            stop=backlog.close,  # of all: what is left of each is written at the same time
            stop_timeout=FLUSH_TIMEOUT + 0.5,
        )
        for journal in journals
    ]
    reports = [(journal.memory.shard, journal.report.describe) for journal in journals]
    return _subtree(children, reports, backlog)


def _join(backlogs: Sequence[tuple[Shard, Backlog]]) -> Backlog | Backlogs:
    shard, backlog = backlogs[0]
    if len(backlogs) == 1:
        return backlog
    return Backlogs({each.number: found for each, found in backlogs}, shard.count)


def _build_relays(
    databases: Sequence[Database],
    followed: FollowedShards,
    store: Mailbox[StoreMessage],
    stale_after: float,
    wall_clock: Callable[[], float],
) -> RedisSubtree:
    """For a process without a feed: it follows the changes that others write."""
    children, reports = [], []
    for database in databases:
        report = RelayReport(wall_clock)
        relay = partial(
            run_relay,
            database,
            store,
            report,
            stale_after=stale_after,
            wall_clock=wall_clock,
            shards=followed,
        )
        children.append(Child(_name("relay", database.shard), relay))
        reports.append((database.shard, report.describe))
    return _subtree(children, reports)


def _name(kind: str, shard: Shard) -> str:
    return kind if shard.count == 1 else f"{kind}-{shard.number}"


def _subtree(
    children: Sequence[Child],
    reports: Sequence[tuple[Shard, Callable[[], dict[str, Any]]]],
    backlog: Backlog | Backlogs | None = None,
) -> RedisSubtree:
    """A supervisor of its own: Redis failures must not restart the store."""
    budget = RestartBudget(5 * len(children), within=60)
    supervisor = Supervisor("redis", children, strategy=Strategy.ONE_FOR_ONE, budget=budget)
    return RedisSubtree(lambda: {"kind": "redis", **_describe(reports)}, (supervisor,), backlog)


def _describe(
    reports: Sequence[tuple[Shard, Callable[[], dict[str, Any]]]],
) -> Mapping[str, Any]:
    shard, describe = reports[0]
    if shard.count == 1:
        return describe()
    return describe_shards([{"shard": each.number, **report()} for each, report in reports])
