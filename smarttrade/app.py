"""The whole service on one screen.

    service                  rest_for_one: what starts later needs what starts earlier
    ├── redis                one_for_one; with Redis only, see store/redis_subtree.py
    │   └── journal          stored candles -> store; then writes behind it; one for each shard
    ├── store                candles; answers reads
    ├── hub                  fan-out to clients
    ├── feed                 one_for_one, see feed/subtree.py
    │   ├── listing          which symbols the exchange lists
    │   ├── stream           live candles -> store
    │   ├── backfill         history and gaps over REST -> store
    │   └── audit            compares published candles with the exchange
    ├── web                  accept loop, Quart-Trio; one session actor per client
    ├── watchdog             under systemd only: notifies it of the state
    └── loop                 measures how late the scheduler is

`ingest` is the same without hub and clients. `gateway` has a `relay` where the others have a
journal, and no feed: the candles of another process come through Redis.

Candles go one way: stream, store, hub, outboxes. Questions go to the store. The store and the hub
ask no other actor, and outboxes never wait, so there is no circle of waiting actors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from actors import Child, RestartBudget, Strategy, Supervisor

from .environment import Environment
from .feed.subtree import build_feed
from .linux.systemd import watchdog_children
from .role import Role
from .session.candle_texts import CandleTexts
from .session.draining import Draining
from .session.encoded_cache import EncodedCache
from .session.hub_actor import build_hub
from .settings import Settings
from .settings.files import access_of, tls_of
from .store.memory import MemoryStore
from .store.redis_subtree import build_redis
from .store.subtree import StoreMailboxes, build_store
from .telemetry.loop_delay import run_loop_delay
from .web.counters import Counters
from .web.front_end import build_web
from .web.services import Services

Progress = Callable[[int, int], None]
"""Called with the number of series that have their history, and of all."""


def build_service(
    settings: Settings,
    environment: Environment,
    progress: Progress,
    counters: Counters,
    role: Role = Role.SERVE,
) -> Supervisor:
    """Every actor, every channel, the whole tree; nothing runs yet."""
    symbols, intervals = settings.own_symbols, settings.intervals
    clock, heartbeat = environment.wall_clock, settings.heartbeat_interval
    mailboxes = StoreMailboxes.create(
        len(symbols) * len(intervals), has_clients=role.has_clients, has_feed=role.has_feed
    )
    memory = MemoryStore(symbols, intervals, counters.store, origin=environment.origin)
    if environment.exchange_time:
        memory.learn_time(environment.exchange_time, trio.current_time())
    redis = build_redis(
        environment.databases,
        memory,
        mailboxes.store,
        has_feed=role.has_feed,
        lease=settings.lease_ttl,
        stale_after=settings.stale_after,
        wall_clock=clock,
        expected=settings.set_catalogue,
        progress=progress,
    )
    store = build_store(
        mailboxes,
        memory,
        redis.backlog,
        wall_clock=clock,
        suspended=environment.suspended,
        cost_clock=environment.cost_clock,
    )
    children: list[Child | Supervisor] = [*redis.children, store]
    texts = CandleTexts(EncodedCache(settings.max_cached_bytes))
    children += build_hub(
        mailboxes.hub,
        texts,
        counters.hub,
        heartbeat=heartbeat,
        wall_clock=clock,
        cost_clock=environment.cost_clock,
        feed=lambda: memory.feeds,
    )
    feed = build_feed(
        settings.feed_options,
        environment.venue_access,
        mailboxes.store,
        mailboxes.gaps,
        progress=progress,
        stream_counters=counters.stream,
        audit_counters=counters.audit,
        wall_clock=clock,
    )
    counters.rest = feed.rest
    children += feed.children
    services = Services(
        store=mailboxes.store,
        texts=texts,
        inspect=lambda: service.inspect(),  # noqa: PLW0108 - the tree is built below
        draining=Draining(),
        stopping=environment.stopping,
        heartbeat=heartbeat,
        session_limits=settings.session_limits,
        cors_origins=settings.cors_origins,
        describe_store=redis.describe,
        describe_hosts=feed.describe_hosts,
        revision_of=memory.revision_of,
        has_clients=role.has_clients,
        counters=counters,
        max_series_metrics=settings.max_series_metrics,
        wall_clock=clock,
        origin=lambda: memory.origin,
        shards=settings.shards if environment.databases else 1,
    )
    web = build_web(
        services,
        environment.listen,
        settings.server_limits,
        drain_timeout=settings.stop_timeout,
        access=partial(access_of, settings),
        tls=partial(tls_of, settings),
    )
    watchdog = watchdog_children(environment.notifier, mailboxes.store, redis.describe)
    children += [web, *watchdog, Child("loop", partial(run_loop_delay, counters.loop_delays))]
    budget = RestartBudget(3, within=300)
    service = Supervisor("service", children, strategy=Strategy.REST_FOR_ONE, budget=budget)
    return service
