"""What the service reaches outside the process, and how that is opened.

The only seam to the world: a test passes an `Environment` of its own, with a clock that jumps and
networks of memory.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx
import structlog
import trio

from .binance.exchange_names import exchange_name
from .binance.venue import BINANCE
from .feed.dial import Dial
from .feed.identity import identify
from .feed.network import Network
from .feed.subtree import VenueAccess
from .feed.venue import Venue
from .linux.systemd import Notifier
from .market.origin import SIMULATED
from .role import Role
from .settings import DEFAULT_REDIS_URL, Settings
from .settings.values import masked
from .store.database import Database
from .store.origin import OwnExchange
from .store.probe import redis_answers
from .store.shards import make_shard
from .store.steady_clock import suspended_time
from .web.front_end import Listen
from .web.server.sockets import open_listeners

logger = structlog.get_logger("app")

VENUE: Venue = BINANCE
"""The exchange that candles come from: the one line that chooses it."""

SIMULATED_SUFFIX = "-simulated"
"""Appended to the Redis namespace with the built-in simulator."""


@dataclass(frozen=True, slots=True)
class Environment:
    """How the service reaches what is outside the process; a test passes fakes."""

    http: httpx.AsyncClient
    """For the exchange's REST API."""
    rest_urls: Sequence[str]
    dial: Dial
    """For the exchange's streams."""
    stream_urls: Sequence[str]
    listen: Listen
    databases: Sequence[Database] = ()
    """Where candles are kept, one for each shard; none keeps them in memory only. A gateway needs
    those of all shards."""
    notifier: Notifier | None = None
    """systemd, if it started this process."""
    stopping: trio.Event = field(default_factory=trio.Event)
    """Set before the service stops: from then on it is not ready."""
    exchange: OwnExchange | None = None
    """The exchange that this process reads; None for a gateway, which serves what is stored."""
    exchange_time: int = 0
    """What the exchange's clock showed at the start, in ms; 0 if it did not answer."""
    suspended: Callable[[], float] = lambda: 0.0
    """Seconds for which the machine has been suspended."""
    wall_clock: Callable[[], float] = time.time
    cost_clock: Callable[[], float] = lambda: 0.0
    """Processor time of this thread in seconds; the default does not measure."""

    @property
    def origin(self) -> str | None:
        """Which exchange the candles come from; None for a gateway, which reads it from Redis."""
        return None if self.exchange is None else self.exchange.name

    @property
    def venue_access(self) -> VenueAccess:
        """For the feed."""
        return VenueAccess(VENUE, self.http, self.rest_urls, self.dial, self.stream_urls)


@asynccontextmanager
async def open_environment(
    settings: Settings,
    role: Role,
    notifier: Notifier | None,
    *,
    simulated: bool,
    network: Network,
) -> AsyncIterator[Environment]:
    """The real world, as the settings name it, or with a simulated exchange in it."""
    if simulated:
        hint = "prices are invented; start without --simulated for real ones"
        logger.warning("simulated", hint=hint)
        settings = with_simulated_store(settings, role)
    async with (
        exchange_urls(settings, simulated=simulated) as (rest_urls, stream_urls),
        network.http_client() as http,
    ):
        exchange, exchange_time = None, 0
        if role.has_feed:
            access = VenueAccess(VENUE, http, rest_urls, network.dial, stream_urls)
            exchange, exchange_time = await _identify(access, simulated=simulated)
        yield Environment(
            http,
            rest_urls,
            network.dial,
            stream_urls,
            listen=partial(_listen, settings),
            databases=await _open_databases(settings, role, exchange),
            notifier=notifier,
            exchange=exchange,
            exchange_time=exchange_time,
            suspended=suspended_time,
            cost_clock=time.thread_time,
        )


async def _identify(access: VenueAccess, *, simulated: bool) -> tuple[OwnExchange, int]:
    """The exchange by the host that answers, and its time."""
    identity = await identify(access)
    now = 0 if identity is None else identity.time
    if simulated:
        return OwnExchange(SIMULATED), now
    names = frozenset(map(exchange_name, access.rest_urls))
    name = exchange_name(access.rest_urls[0] if identity is None else identity.url)
    logger.info("exchange", origin=name, answered=identity is not None)
    return OwnExchange(name, names), now


def with_simulated_store(settings: Settings, role: Role) -> Settings:
    """Where simulated candles are stored, which is never beside real ones.

    They have a namespace of their own, and `serve` stores them only in a Redis that is configured.
    """
    in_memory = role is Role.SERVE and settings.redis_url is None
    return settings.model_copy(
        update={
            "redis_namespace": settings.redis_namespace + SIMULATED_SUFFIX,
            "use_memory_store": settings.use_memory_store or in_memory,
        }
    )


@asynccontextmanager
async def exchange_urls(
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


async def _listen(settings: Settings) -> Sequence[trio.SocketListener]:
    host = settings.host
    listeners = await open_listeners(host, settings.port, reuse_port=settings.reuse_port)
    name = f"[{host}]" if ":" in host else host
    port = listeners[0].socket.getsockname()[1]
    logger.info("serving", url=f"{settings.scheme}://{name}:{port}")
    return listeners


async def _open_databases(
    settings: Settings, role: Role, exchange: OwnExchange | None
) -> Sequence[Database]:
    """The configured Redis, or for `serve` the one at the default address; none for memory."""
    if settings.use_memory_store or not await _has_redis(settings, role):
        return ()
    from .store.redis_database import RedisDatabase  # takes as long to import as Trio

    url = settings.redis_url or DEFAULT_REDIS_URL
    logger.info("redis", url=masked(url), namespace=settings.redis_namespace)
    return [
        RedisDatabase(
            url,
            settings.redis_namespace,
            timeout=settings.redis_timeout,
            stream_length=settings.max_stored_changes,
            exchange=exchange,
            shard=make_shard(number, settings.shards, settings.symbols),
        )
        for number in settings.own_shards
    ]


async def _has_redis(settings: Settings, role: Role) -> bool:
    if settings.redis_url is not None or role is not Role.SERVE:
        return True
    if await redis_answers(DEFAULT_REDIS_URL):
        return True
    logger.warning(
        "memory_only",
        reason=f"no Redis answers at {DEFAULT_REDIS_URL}: candles are lost when this process ends",
        hint="set REDIS_URL, or USE_MEMORY_STORE=1 if that is fine",
    )
    return False
