"""One process of the service, and the service manager that starts it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import trio

from actors import ActorDied, ActorError, ActorInfo, MailboxClosed, RestartLimit, walk
from actors.testing import tasks_below
from smarttrade.app import build_service
from smarttrade.environment import Environment
from smarttrade.feed.errors import NoSymbolLeft
from smarttrade.feed.network import CONNECTIONS
from smarttrade.role import Role
from smarttrade.settings import Settings
from smarttrade.simulator import Exchange, serve_connection
from smarttrade.store.origin import OwnExchange
from smarttrade.store.redis_database import RedisDatabase
from smarttrade.store.shards import make_shard, shard_of
from smarttrade.web.counters import Counters as ServiceCounters
from tests.fakes.database import BINANCE
from tests.fakes.memory_net import _Backend, _Stream

from .deterministic import START
from .network import End, Listener, connect
from .redis import FaultyRedis, RedisLink
from .trace import Trace
from .truth import Truth
from .violation import Violation

if TYPE_CHECKING:
    from .wire.site import Site

STREAM_LENGTH = 300  # entries of a change stream: less than a minute
STARTED_AGAIN_AFTER = (1.0, 5.0)  # seconds, as a service manager would
CRASH_FORGOTTEN = 90.0
"""Seconds after which a crash but the last one makes no restart pause longer: `Backoff`."""

CURRENT_RUN: ContextVar[ProcessRun | None] = ContextVar("CURRENT_RUN", default=None)


class InjectedCrash(Exception):
    """A bug on purpose."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """What an exception and its groups consist of."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def is_injected(error: BaseException) -> bool:
    """Whether a failure is injected failure, or follows from one."""
    if isinstance(error, InjectedCrash | ActorDied | MailboxClosed):
        return True
    causes = [error.__cause__, error.__context__]
    return any(cause is not None and all(map(is_injected, leaves(cause))) for cause in causes)


class _ByHost(_Backend):
    """Opens connections by the host's name."""

    def __init__(self, connect: Callable[[str], Awaitable[End]]) -> None:
        self._to = connect

    async def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        try:
            return _Stream(await self._to(host))  # type: ignore[arg-type]
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


FOREIGN = OwnExchange("foreign.example")


