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
    └── loop                 measures how late this process is

`ingest` is the same without hub and clients. `gateway` has a `relay` where the others have a
journal, and no feed: another process's candles come through Redis.

Candles go down the tree's left side, one message at a time: stream -> store -> hub -> outboxes.
Questions go to the store. Nobody asks upwards, so nobody can wait in a circle.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx
import structlog
import trio

from actors import (
    Child,
    Fatal,
    Mailbox,
    Overflow,
    Restart,
    RestartBudget,
    Strategy,
    Supervisor,
)

from .binance.audit import run_audit
from .binance.backfill import run_backfill
from .binance.dial import Dial, dial
from .binance.limits import WeightBudget
from .binance.listing import run_listing
from .binance.rest import RestClient, http_client
from .binance.stream import run_stream
from .linux.systemd import Notifier, run_watchdog
from .parts import Part
from .session.hub import run_hub
from .session.wire import CandleTexts
from .settings import DEFAULT_REDIS_URL, Settings
from .settings.files import access_of, tls_of
from .settings.values import masked
from .store.actor import run_store
from .store.database import Database
from .store.journal import FLUSH_WITHIN, Journal, run_journal
from .store.memory import MemoryStore
from .store.messages import CandlesMissing, HubEvent, StoreMessage
from .store.probe import redis_answers
from .store.redis_report import RelayReport
from .store.relay import run_relay
from .telemetry.loop_delay import run_loop_delay
from .web.app import create_app
from .web.counters import Counters
from .web.server import CannotListenError, ServerCounters, open_listeners, serve_web
from .web.services import Services

logger = structlog.get_logger("app")

Progress = Callable[[int, int], None]
"""Told how many series of how many have their history."""


class CannotServe(Fatal):
    """The address to serve on is not to be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Outside:
    """How the service reaches what is not itself; a test passes a world of its own."""

    http: httpx.AsyncClient
    """For the exchange's REST API."""
    rest_urls: Sequence[str]
    dial: Dial
    """For the exchange's streams."""
    stream_urls: Sequence[str]
    listen: Callable[[], Awaitable[Sequence[trio.abc.Listener[Any]]]]
    """Where clients connect. Raises `CannotListenError`."""
    database: Database | None = None
    """Where candles are kept; None keeps them in memory only. A gateway needs one."""
    notifier: Notifier | None = None
    """Who is told how the service does."""
    wall_clock: Callable[[], float] = time.time
    cost_clock: Callable[[], float] = lambda: 0.0
    """Tells how much of the processor something has cost, in seconds; by default, nothing."""


