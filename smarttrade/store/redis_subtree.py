"""The part of the supervision tree that exists only with Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from actors import Child, Mailbox, RestartBudget, Strategy, Supervisor

from .backlog import Backlog
from .database import Database
from .journal import FLUSH_TIMEOUT, Journal, run_journal
from .memory import MemoryStore
from .messages import StoreMessage
from .redis_report import RelayReport
from .relay import run_relay


@dataclass(frozen=True, slots=True)
class RedisSubtree:
    """Empty without Redis."""

    describe: Callable[[], Mapping[str, Any]] = lambda: {"kind": "memory"}
    """Where candles are stored, and how that works, for `/system`."""
    children: tuple[Supervisor, ...] = ()
    backlog: Backlog | None = None
    """Where the store notes what is to be written; None if this process writes nothing."""


def build_redis(
    database: Database | None,
    memory: MemoryStore,
    store: Mailbox[StoreMessage],
    *,
    has_feed: bool,
    lease: float,
    stale_after: float,
    wall_clock: Callable[[], float],
) -> RedisSubtree:
    """The supervisor `redis` with a journal or a relay, not running yet; empty without database."""
    if database is None:
        return RedisSubtree()
    if has_feed:
        return _build_journal(database, memory, store, lease=lease, wall_clock=wall_clock)
    return _build_relay(database, store, stale_after=stale_after, wall_clock=wall_clock)


def _build_journal(
    database: Database,
    memory: MemoryStore,
    store: Mailbox[StoreMessage],
    *,
    lease: float,
    wall_clock: Callable[[], float],
) -> RedisSubtree:
    """For a process with a feed: it writes behind its store, or is a standby."""
    journal = Journal(memory, database, lease=lease, wall_clock=wall_clock)
    child = Child(
        "journal",
        partial(run_journal, journal, store),
        stop=journal.backlog.close,
        stop_timeout=FLUSH_TIMEOUT + 0.5,
    )
    return _subtree(child, journal.report.describe, journal.backlog)


def _build_relay(
    database: Database,
    store: Mailbox[StoreMessage],
    *,
    stale_after: float,
    wall_clock: Callable[[], float],
) -> RedisSubtree:
    """For a process without a feed: it follows the changes that another one writes."""
    report = RelayReport(wall_clock)
    relay = partial(
        run_relay, database, store, report, stale_after=stale_after, wall_clock=wall_clock
    )
    return _subtree(Child("relay", relay), report.describe)


def _subtree(
    child: Child, describe: Callable[[], Mapping[str, Any]], backlog: Backlog | None = None
) -> RedisSubtree:
    """A supervisor of its own: Redis failures must not restart the store."""
    supervisor = Supervisor(
        "redis", [child], strategy=Strategy.ONE_FOR_ONE, budget=RestartBudget(5, within=60)
    )
    return RedisSubtree(lambda: {"kind": "redis", **describe()}, (supervisor,), backlog)
