"""The whole service on one screen.

    service                  rest_for_one: what starts later needs what starts earlier
    ├── redis                one_for_one; with Redis only
    │   └── journal          what is stored -> store; then writes behind it
    ├── store                candles; answers reads
    ├── hub                  fan-out to clients
    ├── feed                 one_for_one
    │   ├── listing          which symbols the exchange lists; ends when that is known
    │   ├── stream           live klines -> store
    │   ├── backfill         history and gaps over REST -> store
    │   └── audit            compares what was published with the exchange, for ever
    ├── web                  accept loop, Quart-Trio; one session actor per client
    ├── watchdog             under systemd only: tells it that the store answers
    └── loop                 measures how late this process is

`ingest` is the same without hub and clients. `gateway` has a `relay` where the others have a
journal, and no feed: another process's candles come through Redis.

Candles go down the tree's left side, one message at a time: stream -> store -> hub -> outboxes.
Questions go to the store. Nobody asks upwards, so nobody can wait in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
import trio

from actors import Child, Mailbox, Overflow, Restart, RestartBudget, Strategy, Supervisor

from .environment import VENUE, Environment, open_environment
from .feed.audit import run_audit
from .feed.backfill import run_backfill
from .feed.budgets import AttemptBudget, WeightBudget
from .feed.listing import run_listing
from .feed.rest import RestClient
from .feed.stream import run_stream
from .linux.systemd import Notifier, run_watchdog
from .role import Role
from .session.draining import Draining
from .session.hub import run_hub
from .session.wire import CandleTexts
from .settings import Settings
from .settings.files import access_of, tls_of
from .store.actor import run_store
from .store.backlog import Backlog
from .store.database import Database
from .store.events import CandlesMissing, HubEvent
from .store.journal import FLUSH_TIMEOUT, Journal, run_journal
from .store.memory import MemoryStore
from .store.messages import StoreMessage
from .store.redis_report import RelayReport
from .store.relay import run_relay
from .telemetry.loop_delay import run_loop_delay
from .web.counters import Counters
from .web.front_end import FrontEnd
from .web.services import Services

logger = structlog.get_logger("app")

Progress = Callable[[int, int], None]
"""Told how many series of how many have their history."""


async def run_service(
    settings: Settings,
    *,
    stop: trio.Event,
    progress: Progress,
    role: Role = Role.SERVE,
    simulated: bool = False,
    notifier: Notifier | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run everything in this process until `stop` is set, and stop in order.

    Raises:
        Fatal: no restart would help: the port is taken, or no symbol is left.
        RestartLimit: something failed more often than makes sense.
    """
    async with open_environment(settings, role, notifier, simulated=simulated) as environment:
        service = build_service(settings, environment, progress, Counters(), role)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_when_told, service, stop, notifier)
            await service.run(task_status=task_status)
            nursery.cancel_scope.cancel()


async def _stop_when_told(service: Supervisor, stop: trio.Event, notifier: Notifier | None) -> None:
    await stop.wait()
    logger.info("stopping")
    if notifier is not None:
        notifier.notify("STOPPING=1")
    service.stop()


def build_service(
    settings: Settings,
    environment: Environment,
    progress: Progress,
    counters: Counters,
    role: Role = Role.SERVE,
) -> Supervisor:
    """Every actor, every channel, the whole tree; nothing runs yet."""
    # Commands and questions wait while the store is busy, and so do those who send them. The
    # stream's updates arrive in batches: this is far more than one burst.
    store = Mailbox[StoreMessage]("store", capacity=1024)
    # In order and complete: when the hub is behind, the store waits.
    hub = Mailbox[HubEvent]("hub", capacity=1024) if role.has_clients else None
    # One entry a series is enough to know what to read.
    gaps = Mailbox[CandlesMissing](
        "gaps",
        capacity=max(1, len(settings.symbols) * len(settings.intervals)),
        overflow=Overflow.CONFLATE,
        key=lambda gap: gap.series,
    )
    memory = MemoryStore(settings.symbols, settings.intervals, counters.store)
    texts = CandleTexts()
    redis = _redis(settings, environment, role, memory, store)
    keep = partial(
        run_store,
        store,
        memory,
        hub=hub,
        gaps=gaps if role.has_feed else None,
        backlog=redis.backlog,
        wall_clock=environment.wall_clock,
    )
    services = Services(
        store=store,
        texts=texts,
        inspect=lambda: service.inspect(),  # noqa: PLW0108 - the tree is built below
        draining=Draining(),
        heartbeat=settings.heartbeat_interval,
        session_limits=settings.session_limits,
        cors_origins=settings.cors_origins,
        describe_store=redis.describe,
        revision_of=memory.revision_of,
        has_clients=role.has_clients,
        counters=counters,
        wall_clock=environment.wall_clock,
    )
    service = Supervisor(
        "service",
        [
            *redis.children,
            Child("store", keep, mailbox=store),
            *([] if hub is None else [_hub(settings, environment, counters, hub, texts)]),
            *(
                [_feed(settings, environment, progress, counters, store, gaps)]
                if role.has_feed
                else []
            ),
            _web(settings, environment, services),
            *_watchdog(environment.notifier, store),
            Child("loop", partial(run_loop_delay, counters.loop_delays)),
        ],
        strategy=Strategy.REST_FOR_ONE,
        budget=RestartBudget(3, within=300),
    )
    return service


