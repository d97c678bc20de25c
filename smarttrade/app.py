"""The whole service on one screen.

    service                  rest_for_one: what starts later needs what starts earlier
    ├── store                candles; answers reads
    ├── hub                  fan-out to clients
    ├── feed                 one_for_one
    │   ├── listing          which symbols the exchange lists; ends when that is known
    │   ├── stream           live klines -> store
    │   └── backfill         history and gaps over REST -> store
    └── web                  accept loop, Quart-Trio; one session actor per client

Candles go down the tree's left side, one message at a time: stream -> store -> hub -> outboxes.
Questions go to the store. Nobody asks upwards, so nobody can wait in a circle.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import structlog
import trio

from actors import (
    ActorInfo,
    Child,
    Fatal,
    Mailbox,
    Overflow,
    Restart,
    RestartBudget,
    Strategy,
    Supervisor,
)

from .binance.backfill import run_backfill
from .binance.dial import Dial, dial
from .binance.limits import WeightBudget
from .binance.listing import run_listing
from .binance.rest import RestClient, http_client
from .binance.stream import StreamCounters, run_stream
from .session.hub import HubCounters, run_hub
from .session.wire import CandleTexts
from .settings import Settings
from .store.actor import run_store
from .store.memory import MemoryStore
from .store.messages import CandlesMissing, HubEvent, StoreMessage
from .web.app import create_app
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
    wall_clock: Callable[[], float] = time.time


@dataclass(slots=True)
class Counters:
    """What is counted, and outlives every restart below."""

    stream: StreamCounters = field(default_factory=StreamCounters)
    hub: HubCounters = field(default_factory=HubCounters)
    server: ServerCounters = field(default_factory=ServerCounters)


async def run_service(
    settings: Settings,
    *,
    stop: trio.Event,
    progress: Progress,
    simulated: bool = False,
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
        listen = partial(_listen, settings.host, settings.port)
        outside = Outside(http, rest_urls, dial, stream_urls, listen)
        service = build_service(settings, outside, progress, Counters())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_when_told, service, stop)
            await service.run(task_status=task_status)
            nursery.cancel_scope.cancel()


async def _listen(host: str, port: int) -> Sequence[trio.SocketListener]:
    listeners = await open_listeners(host, port)
    name = f"[{host}]" if ":" in host else host
    logger.info("serving", url=f"http://{name}:{listeners[0].socket.getsockname()[1]}")
    return listeners


def build_service(
    settings: Settings, outside: Outside, progress: Progress, counters: Counters
) -> Supervisor:
    """Every actor, every channel, the whole tree; nothing runs yet."""
    wall_clock = outside.wall_clock
    rest = RestClient(outside.http, outside.rest_urls, WeightBudget(settings.weight_ceiling))
    series = len(settings.symbols) * len(settings.intervals)
    texts = CandleTexts()
    # Commands and questions wait while the store is busy, and so do those who send them. The
    # stream's updates arrive in batches: this is far more than one burst.
    store = Mailbox[StoreMessage]("store", capacity=1024)
    # In order and complete: when the hub is behind, the store waits.
    hub = Mailbox[HubEvent]("hub", capacity=1024)
    # One entry a series is enough to know what to read.
    gaps = Mailbox[CandlesMissing](
        "gaps", capacity=max(1, series), overflow=Overflow.NEWEST, key=lambda gap: gap.series
    )
    memory = MemoryStore(settings.symbols, settings.intervals)
    feed = Supervisor(
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
                    outside.stream_urls,
                    dial=outside.dial,
                    counters=counters.stream,
                    wall_clock=wall_clock,
                ),
            ),
            Child(
                "backfill",
                partial(run_backfill, gaps, store, rest, progress=progress),
                mailbox=gaps,
            ),
        ],
        strategy=Strategy.ONE_FOR_ONE,
        budget=RestartBudget(5, within=60),
    )
    web = _Web(settings, outside, store, texts, counters.server, lambda: service.inspect())  # noqa: PLW0108 - the tree is built below
    service = Supervisor(
        "service",
        [
            Child(
                "store",
                partial(run_store, store, memory, hub=hub, gaps=gaps, wall_clock=wall_clock),
                mailbox=store,
            ),
            Child(
                "hub",
                partial(
                    run_hub,
                    hub,
                    texts,
                    counters.hub,
                    heartbeat=settings.heartbeat,
                    wall_clock=wall_clock,
                ),
                mailbox=hub,
            ),
            feed,
            Child("web", web.run, stop=web.drain, stop_within=settings.stop_within + 1),
        ],
        strategy=Strategy.REST_FOR_ONE,
        budget=RestartBudget(3, within=300),
    )
    return service


class _Web:
    """The front end's child: each start gets an application and a drain of its own."""

    def __init__(
        self,
        settings: Settings,
        outside: Outside,
        store: Mailbox[StoreMessage],
        texts: CandleTexts,
        counters: ServerCounters,
        inspect: Callable[[], ActorInfo],
    ) -> None:
        self._settings = settings
        self._listen = outside.listen
        self._store = store
        self._texts = texts
        self._counters = counters
        self._inspect = inspect
        self._draining = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        settings = self._settings
        self._draining = trio.Event()
        services = Services(
            store=self._store,
            texts=self._texts,
            inspect=self._inspect,
            draining=self._draining,
            heartbeat=settings.heartbeat,
            session_limits=settings.session_limits,
            cors_origins=settings.cors_origins,
        )
        app = create_app(services)
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
            task_status=task_status,
        )

    def drain(self) -> None:
        self._draining.set()


async def _stop_when_told(service: Supervisor, stop: trio.Event) -> None:
    await stop.wait()
    logger.info("stopping")
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
