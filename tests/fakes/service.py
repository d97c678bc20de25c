"""The complete service and the simulated exchange in one Trio loop, joined in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import trio
import trio_websocket

from actors import Supervisor, walk
from smarttrade.app import build_service
from smarttrade.environment import Environment
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.settings import Settings
from smarttrade.simulator import Exchange, serve_connection
from smarttrade.web.counters import Counters
from smarttrade.web.server.sockets import CannotListenError
from tests.fakes.chart import Charts, decode
from tests.fakes.exchange_link import End, link
from tests.fakes.memory_net import MemoryListener, http_over, transport_over, websocket_over
from tests.fakes.schemas import checked

START = 1_733_007_600_000 + 22_345  # ms; some seconds into a minute, whose rows are final
REST_LAG = 8.0
"""Seconds after its end for which a row of the exchange lacks its last trades."""
RECONNECT_PAUSE = 1.0  # seconds


class FailOnce:
    """Makes what it is built into fail once, after `fails` was set."""

    def __init__(self) -> None:
        self.fails = False

    def check(self) -> None:
        if self.fails:
            self.fails = False
            raise RuntimeError("injected failure")


@dataclass
class World:
    """The service and its environment."""

    exchange: Exchange
    settings: Settings
    nursery: trio.Nursery
    spare: Exchange | None = None
    """The same exchange at another host, tried second."""
    counters: Counters = field(default_factory=Counters)
    dial_failure: FailOnce = field(default_factory=FailOnce)
    connect_error: OSError | None = None
    """If set, connections to the exchange's first host fail with it."""
    dialled: list[float] = field(default_factory=list)
    """When a stream connection was attempted."""
    listeners: list[MemoryListener] = field(default_factory=list)
    port_is_taken: bool = False
    progress: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        hosts = ["exchange"] if self.spare is None else ["exchange", "spare"]
        spare = transport_over(self.connect_to_spare)
        self.to_exchange = http_over(
            self.connect_to_exchange, timeout=10, mounts={"http://spare": spare}
        )
        environment = Environment(
            self.to_exchange,
            [f"http://{host}" for host in hosts],
            self.dial,
            [f"ws://{host}" for host in hosts],
            self.listen,
            wall_clock=lambda: self.exchange.now() / 1000,
        )
        self.service: Supervisor = build_service(
            self.settings,
            environment,
            lambda done, total: self.progress.append((done, total)),
            self.counters,
        )
        self.http = http_over(self.connect, base_url="http://service", timeout=60)

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.to_exchange.aclose()

    # What the service connects to

    async def connect_to_exchange(self) -> End:
        if self.connect_error is not None:
            await trio.lowlevel.checkpoint()
            raise self.connect_error
        return self._connect_to(self.exchange)

    async def connect_to_spare(self) -> End:
        assert self.spare is not None
        return self._connect_to(self.spare)

    def _connect_to(self, exchange: Exchange) -> End:
        ours, theirs = link()
        self.nursery.start_soon(serve_connection, exchange, theirs)
        return ours

    async def dial(self, url: str) -> End:
        self.dialled.append(trio.current_time())
        self.dial_failure.check()
        if url.startswith("ws://spare/"):
            return await self.connect_to_spare()
        return await self.connect_to_exchange()

    async def listen(self) -> Sequence[MemoryListener]:
        if self.port_is_taken:
            raise CannotListenError("port 8000 is taken by another program")
        self.listeners.append(MemoryListener())
        return self.listeners[-1:]

    # Clients of the service

    async def connect(self) -> End:
        if not self.listeners:
            raise ConnectionRefusedError
        return await self.listeners[-1].connect()

    async def is_ready(self) -> bool:
        try:
            return (await self.http.get("/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def ready(self) -> float:
        """Wait until it is ready; the number of seconds that took."""
        began = trio.current_time()
        while not await self.is_ready():
            await trio.sleep(0.25)
        return trio.current_time() - began

    async def differences(self) -> list[str]:
        """Differences between the closed candles of every window and the exchange's."""
        found = []
        for symbol in self.settings.symbols:
            for interval in self.settings.intervals:
                answer = await self.http.get(f"/candles/{symbol}/{interval.value}?limit=1000")
                if answer.status_code != 200:
                    found.append(f"{symbol} {interval.value}: {answer.text}")
                    continue
                charts = Charts()
                page = decode(answer.text)
                charts.receive({**page, "type": "snapshot", "truncated": False})
                chart = charts.by_series[Series(symbol, interval)]
                unfilled = [gap for gap in page["gaps"] if gap["cause"] != "exchange"]
                if len(chart.candles) != 1000 or unfilled:
                    found.append(f"{chart.series}: {len(chart.candles)} candles, {page['gaps']}")
                found += self.compare(chart.series, charts)
        return found

    def compare(self, series: Series, charts: Charts) -> list[str]:
        """Differences between a client's chart and the exchange's rows."""
        chart, now = charts.by_series[series], self.exchange.now()
        first = min(chart.candles) * 1000
        rows = self.exchange.klines(series.symbol, series.interval.value, first, limit=100_000)
        # What streams reported and REST never lists may be kept as it was reported.
        rolled_back = (
            self.exchange.rolled_back(series.symbol, series.interval.value, time * 1000)
            for time in chart.candles
        )
        rows = sorted({*rows, *filter(None, rolled_back)})
        _, faults = chart.compare(rows)
        over = series.interval.floor(now - 3_000)
        # The newest row is not known to be final, as no later row follows it.
        ended = max((row[0] for row in rows[:-1] if row[0] < over), default=0)
        if chart.newest_closed * 1000 < ended:
            faults.append(f"{series}: ends at {chart.newest_closed}, not {ended // 1000}")
        return faults

    async def next_minute(self, count: int = 1, *, plus: float = 3.0) -> None:
        """Wait until `plus` seconds after the begin of the `count`-th next minute."""
        minute = Interval.MINUTE_1
        moment = minute.floor(self.exchange.now()) + count * 60_000
        await trio.sleep((moment - self.exchange.now()) / 1000 / self.exchange.clock.speed + plus)

    @property
    def actors(self) -> dict[str, Any]:
        """Every actor of the tree, by name."""
        return {info.name: info for _, info in walk(self.service.inspect())}


@dataclass
class ReconnectingClient:
    """A client that reconnects with `since` after every loss of its connection."""

    series: Sequence[Series]
    charts: Charts = field(default_factory=Charts)
    connects: int = 0
    codes: list[int] = field(default_factory=list)

    async def run(self, world: World) -> None:
        while True:
            try:
                async with websocket_over(world.connect, "/ws/candles") as connection:
                    self.connects += 1
                    await connection.send_message(self._request())
                    await self._listen(connection)
            except* (OSError, trio.BrokenResourceError, trio_websocket.HandshakeError):
                pass
            except* trio_websocket.ConnectionClosed:
                pass
            await trio.sleep(RECONNECT_PAUSE)

    def _request(self) -> str:
        entries = []
        for series in self.series:
            chart = self.charts.by_series.get(series)
            entry: dict[str, Any] = {"symbol": series.symbol, "interval": series.interval.value}
            entry |= {"since": chart.newest} if chart and chart.candles else {"snapshot": 1000}
            entries.append(entry)
        return msgspec.json.encode({"subscriptions": entries}).decode()

    async def _listen(self, connection: trio_websocket.WebSocketConnection) -> None:
        try:
            while True:
                self.charts.receive(decode(checked(await connection.get_message())))
        except trio_websocket.ConnectionClosed as closed:
            self.codes.append(closed.reason.code if closed.reason else 0)


@asynccontextmanager
async def world(
    *,
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"),
    intervals: tuple[Interval, ...] = (Interval.MINUTE_1, Interval.MINUTE_5),
    listed: Sequence[str] | None = None,
    quiet: Sequence[str] = (),
    quiet_closes: bool = True,
    seed: int = 3,
    with_spare: bool = False,
    start: int = START,
    prepare: Callable[[World], None] = lambda world: None,
    **settings: Any,
) -> AsyncIterator[World]:
    """A service that is built and not yet running, with its environment."""
    names = symbols if listed is None else listed
    exchange, spare = (
        Exchange(symbols=names, start_ms=start, seed=seed, quiet=quiet, quiet_closes=quiet_closes)
        for _ in range(2)
    )
    assert exchange.now() == spare.now()  # starts the clock of both
    for each in exchange, spare:
        each.faults.stale_rows.on(REST_LAG)
    async with trio.open_nursery() as nursery:
        made = World(
            exchange,
            Settings(symbols=symbols, intervals=intervals, **settings),
            nursery,
            spare if with_spare else None,
        )
        prepare(made)
        yield made
        await made.aclose()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[World]:
    """A world whose service is ready; it is stopped in order afterwards."""
    async with world(**options) as made, trio.open_nursery() as nursery:
        await nursery.start(made.service.run)
        await made.ready()
        yield made
        made.service.stop()