def _hub(
    settings: Settings,
    environment: Environment,
    counters: Counters,
    hub: Mailbox[HubEvent],
    texts: CandleTexts,
) -> Child:
    fan_out = partial(
        run_hub,
        hub,
        texts,
        counters.hub,
        heartbeat=settings.heartbeat_interval,
        wall_clock=environment.wall_clock,
        cost_clock=environment.cost_clock,
    )
    return Child("hub", fan_out, mailbox=hub)


def _feed(
    settings: Settings,
    environment: Environment,
    progress: Progress,
    counters: Counters,
    store: Mailbox[StoreMessage],
    gaps: Mailbox[CandlesMissing],
) -> Supervisor:
    limits = VENUE.limits
    weight = WeightBudget(settings.weight_ceiling, limits.weight_period)
    # Half of what is allowed: other programs at this address can connect too.
    attempts = AttemptBudget(limits.connection_attempts // 2, limits.connection_period)
    rest = RestClient(VENUE, environment.http, environment.rest_urls, weight)
    counters.rest = rest
    return Supervisor(
        "feed",
        [
            Child(
                "listing",
                partial(run_listing, settings.symbols, store, rest),
                restart=Restart.TRANSIENT,
            ),
            Child(
                "stream",
                partial(
                    run_stream,
                    store,
                    rest,
                    VENUE,
                    environment.stream_urls,
                    dial=environment.dial,
                    attempts=attempts,
                    counters=counters.stream,
                    rotate_after=settings.rotate_after,
                    wall_clock=environment.wall_clock,
                ),
            ),
            Child(
                "backfill",
                partial(run_backfill, gaps, store, rest, progress=progress),
                mailbox=gaps,
            ),
            Child(
                "audit",
                partial(
                    run_audit,
                    store,
                    rest,
                    counters=counters.audit,
                    round_within=settings.audit_round,
                ),
            ),
        ],
        strategy=Strategy.ONE_FOR_ONE,
        budget=RestartBudget(5, within=60),
    )


def _web(settings: Settings, environment: Environment, services: Services) -> Child:
    front_end = FrontEnd(
        services,
        environment.listen,
        settings.server_limits,
        drain_timeout=settings.stop_timeout,
        access=partial(access_of, settings),
        tls=partial(tls_of, settings),
    )
    return Child("web", front_end.run, stop=front_end.drain, stop_timeout=settings.stop_timeout + 1)


def _watchdog(notifier: Notifier | None, store: Mailbox[StoreMessage]) -> list[Child]:
    """Last, so that nothing stops when it does."""
    if notifier is None or notifier.watchdog_timeout is None:
        return []
    watch = partial(run_watchdog, notifier, notifier.watchdog_timeout, store)
    return [Child("watchdog", watch)]


@dataclass(frozen=True, slots=True)
class _Redis:
    """The part of the tree that has to do with Redis, if there is one."""

    describe: Callable[[], Mapping[str, Any]]
    children: tuple[Supervisor, ...] = ()
    backlog: Backlog | None = None
    """Where the store notes what is to be written."""


def _redis(
    settings: Settings,
    environment: Environment,
    role: Role,
    memory: MemoryStore,
    store: Mailbox[StoreMessage],
) -> _Redis:
    """Under a supervisor of its own: that it fails concerns nobody else."""
    if environment.database is None:
        return _Redis(lambda: {"kind": "memory"})
    backlog = None
    if role.has_feed:
        journal = Journal(
            memory,
            environment.database,
            lease=settings.lease_ttl,
            wall_clock=environment.wall_clock,
        )
        backlog, describe = journal.backlog, journal.report.describe
        child = _journal(journal, store)
    else:
        report = RelayReport(environment.wall_clock)
        describe = report.describe
        child = _relay(settings, environment, environment.database, store, report)
    supervisor = Supervisor(
        "redis", [child], strategy=Strategy.ONE_FOR_ONE, budget=RestartBudget(5, within=60)
    )
    return _Redis(lambda: {"kind": "redis", **describe()}, (supervisor,), backlog)


def _journal(journal: Journal, store: Mailbox[StoreMessage]) -> Child:
    return Child(
        "journal",
        partial(run_journal, journal, store),
        stop=journal.backlog.close,
        stop_timeout=FLUSH_TIMEOUT + 0.5,
    )


def _relay(
    settings: Settings,
    environment: Environment,
    database: Database,
    store: Mailbox[StoreMessage],
    report: RelayReport,
) -> Child:
    relay = partial(
        run_relay,
        database,
        store,
        report,
        stale_after=settings.stale_after,
        wall_clock=environment.wall_clock,
    )
    return Child("relay", relay)
