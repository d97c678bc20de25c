"""The main use from outside: real processes and sockets, and a recorded market if one is given.

    python -m tests.acceptance                    about a minute and a half
    python -m tests.acceptance --speed 10         slower, with a more precise cadence
    python -m tests.acceptance --replay FILE      BTCUSDT from recorded minutes

Starts `smarttrade simulator` and `smarttrade serve`, follows ten symbols at six intervals as each
kind of client does, makes the exchange unreachable twice, compares every answer and message with the
exchange's own REST answers, and stops the service with SIGINT. Prints what it measured, and exits 1
if anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio
import trio_websocket

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.settings import DEFAULT_INTERVALS, DEFAULT_SYMBOLS
from tests.fakes.chart import Chart, Charts, decode, numbers_of
from tests.fakes.ports import free_port
from tests.fakes.schemas import checked

ROOT = Path(__file__).parents[1]

START = 1_733_182_320_000  # ms; 2024-12-02 23:32 UTC: every interval closes meanwhile
WATCH, OUTAGE = 6, 5  # minutes of exchange time, each
ALL = [Series(symbol, interval) for symbol in DEFAULT_SYMBOLS for interval in DEFAULT_INTERVALS]
SINCE = 200  # candles that the client with `since` holds

READY_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 10.0
CATCH_UP_TIMEOUT = (
    30.0  # seconds beyond the exchange's own time, for closed candles to reach every client
)
MESSAGE_QUEUE = 4096
LONGEST_CADENCE = 5.0  # seconds; the exchange's is 2, and a busy machine makes clients skip some
TICKS = os.sysconf("SC_CLK_TCK")


# -- The two processes -------------------------------------------------------------------------


@dataclass
class Program:
    """`python -m smarttrade ...`, with its output in a file."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path

    @classmethod
    def start(cls, folder: Path, *arguments: str, **variables: str) -> Program:
        output = folder / f"{arguments[0]}.log"
        kept = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {"PYTHONPATH": str(ROOT), "NO_PROXY": "*", **variables}
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "smarttrade", *arguments],
                cwd=folder,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C at our terminal is ours
            )
        return cls(arguments[0], process, output)

    def cpu(self) -> float:
        """Seconds of CPU since its start."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_memory(self) -> int:
        """KiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1])
        return 0

    def check_alive(self) -> None:
        if (status := self.process.poll()) is not None:
            raise Failure(f"{self.name} ended with {status}:\n{self.output.read_text()[-3000:]}")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Failure(Exception):
    """The scenario cannot continue."""


@dataclass
class World:
    """The running programs, and clients for them."""

    exchange: httpx.AsyncClient
    service: httpx.AsyncClient
    serve: Program
    speed: float
    findings: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    def check(self, condition: bool, text: str) -> None:
        if not condition:
            self.findings.append(text)

    def report(self, text: str) -> None:
        self.figures.append(text)
        print("  " + text, flush=True)

    async def now(self) -> int:
        """Exchange time in ms."""
        return int((await self.exchange.get("/api/v3/time")).json()["serverTime"])

    async def until(self, moment: int) -> None:
        """Wait until `moment` of exchange time."""
        while (now := await self.now()) < moment:
            await trio.sleep(min(1.0, (moment - now) / 1000 / self.speed))
            self.serve.check_alive()

    async def rows(self, series: Series, first: int) -> list[list[Any]]:
        """All rows of the exchange from `first` (ms) on."""
        rows: list[list[Any]] = []
        while True:
            parameters: dict[str, str | int] = {
                "symbol": series.symbol,
                "interval": series.interval.value,
                "startTime": first,
                "limit": 1000,
            }
            answer = await self.exchange.get("/api/v3/klines", params=parameters)
            page = answer.raise_for_status().json()
            rows += page
            if len(page) < 1000:
                return rows
            first = page[-1][0] + 1

    async def fault(self, fault: str, **arguments: Any) -> None:
        answer = await self.exchange.post("/sim/faults", json={"fault": fault, **arguments})
        answer.raise_for_status()


