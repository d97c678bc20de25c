"""The whole service on one screen.

    service                  rest_for_one: what starts later needs what starts earlier
    ├── redis                one_for_one; with Redis only, see store/redis_subtree.py
    │   └── journal          stored candles -> store; then writes behind it
    ├── store                candles; answers reads
    ├── hub                  fan-out to clients
    ├── feed                 one_for_one, see feed/subtree.py
    │   ├── listing          which symbols the exchange lists
    │   ├── stream           live candles -> store
    │   ├── backfill         history and gaps over REST -> store
    │   └── audit            compares published candles with the exchange
    ├── web                  accept loop, Quart-Trio; one session actor per client
    ├── watchdog             under systemd only: notifies it while the store answers
    └── loop                 measures how late the scheduler is

`ingest` is the same without hub and clients. `gateway` has a `relay` where the others have a
journal, and no feed: the candles of another process come through Redis.

Candles go down the left side of the tree, one message at a time: stream, store, hub, outboxes.
Questions go to the store. No actor asks one above it, so there is no circle of waiting actors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import structlog
import trio

from actors import Child, Mailbox, Overflow, RestartBudget, Strategy, Supervisor

from .environment import Environment, open_environment
from .feed.network import Network
from .feed.subtree import build_feed
from .linux.systemd import Notifier, watchdog_children
from .role import Role
from .session.draining import Draining
from .session.hub import run_hub
from .session.wire import CandleTexts
from .settings import Settings
from .settings.files import access_of, tls_of
from .store.actor import run_store
from .store.events import CandlesMissing, HubEvent
from .store.memory import MemoryStore
from .store.messages import StoreMessage
from .store.redis_subtree import RedisSubtree, build_journal, build_relay
from .telemetry.loop_delay import run_loop_delay
from .web.counters import Counters
from .web.front_end import FrontEnd
from .web.services import Services

logger = structlog.get_logger("app")

Progress = Callable[[int, int], None]
"""Called with the number of series that have their history, and of all."""


async def run_service(
    settings: Settings,
    *,
    stop: trio.Event,
    progress: Progress,
    role: Role = Role.SERVE,
    simulated: bool = False,
    network: Network | None = None,
    notifier: Notifier | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run everything in this process until `stop` is set, and stop in order.

    Raises:
        Fatal: no restart would help: the port is taken, or no symbol is left.
        RestartLimit: something failed more often than its restart budget allows.
    """
    network = network or Network.direct()
    async with open_environment(
        settings, role, notifier, simulated=simulated, network=network
    ) as environment:
        service = build_service(settings, environment, progress, Counters(), role)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on, stop, environment, service, settings.drain_delay)
            await service.run(task_status=task_status)
            nursery.cancel_scope.cancel()


async def _stop_on(
    stop: trio.Event, environment: Environment, service: Supervisor, drain_delay: float
) -> None:
    await stop.wait()
    logger.info("stopping", drain_delay=drain_delay)
    if environment.notifier is not None:
        environment.notifier.notify("STOPPING=1")
    environment.stopping.set()
    await trio.sleep(drain_delay)
    service.stop()


def build_service(
    settings: Settings,
    environment: Environment,
    progress: Progress,
    counters: Counters,
    role: Role = Role.SERVE,
) -> Supervisor:
    """Every actor, every channel, the whole tree; nothing runs yet."""
    # Senders wait while the store is busy. Stream updates arrive in batches, so this is far more
    # than one burst.
    store = Mailbox[StoreMessage]("store", capacity=1024)
    # In order and complete: when the hub lags, the store waits.
    hub = Mailbox[HubEvent]("hub", capacity=1024) if role.has_clients else None
    # One entry per series is enough to know what to read.
    gaps = Mailbox[CandlesMissing](
        "gaps",
        capacity=max(1, len(settings.symbols) * len(settings.intervals)),
        overflow=Overflow.CONFLATE,
        key=lambda gap: gap.series,
    )
    exchange = environment.exchange
    memory = MemoryStore(
        settings.symbols,
        settings.intervals,
        counters.store,
        origin=None if exchange is None else exchange.name,
    )
    if environment.exchange_time:
        memory.learn_time(environment.exchange_time, trio.current_time())
    texts = CandleTexts()
    redis = _build_redis(settings, environment, role, memory, store)
    keep = partial(
        run_store,
        store,
        memory,
        hub=hub,
        gaps=gaps if role.has_feed else None,
        backlog=redis.backlog,
        wall_clock=environment.wall_clock,
        suspended=environment.suspended,
    )
    children: list[Child | Supervisor] = [*redis.children, Child("store", keep, mailbox=store)]
    if hub is not None:
        fan_out = partial(
            run_hub,
            hub,
            texts,
            counters.hub,
            heartbeat=settings.heartbeat_interval,
            wall_clock=environment.wall_clock,
            cost_clock=environment.cost_clock,
            feed=lambda: memory.feed,
        )
        children.append(Child("hub", fan_out, mailbox=hub))
    if role.has_feed:
        counters.rest = environment.venue_access.rest_client(settings.weight_ceiling)
        feed = build_feed(
            settings.feed_options,
            environment.venue_access,
            counters.rest,
            store,
            gaps,
            progress=progress,
            stream_counters=counters.stream,
            audit_counters=counters.audit,
            wall_clock=environment.wall_clock,
        )
        children.append(feed)
    services = Services(
        store=store,
        texts=texts,
        inspect=lambda: service.inspect(),  # noqa: PLW0108 - the tree is built below
        draining=Draining(),
        stopping=environment.stopping,
        heartbeat=settings.heartbeat_interval,
        session_limits=settings.session_limits,
        cors_origins=settings.cors_origins,
        describe_store=redis.describe,
        revision_of=memory.revision_of,
        has_clients=role.has_clients,
        counters=counters,
        wall_clock=environment.wall_clock,
        origin=lambda: memory.origin,
    )
    children += [
        _build_web(settings, environment, services),
        *watchdog_children(environment.notifier, store),
        Child("loop", partial(run_loop_delay, counters.loop_delays)),
    ]
    budget = RestartBudget(3, within=300)
    service = Supervisor("service", children, strategy=Strategy.REST_FOR_ONE, budget=budget)
    return service


def _build_web(settings: Settings, environment: Environment, services: Services) -> Child:
    front_end = FrontEnd(
        services,
        environment.listen,
        settings.server_limits,
        drain_timeout=settings.stop_timeout,
        access=partial(access_of, settings),
        tls=partial(tls_of, settings),
    )
    return Child("web", front_end.run, stop=front_end.drain, stop_timeout=settings.stop_timeout + 1)


def _build_redis(
    settings: Settings,
    environment: Environment,
    role: Role,
    memory: MemoryStore,
    store: Mailbox[StoreMessage],
) -> RedisSubtree:
    database, clock = environment.database, environment.wall_clock
    if database is None:
        return RedisSubtree()
    if role.has_feed:
        return build_journal(database, memory, store, lease=settings.lease_ttl, wall_clock=clock)
    return build_relay(database, store, stale_after=settings.stale_after, wall_clock=clock)