async def run_service(
    settings: Settings,
    *,
    stop: trio.Event,
    progress: Progress,
    part: Part = Part.SERVE,
    simulated: bool = False,
    notifier: Notifier | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run everything in this process until `stop` is set, and stop in order.

    Raises:
        Fatal: no restart would help: the port is taken, or no symbol is left.
        RestartLimit: something failed more often than makes sense.
    """
    async with (
        _exchange(settings, simulated=simulated) as (rest_urls, stream_urls),
        http_client() as http,
    ):
        listen = partial(_listen, settings)
        database = await _open_database(settings, part)
        outside = Outside(
            http,
            rest_urls,
            dial,
            stream_urls,
            listen,
            database,
            notifier,
            cost_clock=time.thread_time,
        )
        service = build_service(settings, outside, progress, Counters(), part)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_when_told, service, stop, notifier)
            await service.run(task_status=task_status)
            nursery.cancel_scope.cancel()


async def _listen(settings: Settings) -> Sequence[trio.SocketListener]:
    host = settings.host
    listeners = await open_listeners(host, settings.port, reuse_port=settings.reuse_port)
    name = f"[{host}]" if ":" in host else host
    port = listeners[0].socket.getsockname()[1]
    logger.info("serving", url=f"{settings.scheme}://{name}:{port}")
    return listeners


async def _open_database(settings: Settings, part: Part) -> Database | None:
    """What is configured; else the Redis at the default address, if `part` can do without it."""
    if settings.use_memory_store:
        return None
    url = settings.redis_url or DEFAULT_REDIS_URL
    if settings.redis_url is None and part is Part.SERVE and not await redis_answers(url):
        logger.warning(
            "memory_only",
            reason=f"no Redis answers at {url}: candles are lost when this process ends",
            advice="set REDIS_URL, or USE_MEMORY_STORE=1 if that is fine",
        )
        return None
    from .store.redis_database import RedisDatabase  # takes as long to import as Trio

    logger.info("redis", url=masked(url), namespace=settings.redis_namespace)
    return RedisDatabase(
        url,
        settings.redis_namespace,
        within=settings.redis_timeout,
        stream_length=settings.changes_kept,
    )


def build_service(
    settings: Settings,
    outside: Outside,
    progress: Progress,
    counters: Counters,
    part: Part = Part.SERVE,
) -> Supervisor:
    """Every actor, every channel, the whole tree; nothing runs yet."""
    wall_clock = outside.wall_clock
    texts = CandleTexts()
    # Commands and questions wait while the store is busy, and so do those who send them. The
    # stream's updates arrive in batches: this is far more than one burst.
    store = Mailbox[StoreMessage]("store", capacity=1024)
    # In order and complete: when the hub is behind, the store waits.
    hub = Mailbox[HubEvent]("hub", capacity=1024) if part is not Part.INGEST else None
    # One entry a series is enough to know what to read.
    gaps = Mailbox[CandlesMissing](
        "gaps",
        capacity=max(1, len(settings.symbols) * len(settings.intervals)),
        overflow=Overflow.NEWEST,
        key=lambda gap: gap.series,
    )
    memory = MemoryStore(settings.symbols, settings.intervals, counters.store)
    redis = _redis(settings, outside, part, memory, store)
    children: list[Child | Supervisor] = [redis.supervisor] if redis.supervisor else []
    children.append(
        Child(
            "store",
            partial(
                run_store,
                store,
                memory,
                hub=hub,
                gaps=None if part is Part.GATEWAY else gaps,
                backlog=None if redis.journal is None else redis.journal.backlog,
                wall_clock=wall_clock,
            ),
            mailbox=store,
        )
    )
    if hub is not None:
        fan_out = partial(
            run_hub,
            hub,
            texts,
            counters.hub,
            heartbeat=settings.heartbeat,
            wall_clock=wall_clock,
            cost_clock=outside.cost_clock,
        )
        children.append(Child("hub", fan_out, mailbox=hub))
    if part is not Part.GATEWAY:
        children.append(_feed(settings, outside, progress, counters, store, gaps))
    web = _Web(
        settings,
        outside,
        Services(
            store=store,
            texts=texts,
            inspect=lambda: service.inspect(),  # noqa: PLW0108 - the tree is built below
            draining=trio.Event(),
            heartbeat=settings.heartbeat,
            session_limits=settings.session_limits,
            cors_origins=settings.cors_origins,
            describe_store=redis.describe,
            revision_of=memory.revision_of,
            has_clients=part is not Part.INGEST,
            counters=counters,
            wall_clock=wall_clock,
        ),
        counters.server,
    )
    children.append(Child("web", web.run, stop=web.drain, stop_within=settings.stop_within + 1))
    children += _watchdog(outside.notifier, store)
    children.append(Child("loop", partial(run_loop_delay, counters.loop_delays)))
    service = Supervisor(
        "service",
        children,
        strategy=Strategy.REST_FOR_ONE,
        budget=RestartBudget(3, within=300),
    )
    return service


@dataclass(frozen=True, slots=True)
class _Redis:
    """The part of the tree that has to do with Redis, if there is one."""

    describe: Callable[[], Mapping[str, Any]]
    supervisor: Supervisor | None = None
    journal: Journal | None = None


def _redis(
    settings: Settings,
    outside: Outside,
    part: Part,
    memory: MemoryStore,
    store: Mailbox[StoreMessage],
) -> _Redis:
    """Under a supervisor of its own: that it fails concerns nobody else."""
    database, wall_clock = outside.database, outside.wall_clock
    journal = None
    if database is None:
        return _Redis(lambda: {"kind": "memory"})
    if part is Part.GATEWAY:
        report = RelayReport(wall_clock)
        relay = partial(
            run_relay,
            database,
            store,
            report,
            stale_after=settings.stale_after,
            wall_clock=wall_clock,
        )
        child, describe = Child("relay", relay), report.describe
    else:
        journal = Journal(memory, database, lease=settings.lease, wall_clock=wall_clock)
        child = Child(
            "journal",
            partial(run_journal, journal, store),
            stop=journal.backlog.close,
            stop_within=FLUSH_WITHIN + 0.5,
        )
        describe = journal.report.describe
    supervisor = Supervisor(
        "redis", [child], strategy=Strategy.ONE_FOR_ONE, budget=RestartBudget(5, within=60)
    )
    return _Redis(lambda: {"kind": "redis", **describe()}, supervisor, journal)


def _feed(
    settings: Settings,
    outside: Outside,
    progress: Progress,
    counters: Counters,
    store: Mailbox[StoreMessage],
    gaps: Mailbox[CandlesMissing],
) -> Supervisor:
    rest = RestClient(outside.http, outside.rest_urls, WeightBudget(settings.weight_ceiling))
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
                    outside.stream_urls,
                    dial=outside.dial,
                    counters=counters.stream,
                    rotate_after=settings.rotate_after,
                    wall_clock=outside.wall_clock,
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


def _watchdog(notifier: Notifier | None, store: Mailbox[StoreMessage]) -> list[Child]:
    """Last, so that nothing stops when it does."""
    if notifier is None or notifier.watchdog_within is None:
        return []
    watch = partial(run_watchdog, notifier, notifier.watchdog_within, store)
    return [Child("watchdog", watch)]


class _Web:
    """The front end's child: each start gets an application and a drain of its own."""

    def __init__(
        self, settings: Settings, outside: Outside, services: Services, counters: ServerCounters
    ) -> None:
        self._settings = settings
        self._listen = outside.listen
        self._services = services
        self._counters = counters
        self._draining = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        settings = self._settings
        self._draining = trio.Event()
        services = replace(self._services, draining=self._draining)
        app = create_app(services)
        access, ssl_context = access_of(settings), tls_of(settings)
        try:
            listeners = await self._listen()
        except CannotListenError as error:
            raise CannotServe(str(error)) from error
        await serve_web(
            app,
            listeners,
            limits=settings.server_limits,
            counters=self._counters,
            draining=self._draining,
            drain_within=settings.stop_within,
            access=access,
            ssl_context=ssl_context,
            task_status=task_status,
        )

    def drain(self) -> None:
        self._draining.set()


async def _stop_when_told(service: Supervisor, stop: trio.Event, notifier: Notifier | None) -> None:
    await stop.wait()
    logger.info("stopping")
    if notifier is not None:
        notifier.tell("STOPPING=1")
    service.stop()


@asynccontextmanager
async def _exchange(
    settings: Settings, *, simulated: bool
) -> AsyncIterator[tuple[Sequence[str], Sequence[str]]]:
    """The REST and stream endpoints: the configured ones, or a simulated exchange's."""
    if not simulated:
        yield settings.binance_rest_url, settings.binance_ws_url
        return
    from .simulator import Exchange, serve_exchange

    exchange = Exchange(symbols=settings.symbols, start_ms=int(time.time() * 1000))
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_exchange, exchange, "127.0.0.1", 0)
        yield [f"http://127.0.0.1:{port}"], [f"ws://127.0.0.1:{port}"]
        nursery.cancel_scope.cancel()