@asynccontextmanager
async def running(arguments: argparse.Namespace, folder: Path) -> AsyncIterator[World]:
    sim_port, own_port = free_port(), free_port()
    recording: Path | None = arguments.replay
    replay = [] if recording is None else [f"--replay=BTCUSDT={recording}"]
    print(f"market: {'synthetic' if recording is None else recording.name}", flush=True)
    simulator = Program.start(
        folder,
        "simulator",
        *replay,
        f"--symbols={','.join(DEFAULT_SYMBOLS)}",
        f"--port={sim_port}",
        f"--speed={arguments.speed}",
        f"--start={START}",
        "--control-token=acceptance",
    )
    programs = [simulator]
    try:
        async with (
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{sim_port}",
                headers={"Authorization": "Bearer acceptance"},
                trust_env=False,
            ) as exchange,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{own_port}", trust_env=False) as service,
        ):
            await answering(exchange, "/api/v3/ping", simulator)
            programs.append(
                Program.start(
                    folder,
                    "serve",
                    BINANCE_REST_URL=f"http://127.0.0.1:{sim_port}",
                    BINANCE_WS_URL=f"ws://127.0.0.1:{sim_port}",
                    USE_MEMORY_STORE="1",
                    PORT=str(own_port),
                )
            )
            yield World(exchange, service, programs[-1], arguments.speed)
    finally:
        for program in reversed(programs):
            program.end()


