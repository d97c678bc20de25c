"""The application as its clients see it: real store, hub and server, and a feed of the test's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import trio
import trio_websocket
from quart_trio import QuartTrio
from trio.testing import wait_all_tasks_blocked

from actors import ActorInfo, Mailbox, Overflow, State
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.draining import Draining
from smarttrade.session.hub_actor import run_hub
from smarttrade.session.hub_counters import HubCounters
from smarttrade.session.session_limits import SessionLimits
from smarttrade.store.actor import run_store
from smarttrade.store.events import CandlesMissing, HubEvent
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import PutHistory, PutUpdates, ReportFeed, StoreMessage
from smarttrade.web.app import create_app
from smarttrade.web.counters import Counters
from smarttrade.web.server.accept import serve_web
from smarttrade.web.server_limits import ServerCounters, ServerLimits
from smarttrade.web.services import Services
from tests.fakes.chart import decode
from tests.fakes.memory_net import MemoryListener, http_over, websocket_over
from tests.fakes.schemas import checked

WALL = 1_733_007_700.5  # what every wall clock shows, in seconds since the epoch
LIMIT = 3600  # virtual seconds after which a test has failed
HEARTBEAT = 25.0

SYMBOLS = ("BTCUSDT", "ETHUSDT")
INTERVALS = (Interval.MINUTE_1, Interval.HOUR_1, Interval.HOUR_4, Interval.DAY_1, Interval.WEEK_1)


@dataclass
class Session:
    """One client's WebSocket."""

    connection: trio_websocket.WebSocketConnection

    async def say(self, **fields: Any) -> None:
        """Return when it has been answered."""
        await self.connection.send_message(msgspec.json.encode(fields).decode())
        await wait_all_tasks_blocked()

    async def say_text(self, text: str | bytes) -> None:
        await self.connection.send_message(text)

    async def hear(self, *types: str) -> dict[str, Any]:
        """The next message of one of these types (of any, if none is given)."""
        while True:
            message = decode(checked(await self.connection.get_message()))
            if not types or message["type"] in types:
                return message

    async def pending(self) -> list[dict[str, Any]]:
        """All that has been sent and not heard."""
        await wait_all_tasks_blocked()
        heard = []
        while self.connection._recv_channel.statistics().current_buffer_used:
            heard.append(await self.hear())
        return heard

    async def close_code(self) -> tuple[int, str]:
        """How the server ends it, whatever is sent before."""
        with suppress(trio_websocket.ConnectionClosed):
            while True:
                await self.connection.get_message()
        reason = self.connection.closed
        assert reason is not None
        return reason.code, reason.reason or ""


@dataclass
class Backend:
    listener: MemoryListener
    store: Mailbox[StoreMessage]
    gaps: Mailbox[CandlesMissing]
    draining: Draining
    http: httpx.AsyncClient
    app: QuartTrio
    counters: ServerCounters
    hub_counters: HubCounters

    async def settle(self) -> None:
        await wait_all_tasks_blocked()

    async def tell(self, message: StoreMessage) -> None:
        """Return when it has reached everybody whom it concerns."""
        await self.store.tell(message)
        await self.settle()

    async def history(
        self, series: Series, rows: Sequence[Candle], first: int | None = None
    ) -> None:
        await self.tell(PutHistory(series, rows, first))

    async def live(self, series: Series, *candles: Candle) -> None:
        await self.tell(PutUpdates([(series, candle) for candle in candles]))

    async def feed(self, feed: Feed) -> None:
        await self.tell(ReportFeed(FeedStatus(feed, WALL)))

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.http.get(path, **options)

    @asynccontextmanager
    async def session(self, path: str = "/ws/candles", **options: Any) -> AsyncIterator[Session]:
        async with websocket_over(self.listener.connect, path, **options) as connection:
            yield Session(connection)

    async def refused(self, path: str) -> trio_websocket.ConnectionRejected:
        """How the handshake is refused."""
        try:
            async with self.session(path):
                raise AssertionError("accepted")
        except* trio_websocket.ConnectionRejected as errors:
            found = errors
        error: BaseException = found
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        assert isinstance(error, trio_websocket.ConnectionRejected)
        return error


@asynccontextmanager
async def backend(
    *,
    symbols: Sequence[str] = SYMBOLS,
    intervals: Sequence[Interval] = INTERVALS,
    cors_origins: Sequence[str] = ("*",),
    limits: SessionLimits | None = None,
    tree: ActorInfo | None = None,
    is_store_running: bool = True,
    drain_timeout: float = 8.0,
    describe_store: Callable[[], Mapping[str, Any]] = lambda: {"kind": "memory"},
    has_clients: bool = True,
    origin: str | None = None,
    sockets: Sequence[trio.SocketListener] = (),
    max_series_metrics: int = 1000,
    shards: int = 1,
) -> AsyncIterator[Backend]:
    store = Mailbox[StoreMessage]("store", capacity=1024)
    hub = Mailbox[HubEvent]("hub", capacity=1024)
    gaps = Mailbox[CandlesMissing](
        "gaps", capacity=100, overflow=Overflow.CONFLATE, key=lambda gap: gap.series
    )
    all_counters = Counters()
    counters, hub_counters = all_counters.server, all_counters.hub
    memory = MemoryStore(symbols, intervals, all_counters.store)
    texts = CandleTexts()
    draining = Draining()
    info = tree or ActorInfo("service", State.RUNNING)
    services = Services(
        store=store,
        texts=texts,
        inspect=lambda: info,
        draining=draining,
        heartbeat=HEARTBEAT,
        session_limits=limits or SessionLimits(),
        cors_origins=cors_origins,
        revision_of=memory.revision_of,
        describe_store=describe_store,
        has_clients=has_clients,
        counters=all_counters,
        max_series_metrics=max_series_metrics,
        shards=shards,
        wall_clock=lambda: WALL,
        origin=lambda: origin,
        server="smarttrade/test",
        new_session_name=lambda: "a-session",
    )
    app = create_app(services)
    listener = MemoryListener()

    async def actor_store() -> None:
        await run_store(store, memory, hub=hub, gaps=gaps, wall_clock=lambda: WALL)

    async def actor_hub() -> None:
        await run_hub(hub, texts, hub_counters, heartbeat=HEARTBEAT, wall_clock=lambda: WALL)

    async def server(*, task_status: trio.TaskStatus[None]) -> None:
        await serve_web(
            app,
            [listener, *sockets],
            limits=ServerLimits(session=limits or SessionLimits()),
            counters=counters,
            draining=draining.begun,
            drain_timeout=drain_timeout,
            task_status=task_status,
        )

    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            if is_store_running:
                nursery.start_soon(actor_store)
                nursery.start_soon(actor_hub)
            await nursery.start(server)
            async with http_over(listener.connect, base_url="http://test", timeout=60) as http:
                yield Backend(listener, store, gaps, draining, http, app, counters, hub_counters)
            nursery.cancel_scope.cancel()
    assert counters.failed == 0
