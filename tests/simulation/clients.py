"""Clients: the steady ones, whose views are compared in the end, and the crowd that comes and goes.

Each checks all that it receives (view.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from math import inf
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE

from .deterministic import virtual_time
from .network import KEEPALIVE_TIMEOUT, End
from .socket import BINARY, GONE, TEXT, Closed, Refused, WebSocket, get
from .truth import Values
from .view import Bar, SessionView, View
from .violation import Violation

if TYPE_CHECKING:
    from .process import Process
    from .world import World

RECONNECT_PAUSE = (0.2, 2.0)  # seconds
REQUEST_TIMEOUT = 20.0  # seconds for a handshake or an answer

ANSWER_TIMEOUT = 1.5
"""Seconds. Nothing in the service takes any virtual time, so longer is a wait for nothing."""

INTERNAL_ERROR = 1011
CLOSE_CODES = {0, 1000, 1001, 1008, 1009, 1013}
"""What the contract has, and an end without a word: the process was killed."""


class Client:
    """Follows some series for as long as it runs."""

    def __init__(self, world: World, name: str, wanted: Sequence[Series], rng: Random) -> None:
        self.world = world
        self.name = name
        self.wanted = list(wanted)
        self.rng = rng
        self.view = View(world.truth, name, may_shrink=world.has_late_events)
        self.connects = 0
        self.messages = 0
        self.connected_at = inf
        self.end: End | None = None
        self.session: SessionView | None = None
        self.process: Process | None = None
        """The one that it is, or was last, connected to."""

    @property
    def feed(self) -> str:
        """The last state of the feed that it received."""
        return "" if self.session is None else self.session.feed

    async def stay(self) -> None:
        """Come back with `since` whenever the connection is lost."""
        while True:
            await self.visit(self.listen)
            await trio.sleep(self.rng.uniform(*RECONNECT_PAUSE))

    async def stay_with_pauses(self) -> None:
        """The same, but it stops reading for a few seconds all the time, and has little room."""

        async def behave(websocket: WebSocket, session: SessionView) -> None:
            await websocket.send(session.subscribe(self.wanted, 1))
            while not session.is_refused:
                await self.take(websocket, session)
                if self.rng.random() < 0.3 and not self.world.is_calm:
                    await trio.sleep(self.rng.uniform(3, 9))

        while True:
            self.world.next_capacity = 400
            await self.visit(behave)
            await trio.sleep(self.rng.uniform(*RECONNECT_PAUSE))

    async def visit(self, behave: Callable[[WebSocket, SessionView], Any]) -> None:
        """One connection, from the handshake to its end."""
        try:
            async with self.connection() as (websocket, session):
                await behave(websocket, session)
        except Refused as refused:
            if refused.status not in (404, 503):
                text = f"{self.name}: a handshake was answered with {refused.status}"
                raise Violation("contract", text) from refused
        except Closed as closed:
            self.world.trace.note(self.name, f"closed with {closed.code}")
            self.world.codes[closed.code] += 1
            if closed.code not in CLOSE_CODES and not self._has_seen_a_crash(closed.code):
                raise Violation("contract", f"{self.name}: closed with {closed.code}") from closed
        except GONE as gone:
            self.world.trace.note(self.name, f"lost: {type(gone).__name__}")

    def _has_seen_a_crash(self, code: int) -> bool:
        """1011 is the close code of a session that was made to crash."""
        process = self.process
        recent = process is not None and trio.current_time() < process.crashed_at + 5
        return code == INTERNAL_ERROR and recent

    @asynccontextmanager
    async def connection(
        self, path: str = "/ws/candles", capacity: int | None = None
    ) -> AsyncIterator[tuple[WebSocket, SessionView]]:
        self.end, self.process = end, _ = self.world.open_to(self.rng, None, capacity)
        try:
            websocket = WebSocket(end)
            session = self.session = SessionView(self.view)
            with trio.move_on_after(REQUEST_TIMEOUT) as waiting:
                await websocket.open(path)
            if waiting.cancelled_caught:
                raise Closed(0)
            self.connects += 1
            self.connected_at = trio.current_time()
            yield websocket, session
        finally:
            self.end = self.session = None
            self.connected_at = inf
            await trio.aclose_forcefully(end)

    async def listen(self, websocket: WebSocket, session: SessionView) -> None:
        """Until a subscription is refused: a series that is not there now may return."""
        await websocket.send(session.subscribe(self.wanted, self.rng.choice((1, 100, WINDOW_SIZE))))
        while not session.is_refused:
            await self.take(websocket, session)

    async def take(self, websocket: WebSocket, session: SessionView) -> None:
        take = session.take
        for message in await websocket.receive():
            self.messages += 1
            self.world.trace.data(self.name, message)
            take(message)


# The crowd. Each is there for a while, on its own series, and then gone.


async def visit(client: Client) -> None:
    await client.stay()


async def churn(client: Client) -> None:
    """Subscribes and unsubscribes all the time."""

    async def behave(websocket: WebSocket, session: SessionView) -> None:
        async def ask() -> None:
            while True:
                series = client.rng.choice(client.wanted)
                if series in session.subscribed and client.rng.random() < 0.6:
                    await websocket.send(session.unsubscribe(series))
                else:
                    await websocket.send(session.subscribe([series], client.rng.choice((3, 300))))
                await trio.sleep(client.rng.uniform(0.2, 8))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            while True:
                await client.take(websocket, session)

    while True:
        try:
            await client.visit(behave)
        except* (Closed, *GONE):
            pass
        await trio.sleep(client.rng.uniform(*RECONNECT_PAUSE))


async def flood(client: Client) -> None:
    """Asks for too much, and for nonsense."""
    nonsense = ('{"action": "subscribe"', "[]", '{"action": 7}', '{"action":"list"}', "{}")

    async def behave(websocket: WebSocket, session: SessionView) -> None:
        async def ask() -> None:
            for _ in range(client.rng.randint(10, 400)):
                kind = TEXT if client.rng.random() < 0.9 else BINARY
                await websocket.send(client.rng.choice(nonsense), kind)
                if client.rng.random() < 0.1:
                    await trio.sleep(client.rng.uniform(0, 1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            while True:
                await client.take(websocket, session)

    while True:
        try:
            await client.visit(behave)
        except* (Closed, *GONE):
            pass
        await trio.sleep(client.rng.uniform(1, 10))


async def stall(client: Client) -> None:
    """Does not read for a while, or never again; its buffers are small."""

    async def behave(websocket: WebSocket, session: SessionView) -> None:
        await websocket.send(session.subscribe(client.wanted, client.rng.choice((1, 100, 1000))))
        while True:
            for _ in range(client.rng.randint(1, 20)):
                await client.take(websocket, session)
            await trio.sleep(client.rng.choice((5, 20, 90, 600)))

    while True:
        client.world.next_capacity = client.rng.choice((700, 2000, 8000))
        await client.visit(behave)
        await trio.sleep(client.rng.uniform(*RECONNECT_PAUSE))


async def never_read(client: Client) -> None:
    """Subscribes, and never reads."""

    async def behave(websocket: WebSocket, session: SessionView) -> None:
        await websocket.send(session.subscribe(client.wanted, 1000))
        await trio.sleep_forever()

    client.world.next_capacity = 2000
    await client.visit(behave)


async def trickle(client: Client) -> None:
    """Reads slowly, all the time."""

    async def behave(websocket: WebSocket, session: SessionView) -> None:
        await websocket.send(session.subscribe(client.wanted, client.rng.choice((1, 10))))
        while True:
            await client.take(websocket, session)
            await trio.sleep(client.rng.uniform(1, 8))

    while True:
        client.world.next_capacity = client.rng.choice((300, 1000))
        await client.visit(behave)
        await trio.sleep(client.rng.uniform(*RECONNECT_PAUSE))


async def vanish(client: Client) -> None:
    """Its network disappears without a FIN; it comes back on another one."""

    async def behave(websocket: WebSocket, session: SessionView) -> None:
        end = client.end
        assert end is not None
        with trio.move_on_after(client.rng.uniform(1, 40)):
            await client.listen(websocket, session)
        end.cut()
        client.world.later(KEEPALIVE_TIMEOUT, end._peer.break_)

    while True:
        await client.visit(behave)
        await trio.sleep(client.rng.uniform(*RECONNECT_PAUSE))


async def legacy(client: Client) -> None:
    """A front end that uses the legacy single-symbol endpoint."""
    series = client.rng.choice(client.wanted)
    path = f"/ws/candles/{series.symbol}?interval={series.interval.value}"
    while True:
        try:
            async with client.connection(path) as (websocket, session):
                while True:
                    for message in await websocket.receive():
                        client.world.trace.data(client.name, message)
                        session.take_legacy(message, series.interval)
        except (Refused, Closed, *GONE):
            await trio.sleep(client.rng.uniform(*RECONNECT_PAUSE))


async def herd(client: Client) -> None:
    """Many at once, as when a network comes back."""
    many = [
        Client(client.world, f"{client.name}.{n}", client.wanted, Random(client.rng.random()))
        for n in range(client.rng.randint(5, 25))
    ]
    async with trio.open_nursery() as nursery:
        for one in many:
            nursery.start_soon(one.stay)


async def poll(client: Client) -> None:
    """Reads pages over REST, and compares them with the exchange."""
    while True:
        series = client.rng.choice(client.wanted)
        await read_page(client.world, series, client.rng)
        await trio.sleep(client.rng.uniform(1, 20))


CROWD = {
    "visit": visit,
    "churn": churn,
    "flood": flood,
    "stall": stall,
    "trickle": trickle,
    "vanish": vanish,
    "legacy": legacy,
    "herd": herd,
    "poll": poll,
}


# REST


class Gap(msgspec.Struct):
    from_: int = msgspec.field(name="from")
    to: int = 0
    cause: str = ""


class Page(msgspec.Struct):
    symbol: str
    interval: Interval
    candles: list[Bar]
    closed: bool
    has_more: bool
    gaps: list[Gap]


decode_page = msgspec.json.Decoder(Page).decode


async def ask(
    world: World, rng: Random, path: str, only: Process | None = None
) -> tuple[int, bytes]:
    """Status and body; 0 when there was no answer. Of one process, or of any that serves."""
    try:
        end, process = world.open_to(rng, only, None)
    except GONE:
        return 0, b""
    began, current = trio.current_time(), process.current
    try:
        with trio.move_on_after(REQUEST_TIMEOUT) as waiting:
            status, _, body = await get(end, path)
            return status, body
    except (Closed, *GONE):
        pass
    finally:
        await trio.aclose_forcefully(end)
        took = trio.current_time() - began
        if took > ANSWER_TIMEOUT + 4 * world.plan.shape.latency and process.must_answer(current):
            text = f"{process.name}: {path} took {took:.1f} s"
            raise Violation("answers-in-time", text + " without an end" * waiting.cancelled_caught)
    return 0, b""


async def read_page(world: World, series: Series, rng: Random) -> None:
    """One page; what is wrong with it is a `Violation`."""
    limit = rng.choice((1, 5, 50, 50, 500))
    before = ""
    if rng.random() < 0.3:
        ago = rng.randint(0, 200) * series.interval.typical_length // 1000
        before = f"&before={world.exchange.now() // 1000 - ago}"
    path = f"/candles/{series.symbol}/{series.interval.value}?limit={limit}{before}"
    status, body = await ask(world, rng, path)
    world.trace.note("rest", f"{path} -> {status}, {len(body)} bytes")
    if status == 200:
        check_page(world, series, decode_page(body), limit)
    elif status not in (0, 503, 404):
        raise Violation("contract", f"{path}: {status} {body[:200]!r}")


def check_page(world: World, series: Series, page: Page, limit: int) -> dict[int, Values]:
    times = [bar.time for bar in page.candles]
    if times != sorted(set(times)) or len(times) > min(limit, WINDOW_SIZE):
        raise Violation("ascending-and-capped", f"REST: {series}: {len(times)} candles")
    if not times:
        return {}
    received = {bar.time: bar.values for bar in page.candles}
    truth = world.truth.rows(series, times[0], times[-1])
    gaps = [(gap.from_, gap.to, gap.cause) for gap in page.gaps]
    for time in sorted(truth.keys() - received.keys()):
        causes = [cause for first, last, cause in gaps if first <= time <= last]
        if causes != ["unfilled"]:
            text = f"REST: {series} {time} is missing; reported as a gap: {causes}"
            raise Violation("rest-is-the-truth-or-a-gap", text)
    now = virtual_time()
    for time in sorted(received.keys() - truth.keys()):
        if world.truth.is_rolled_back(series, time):
            continue
        raise Violation("rest-is-the-truth-or-a-gap", f"REST: {series} {time} never was, {now}")
    final = received if page.closed else dict(list(received.items())[:-1])
    for time, values in final.items():
        following = series.interval.next(time * 1000) // 1000
        # Published over while it was forming, long ago, and reported as a gap.
        is_gap = any(first <= following for first, _, _ in gaps)
        if not is_gap or world.truth.has_just_ended(series, time):
            world.truth.check_closed(series, time, values, "REST")
    return received