async def answering(client: httpx.AsyncClient, path: str, program: Program) -> None:
    """Wait until `path` is answered with 200."""
    with trio.fail_after(READY_TIMEOUT):
        while True:
            program.check_alive()
            try:
                if (await client.get(path)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await trio.sleep(0.02)


# -- REST ----------------------------------------------------------------------------------------


FULL = (999, 1000)
"""Candles of a series: the newest row of the first page is left out while the one before it has ended
less than 15 s ago."""


async def compare_history(world: World) -> int:
    """Compare every candle with the exchange's; the forming one may only be older."""
    compared = 0
    for series in ALL:
        path = f"/candles/{series.symbol}/{series.interval.value}?limit=1000"
        answer = await world.service.get(path)
        if answer.status_code != 200:
            world.check(False, f"{path}: {answer.status_code} {answer.text[:200]}")
            continue
        page = decode(answer.text)
        candles = page["candles"]
        rows = await world.rows(series, int(candles[0]["time"]) * 1000)
        world.check(len(candles) in FULL, f"{series}: {len(candles)} candles")
        world.check(page["gaps"] == [], f"{series}: gaps: {page['gaps']}")
        times = [int(candle["time"]) * 1000 for candle in candles]
        world.check(
            times == [row[0] for row in rows[: len(candles)]], f"{series}: other open times"
        )
        settled = candles if page["closed"] else candles[:-1]
        for candle, row in zip(settled, rows, strict=False):
            theirs = tuple(map(Decimal, row[1:6]))
            world.check(
                numbers_of(candle) == theirs,
                f"{series}: {candle['time']} is {numbers_of(candle)}, not {theirs}",
            )
        if not page["closed"]:
            open_, high, low, _, volume = map(Decimal, rows[len(candles) - 1][1:6])
            last = candles[-1]
            is_earlier = last["open"] == open_ and last["high"] <= high and last["low"] >= low
            world.check(is_earlier and last["volume"] <= volume, f"{series}: forming one is wrong")
        compared += len(candles)
    return compared


async def check_catalogue(world: World) -> None:
    symbols = (await world.service.get("/symbols")).json()
    intervals = (await world.service.get("/intervals")).json()
    status = (await world.service.get("/streaming/status")).json()
    world.check(symbols == {"symbols": list(DEFAULT_SYMBOLS)}, f"/symbols: {symbols}")
    expected = [interval.value for interval in DEFAULT_INTERVALS]
    world.check(intervals == {"intervals": expected}, f"/intervals: {intervals}")
    world.check((await world.service.get("/health")).text == '{"status":"ok"}', "/health")
    world.check(len(status["per_symbol"]) == len(ALL), "/streaming/status: not every series")
    for entry in status["per_symbol"]:
        world.check(entry["count"] in FULL, f"/streaming/status: {entry}")


# -- Clients ---------------------------------------------------------------------------------------


@dataclass
class Client:
    """One front end: its requests, and the charts it builds from the answers."""

    name: str
    path: str
    requests: Callable[[Charts], Sequence[dict[str, Any]]]
    """To send after connecting; again after each reconnect, when the charts are not empty."""
    legacy_interval: Interval | None = None
    charts: Charts = field(default_factory=Charts)
    received_at: dict[Series, list[float]] = field(default_factory=lambda: defaultdict(list))
    close_code: int | None = None
    given_up: Sequence[Series] = ()
    away: bool = False
    connects: int = 0

    def watched(self) -> list[Chart]:
        return [c for s, c in self.charts.by_series.items() if s not in self.given_up]

    async def run(self, base: str, speed: float) -> None:
        """Stay connected until the server closes, except for its own absences."""
        while self.close_code is None:
            async with trio_websocket.open_websocket_url(
                base + self.path, message_queue_size=MESSAGE_QUEUE
            ) as connection:
                self.connects += 1
                for request in self.requests(self.charts):
                    await connection.send_message(msgspec.json.encode(request).decode())
                await self._listen(connection, speed)
            while self.away:
                await trio.sleep(0.05)

    async def _listen(self, connection: trio_websocket.WebSocketConnection, speed: float) -> None:
        try:
            while not self.away:
                with trio.move_on_after(0.2):
                    message = decode(checked(await connection.get_message()))
                    self.charts.receive(message, self.legacy_interval)
                    if message.get("type", "candle") == "candle":
                        interval = self.legacy_interval or Interval(message["interval"])
                        series = Series(message["symbol"], interval)
                        self.received_at[series].append(trio.current_time() * speed)
        except trio_websocket.ConnectionClosed as closed:
            self.close_code = closed.reason.code if closed.reason else 0

    def cadence(self) -> float:
        """Mean seconds of exchange time between two updates of one series."""
        spans = [
            (moments[-1] - moments[0], len(moments) - 1) for moments in self.received_at.values()
        ]
        pauses = sum(count for _, count in spans)
        return sum(span for span, _ in spans) / pauses if pauses else 0.0


def entries(series: Sequence[Series], **extra: Any) -> list[dict[str, Any]]:
    return [{"symbol": one.symbol, "interval": one.interval.value, **extra} for one in series]


def clients(held: dict[Series, int]) -> list[Client]:
    """Every kind of client; `held` is the newest open time (s) that the last one has."""
    once: Callable[[Sequence[dict[str, Any]]], Callable[[Charts], Sequence[dict[str, Any]]]]
    once = lambda requests: lambda charts: requests  # noqa: E731
    minutes = [series for series in ALL if series.interval is Interval.MINUTE_1]

    def since(charts: Charts) -> Sequence[dict[str, Any]]:
        newest = {s: chart.newest for s, chart in charts.by_series.items()} or held
        wanted = [entries([s], since=newest[s])[0] for s in minutes]
        return [{"action": "subscribe", "id": "back", "subscriptions": wanted}]

    mixed = [
        {"symbol": "btcusdt", "interval": "1m"},
        {"symbol": "ETHUSDT", "interval": "1D"},
        {"symbol": "SolUsdt", "interval": "4H"},
    ]
    everything = {"action": "subscribe", "id": 7, "subscriptions": entries(ALL, snapshot=1000)}
    most: list[dict[str, Any]] = [
        {"subscriptions": entries(minutes)},
        {"action": "unsubscribe", "id": 9, "subscriptions": entries(minutes[1:])},
        {"action": "list", "id": 10},
        {"action": "ping", "id": 11},
    ]
    return [
        Client("one series", "/ws/candles", once([{"symbol": "BTCUSDT", "interval": "1m"}])),
        Client("a list", "/ws/candles", once([{"subscriptions": mixed}])),
        Client("all, snapshot 1000", "/ws/candles", once([everything])),
        Client("ten, since", "/ws/candles", since),
        Client("ten, nine given up", "/ws/candles", once(most), given_up=minutes[1:]),
        Client("legacy", "/ws/candles/BTCUSDT", once([]), legacy_interval=Interval.MINUTE_1),
        Client(
            "legacy 5m",
            "/ws/candles/ethusdt?interval=5m",
            once([]),
            legacy_interval=Interval.MINUTE_5,
        ),
    ]


EXPECTED = [1, 3, len(ALL), 10, 1, 1, 1]  # series of each, in that order


async def stalled_client(port: int) -> None:
    """Subscribe to everything and read nothing; no other client may be affected."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream, trio.open_nursery() as nursery:
        connection = await trio_websocket.wrap_client_stream(
            nursery, stream, "127.0.0.1", "/ws/candles", message_queue_size=1
        )
        request = {"subscriptions": entries(ALL, snapshot=1000)}
        await connection.send_message(msgspec.json.encode(request).decode())
        await trio.sleep_forever()


async def held_before(world: World, count: int) -> dict[Series, int]:
    """The open time of the candle `count` before the newest, for every minute series."""
    held = {}
    for series in ALL:
        if series.interval is Interval.MINUTE_1:
            answer = await world.service.get(f"/candles/{series.symbol}/1m?limit={count}")
            held[series] = answer.json()["candles"][0]["time"]
    return held


async def all_clients_have(world: World, watchers: Sequence[Client], moment: int) -> None:
    """Wait until every client has everything that closed up to `moment` (ms)."""
    began = time.monotonic()
    while time.monotonic() < began + CATCH_UP_TIMEOUT:
        behind = [
            f"{client.name}: {chart.series} ends at {chart.newest_closed}"
            for client in watchers
            for chart in client.watched()
            if not _is_up_to(chart.series.interval, chart.newest_closed, chart.candles, moment)
        ]
        if not behind:
            return
        await trio.sleep(0.05)
    world.findings += [f"not caught up {CATCH_UP_TIMEOUT} s later: {one}" for one in behind]


def _is_up_to(interval: Interval, newest_closed: int, candles: dict[int, Any], moment: int) -> bool:
    """Whether the candle that ended last is closed, unless the client came after it ended."""
    last = interval.back(interval.floor(moment), 1)
    return newest_closed * 1000 >= last or last < min(candles, default=0) * 1000


async def compare_charts(world: World, watchers: Sequence[Client]) -> int:
    compared = 0
    for client, expected in zip(watchers, EXPECTED, strict=True):
        charts = client.watched()
        live = [chart for chart in charts if client.received_at[chart.series]]
        world.check(len(live) == expected, f"{client.name}: {len(live)} series received")
        for chart in charts:
            count, faults = chart.compare(await world.rows(chart.series, min(chart.candles) * 1000))
            compared += count
            world.findings += [f"{client.name}: {fault}" for fault in faults]
            world.check(not chart.truncated, f"{client.name}: {chart.series} truncated")
        errors = [m for m in client.charts.others if m.get("errors") or m["type"] == "error"]
        world.check(not errors, f"{client.name}: {errors[:3]}")
    return compared


def check_given_up(world: World, client: Client) -> None:
    """Check that unsubscribed series stay silent, and the answers to other requests."""
    received = {series for series, moments in client.received_at.items() if len(moments) > 3}
    world.check(received == {ALL[0]}, f"{client.name}: still received {received}")
    answers = [(m["type"], m.get("id")) for m in client.charts.others if "id" in m]
    expected = [("subscribed", None), ("subscribed", 9), ("subscribed", 10), ("pong", 11)]
    world.check(answers == expected, f"{client.name}: answers: {answers}")


# -- The scenario ----------------------------------------------------------------------------------


async def measure(world: World, watchers: Sequence[Client], seconds: float) -> None:
    """CPU of the service for each update from the exchange and for each message to a client."""

    async def counts() -> tuple[float, int, int]:
        events = (await world.exchange.get("/sim/stats")).json()["events"]
        return world.serve.cpu(), events, sum(client.charts.updates for client in watchers)

    before = await counts()
    await trio.sleep(seconds)
    after = await counts()
    cpu, events, sent = (b - a for a, b in zip(before, after, strict=True))
    world.report(
        f"CPU: {cpu:.2f} s in {seconds:.0f} s for {events:.0f} updates from the exchange and"
        f" {sent:.0f} messages to {len(watchers)} clients that read and one that does not:"
        f" {1e6 * cpu / max(1, events):.0f} us an update"
    )


def silenced(fault: str, seconds: float) -> dict[str, Any]:
    return {"fault": fault, "for": seconds}


async def outages(world: World, watchers: Sequence[Client]) -> None:
    """Two outages, of streams and of everything, with a client that is away meanwhile."""
    seconds = OUTAGE * 60 / world.speed
    back = watchers[3]
    for title, silence, cut in (
        ("no stream", silenced("handshake_status", seconds), {"how": "rst"}),
        ("no exchange", silenced("refuse", seconds), {"how": "fin", "which": "all"}),
    ):
        began = await world.now()
        back.away = True
        await world.fault(**silence)
        with suppress(httpx.TransportError):  # our own connection is cut too
            await world.fault("cut", **cut)
        await trio.sleep(seconds)
        back.away = False
        ended = await world.now()
        down = time.monotonic()
        await answering(world.service, "/ready", world.serve)
        late = time.monotonic() - down
        await all_clients_have(world, watchers, ended)
        caught_up = time.monotonic() - down
        world.report(
            f"{title} from {clock(began)} to {clock(ended)}: ready {late:.1f} s after,"
            f" every client complete {caught_up:.1f} s after"
        )
        await world.until(ended + WATCH * 60_000)


def clock(moment: int) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(moment / 1000))


async def stop_in_order(world: World, watchers: Sequence[Client]) -> None:
    began = time.monotonic()
    world.serve.process.send_signal(signal.SIGINT)
    with trio.move_on_after(STOP_TIMEOUT + 5):
        while world.serve.process.poll() is None:
            await trio.sleep(0.01)
    status, seconds = world.serve.process.poll(), time.monotonic() - began
    await trio.sleep(0.5)
    codes = {client.name: client.close_code for client in watchers}
    world.report(f"stopped by SIGINT in {seconds:.1f} s with status {status}")
    world.check(status == 0 and seconds < STOP_TIMEOUT, f"stop: status {status}, {seconds:.1f} s")
    world.check(set(codes.values()) == {1001}, f"close codes: {codes}")


async def scenario(arguments: argparse.Namespace, folder: Path) -> World:
    began = time.monotonic()
    async with running(arguments, folder) as world, trio.open_nursery() as nursery:
        await answering(world.service, "/ready", world.serve)
        world.report(f"ready {time.monotonic() - began:.1f} s after both programs were started")
        await check_catalogue(world)
        world.report(f"{await compare_history(world)} candles over REST equal the exchange's")
        watchers = clients(await held_before(world, SINCE))
        base = str(world.service.base_url).rstrip("/").replace("http", "ws")
        for client in watchers:
            nursery.start_soon(client.run, base, world.speed)
        nursery.start_soon(stalled_client, world.service.base_url.port or 80)
        await trio.sleep(1)
        await measure(world, watchers, WATCH * 60 / world.speed)
        for client in watchers:
            cadence = client.cadence()
            world.report(
                f"{client.name}: an update of a series every {cadence:.1f} s (exchange time)"
            )
            world.check(1.0 <= cadence <= LONGEST_CADENCE, f"{client.name}: cadence {cadence:.1f}")
        await outages(world, watchers)
        now = await world.now()
        await all_clients_have(world, watchers, now)
        world.report(
            f"{await compare_charts(world, watchers)} candles of clients equal the exchange's"
        )
        closes = sum(len(c.closes) for w in watchers for c in w.charts.by_series.values())
        corrections = sum(c.corrections for w in watchers for c in w.charts.by_series.values())
        world.report(f"{closes} closes received, each once and in order; {corrections} corrections")
        world.report(f"{await compare_history(world)} candles over REST equal the exchange's again")
        check_given_up(world, watchers[4])
        world.check(watchers[3].connects == 3, f"reconnects of one: {watchers[3].connects}")
        world.report(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
        world.report(f"peak memory of the service: {world.serve.peak_memory() / 1024:.0f} MiB")
        lines = world.serve.output.read_text().splitlines()
        failed = [
            line for line in lines if re.search(r'"level": "(error|critical)"|Traceback', line)
        ]
        world.check(not failed, f"the service logged: {failed[:3]}")
        await stop_in_order(world, watchers)
        nursery.cancel_scope.cancel()
    return world


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--speed", type=float, default=30.0, help="of the exchange (%(default)g)")
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="recorded minutes of BTCUSDT, as for --replay"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the programs' logs here")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        world = trio.run(partial(scenario, arguments, folder))
    for finding in world.findings[:50]:
        print(f"WRONG: {finding}")
    print(f"{len(world.findings)} findings" if world.findings else "as it should be")
    return 1 if world.findings else 0


if __name__ == "__main__":
    sys.exit(main())