class ProcessRun:
    """A process from its start to its end: what it reaches, and what reaches it."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.is_dead = False
        self.has_ended = False
        self.ends: list[End] = []
        self.to_exchange: list[End] = []
        self.listeners: list[Listener] = []
        self.counters = ServiceCounters()
        self.redis_links = process.connect_to_redis()
        databases = self.redis_links or process.open_databases()
        self.scope = trio.CancelScope()
        self.stop_began: float | None = None
        self.began = trio.current_time()
        transport = httpx.AsyncHTTPTransport(verify=False, trust_env=False)
        transport._pool = httpcore.AsyncConnectionPool(
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=30,
            network_backend=_ByHost(self._connect_to_exchange),
        )
        # As `http_client` makes it, but that reads certificates from disk, which takes 80 ms.
        self.http = httpx.AsyncClient(
            transport=transport, timeout=httpx.Timeout(10.0, connect=5.0), trust_env=False
        )
        environment = Environment(
            self.http,
            [f"http://{process.site}rest-1", f"http://{process.site}rest-2"],
            self._dial,
            [f"ws://{process.site}stream-1", f"ws://{process.site}stream-2"],
            self._listen,
            databases=databases,
            exchange=process.origin,
            wall_clock=lambda: START + trio.current_time() + process.clock_error,
        )
        self.service = build_service(
            process.settings, environment, lambda _, __: None, self.counters, process.role
        )

    async def run(self) -> None:
        """Until it ends by itself or is killed."""
        CURRENT_RUN.set(self)
        with self.scope:
            try:
                await self.service.run()
            finally:
                with trio.CancelScope(shield=True):
                    await self.http.aclose()

    def kill(self) -> None:
        """Nothing that it does from now on has any effect on others."""
        self.is_dead = True
        for link in self.redis_links:
            link.is_dead = True
        for end in self.ends:
            end.reset()
        self.scope.cancel()

    @property
    def is_cut(self) -> bool:
        """Whether nothing gets through to Redis."""
        return self.process.is_cut_off("redis")

    def stop(self) -> None:
        if self.stop_began is None:
            self.stop_began = trio.current_time()
            self.service.stop()

    # What it reaches

    async def _connect_to_exchange(self, host: str) -> End:
        await self.process.reach("exchange")
        if self.is_dead or host in self.process.dead_hosts:
            raise ConnectionRefusedError("this process is dead")
        ours, theirs = connect(0.0)
        self.ends.append(ours)
        self.to_exchange.append(ours)
        self.process.serve_stream(theirs)
        return ours

    async def _dial(self, url: str) -> End:
        return await self._connect_to_exchange(url.split("/")[2])

    async def _listen(self) -> Sequence[Listener]:
        self.listeners.append(Listener())
        return self.listeners[-1:]

    def cut_redis_links(self) -> None:
        """As far as the process is cut off from Redis now."""
        for link in self.redis_links:
            link.is_cut = self.process.is_cut_off_shard(link.shard.number)

    # What reaches it

    def arrive(self, latency: float, capacity: int, *, as_socket: bool) -> End:
        """A client connects. Raises `ConnectionRefusedError`."""
        if self.is_dead or not self.listeners or self.process.is_cut_off("clients"):
            raise ConnectionRefusedError("not listening")
        theirs, ours = connect(latency, back=capacity, as_socket=as_socket)
        self.listeners[-1].arrive(ours)
        self.ends = [end for end in self.ends if not (end._is_closed or end._is_reset)]
        self.ends.append(ours)
        return theirs

    # Looking inside

    def tasks(self, actor: str | None = None) -> list[trio.lowlevel.Task]:
        """Its tasks, or those of one actor, in an order that the seed decides."""
        root = trio.lowlevel.current_root_task()
        assert root is not None
        found: list[trio.lowlevel.Task] = []
        for system in tasks_below(root):
            is_ours = system.context.get(CURRENT_RUN) is self and "/" in system.name
            if is_ours and (actor is None or system.name.endswith(f"/{actor}")):
                found += tasks_below(system)
        return found

    @property
    def actors(self) -> dict[str, ActorInfo]:
        return {info.name: info for _, info in walk(self.service.inspect())}


class Process:
    """A machine with one process on it, which is started again whenever it ends."""

    def __init__(
        self,
        number: int,
        role: Role,
        settings: Settings,
        exchange: Exchange,
        servers: Sequence[FaultyRedis],
        trace: Trace,
        spawn: Callable[..., None],
        rng: Random,
        truth: Truth,
        *,
        is_foreign: bool = False,
        starts_after: float = 0.0,
        site: Site | None = None,
    ) -> None:
        self._truth = truth
        self._starts_after = starts_after
        self.is_foreign = is_foreign
        """Whether it reads another exchange: it must not serve what is stored, and may end."""
        self.name = f"{role.value}-{number}"
        self.role = role
        self.settings = settings
        self.servers = servers
        self.current: ProcessRun | None = None
        self.clock_error = 0.0
        self.starts = 0
        self.crashed_at = self.crashed_before = self.troubled_at = -1e9
        self.is_over = False
        self.dead_hosts: set[str] = set()
        self.stays_away = False
        """Not started again any more."""
        self._exchange = exchange
        self._trace = trace
        self.site_of_redis = site
        """The servers that redis-py reaches, where that is part of the world."""
        self.spawn = spawn
        self._rng = rng
        self._cut_off: set[str] = set()
        self._cut_shards: Counter[int] = Counter()

    @property
    def site(self) -> str:
        """What the host names of its exchange begin with."""
        return "foreign-" if self.is_foreign else ""

    @property
    def origin(self) -> OwnExchange | None:
        """The exchange that it reads, as what it stores says."""
        if not self.role.has_feed:
            return None
        return FOREIGN if self.is_foreign else BINANCE

    def connect_to_redis(self) -> list[RedisLink]:
        """A connection to each of its shards."""
        settings, servers = self.settings, self.servers
        return [
            RedisLink(
                servers[number],
                self.origin,
                make_shard(number, settings.shards, settings.symbols),
            )
            for number in (settings.own_shards if servers else ())
        ]

    def open_databases(self) -> list[RedisDatabase]:
        """The product's own, where redis-py is part of the world."""
        settings, site = self.settings, self.site_of_redis
        return [
            RedisDatabase(
                site.url,
                settings.redis_namespace,
                timeout=settings.redis_timeout,
                stream_length=STREAM_LENGTH,
                exchange=self.origin,
                shard=make_shard(number, settings.shards, settings.symbols),
            )
            for number in settings.own_shards
            if site is not None
        ]

    def serve_stream(self, theirs: End) -> None:
        self.spawn(serve_connection, self._exchange, theirs, self.name)

    async def reach(self, what: str) -> None:
        """Return when it can be reached."""
        await trio.lowlevel.checkpoint()
        if what in self._cut_off:
            await trio.sleep_forever()

    def is_cut_off(self, what: str) -> bool:
        return what in self._cut_off

    def cut_off(self, what: str) -> None:
        """A partition: bytes vanish and connections are not answered, until `rejoin`."""
        self._cut_off.add(what)
        current = self.current
        if current is None:
            return
        if what == "redis":
            current.cut_redis_links()
        elif what == "exchange":
            for end in current.to_exchange:
                end.cut()
        else:
            for end in current.ends:
                if end not in current.to_exchange:
                    end.cut()

    def must_answer(self, current: ProcessRun | None) -> bool:
        """Whether that current goes on, and nothing is wrong with it that may hold an answer up."""
        calm_since = max(self.crashed_before, self.troubled_at)
        return (
            current is not None
            and self.current is current
            and not current.is_dead
            and current.stop_began is None
            and not self._cut_off
            and trio.current_time() - calm_since > CRASH_FORGOTTEN
        )

    def has_crashed(self) -> None:
        """An actor of it was made to crash."""
        self.crashed_before, self.crashed_at = self.crashed_at, trio.current_time()

    def rejoin(self) -> None:
        if self._cut_off:
            self.troubled_at = trio.current_time()
        self._cut_off.clear()
        if self.current is not None:
            self.current.cut_redis_links()

    @property
    def feeds(self) -> range:
        """The shards that it writes while it leads."""
        return self.settings.own_shards if self.role.has_feed else range(0)

    @property
    def own_symbols(self) -> list[str]:
        """The symbols of these shards."""
        settings = self.settings
        return [s for s in settings.symbols if shard_of(s, settings.shards) in self.feeds]

    def is_cut_off_shard(self, shard: int) -> bool:
        return "redis" in self._cut_off or self._cut_shards[shard] > 0

    def cut_off_shard(self, shard: int) -> None:
        """A partition from the server of one shard, until as many calls of `rejoin_shard`."""
        self._cut_shards[shard] += 1
        self._cut_links()

    def rejoin_shard(self, shard: int) -> None:
        self._cut_shards[shard] -= 1
        self._cut_links()

    def _cut_links(self) -> None:
        if self.current is not None:
            self.current.cut_redis_links()

    def restart_with(self, symbols: Sequence[str]) -> None:
        """An operator changes the setting, and restarts it."""
        self.settings = self.settings.model_copy(update={"symbols": tuple(symbols)})
        if self.current is not None:
            self.current.kill()

    def lose_connections(self) -> None:
        """All its clients' connections are reset."""
        if self.current is not None:
            for end in self.current.ends:
                if end not in self.current.to_exchange:
                    end.reset()

    async def run(self) -> None:
        """Start it, again and again, until `finish`."""
        await trio.sleep(self._starts_after)
        while not self.is_over:
            if self.is_foreign:
                await self._until_namespace_is_taken()
            self.current = current = ProcessRun(self)
            self.starts += 1
            self._truth.last_started = trio.current_time()
            current.cut_redis_links()
            self._trace.note(self.name, "starts")
            await self._run(current)
            if self.has_left():
                return
            await trio.sleep(self._rng.uniform(*STARTED_AGAIN_AFTER))

    async def _until_namespace_is_taken(self) -> None:
        """Wait while Redis holds nothing: the namespace is of the exchange that writes first."""
        while any(server.contents.origin is None for server in self.servers):
            await trio.sleep(1)

    def has_left(self) -> bool:
        return self.is_over or self.stays_away

    async def _run(self, current: ProcessRun) -> None:
        try:
            await current.run()
        except BaseException as error:  # noqa: BLE001 - judged there
            self._judge_end(current, error)
        else:
            self._trace.note(self.name, "killed" if current.is_dead else "ended in order")
            was_asked = current.stop_began is not None or current.is_dead or self.is_foreign
            if not was_asked:
                raise Violation(
                    "tree-comes-back", f"{self.name} ended, without having been stopped"
                )
        current.has_ended = True
        for end in current.ends:
            end.reset()

    def _judge_end(self, current: ProcessRun, error: BaseException) -> None:
        if isinstance(error, trio.Cancelled | KeyboardInterrupt) or current.is_dead:
            if isinstance(error, Exception):
                self._trace.note(self.name, f"killed, with {error!r}")
                return
            raise error
        if self.is_foreign:
            self._trace.note(self.name, f"does not run beside another exchange: {error!r}")
            return
        if isinstance(error, NoSymbolLeft) and self._lists_nothing():
            self._trace.note(self.name, f"does not run without a symbol: {error}")
            return
        gives_up = isinstance(error, RestartLimit | InjectedCrash | BaseExceptionGroup | ActorError)
        if gives_up and all(map(is_injected, leaves(error))):
            self._trace.note(self.name, f"gives up: {error}")
            return
        raise Violation("tree-comes-back", f"{self.name} ended with {error!r}") from error

    def _lists_nothing(self) -> bool:
        """Whether the exchange knows none of its symbols just now."""
        unknown = self._exchange.faults.unknown.value
        return unknown is not None and (not unknown or set(self.settings.symbols) <= {*unknown})

    async def finish(self, within: float) -> None:
        """Stop in order, for good."""
        self.is_over = True
        current = self.current
        if current is None or current.has_ended:
            return
        current.stop()
        with trio.move_on_after(within):
            while any(
                info.state.value not in ("stopped", "failed") for info in current.actors.values()
            ):
                await trio.sleep(0.1)
            return
        states = {name: info.state.value for name, info in current.actors.items()}
        raise Violation("stops-in-time", f"{self.name} after {within} s: {states}")
