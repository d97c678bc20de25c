"""A world: the exchange, Redis, processes of the service, clients, and what watches them all."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import trio

from smarttrade.market.series import Series
from smarttrade.role import Role
from smarttrade.settings import Settings
from smarttrade.simulator import Exchange

from .clients import CROWD, Client, ask, check_page, decode_page
from .deterministic import START
from .faults import perform
from .memory import remember_history
from .network import End
from .plan import Action, Plan
from .process import CURRENT_RUN, Process, is_injected, leaves
from .redis import FaultyRedis
from .shapes import Shape
from .stored import compare_stored
from .trace import LogReceiver, Trace
from .truth import Truth
from .violation import Violation
from .watch import Requests, watch

if TYPE_CHECKING:
    from .wire.site import Site

READY_TIMEOUT = 150.0
"""Seconds of calm after which every process must be ready, beyond what hosts are left alone for.
The longest other pause is 60 s, between two questions for an overdue candle."""
PAUSES = {403: 1980.0, 418: 300.0, 503: 400.0}
"""Seconds for which a host may be left alone after a status: feed/hosts.py."""
STATUSES = {"firewall": 403, "overload": 503, "streams_silent": 503}
LOOKED_FOR_AGAIN = 320.0
"""Seconds after which a symbol that was not listed is looked for again: feed/listing.py."""
SETTLE = 130.0
"""Seconds of calm after that, and after one round of the audit, until all must be equal: the audit
leaves out the last two candles, and looks twice."""
STARTS_TIMEOUT = 60.0


@dataclass
class Figures:
    """What a run did."""

    simulated: float = 0.0
    """Seconds."""
    faults: Counter[str] = field(default_factory=Counter)
    clients: int = 0
    messages: int = 0
    starts: int = 0
    restarts: int = 0
    events: int = 0
    ready_after: float = 0.0
    """Seconds of calm until everything was ready."""
    stopped_after: float = 0.0


def _site_of(shape: Shape, note: Callable[[str], None]) -> Site | None:
    if not shape.wire:
        return None
    from .wire.site import Site  # needs packages that other worlds do not

    return Site(shape.groups, note)


class World(LogReceiver):
    """Build it inside `trio.run`; `live` runs it from start to stop."""

    def __init__(self, plan: Plan, trace: Trace) -> None:
        shape = plan.shape
        self.plan = plan
        self.trace = trace
        self.rng = Random(f"world {plan.seed}")
        self.exchange = Exchange(
            shape.symbols,
            start_ms=int(START * 1000),
            seed=plan.seed,
            quiet=shape.symbols[-1:] if shape.quiet else (),
        )
        self.foreign_exchange = Exchange(
            shape.symbols, start_ms=int(START * 1000), seed=plan.seed + 1_000_000
        )
        for exchange in (self.exchange, self.foreign_exchange):
            remember_history(exchange)
            exchange.now()  # their time starts together
        has_links = shape.has_redis and not shape.wire
        self.servers = [FaultyRedis(self.later) for _ in range(shape.shards * has_links)]
        """Of Redis: one for each shard."""
        self.site = _site_of(shape, partial(self.trace.note, "redis"))
        """Of Redis, where redis-py is part of the world."""
        self.truth = Truth(self.exchange)
        self.requests = Requests()
        self.figures = Figures()
        self.codes: Counter[int] = Counter()
        kinds = {one.kind for one in plan.actions}
        # One that comes after the next push is as late as pushes are apart.
        self.has_late_events = bool({"late", "peer_late"} & kinds) or (
            "disorder" in kinds and shape.push_every > 4
        )
        self.next_capacity: int | None = None
        self.is_calm = False
        self.processes: list[Process] = []
        self.clients: list[Client] = []
        self.steady: list[Client] = []
        self.settings = Settings(
            symbols=shape.symbols,
            intervals=shape.intervals,
            shards=shape.shards,
            **shape.settings,
        )
        self.series = [Series(s, i) for s in shape.symbols for i in shape.intervals]
        self.broken: set[str] = set()
        """Processes and symbols that cannot work any more, by name."""
        self.unready: set[str] = set()
        """Processes that go on, but are not ready, because some of their symbols cannot work."""
        self._crowd = trio.CancelScope()
        self._nursery: trio.Nursery

    # Running

    async def live(self) -> None:
        """From the first start to the last stop.

        Raises:
            Violation: of an invariant; in a group, perhaps.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await trio.sleep(self.plan.first_start)
                self._start_processes()
                nursery.start_soon(self._collect_garbage)
                await self._begin()
                nursery.start_soon(watch, self)
                await self._perform_actions()
                await self._calm_down()
                await self._stop()
                nursery.cancel_scope.cancel()
        finally:
            self._count()

    def _count(self) -> None:
        figures = self.figures
        figures.simulated = trio.current_time()
        figures.messages += sum(client.messages for client in self.clients)
        figures.starts = sum(process.starts for process in self.processes)
        figures.events = self.exchange.stats.events

    def _start_processes(self) -> None:
        shape = self.plan.shape
        for number, role in enumerate(shape.processes):
            is_foreign = number in shape.foreign
            symbols = shape.symbols_of[number] if shape.symbols_of else shape.symbols
            shard = shape.shard_of[number] if shape.shard_of else None
            process = Process(
                number,
                role,
                self.settings.model_copy(update={"symbols": symbols, "shard": shard}),
                self.foreign_exchange if is_foreign else self.exchange,
                self.servers,
                self.trace,
                self._nursery.start_soon,
                Random(f"process {self.plan.seed} {number}"),
                self.truth,
                is_foreign=is_foreign,
                site=self.site,
                starts_after=shape.starts_after[number] if shape.starts_after else 0.0,
            )
            self.processes.append(process)
            if not is_foreign:
                self._nursery.start_soon(process.run)

    async def _begin(self) -> None:
        await trio.sleep(max(self.plan.shape.starts_after, default=0.0))
        for process in self.processes:
            if not process.is_foreign:
                await self._until_ready(process, STARTS_TIMEOUT)
        for process in self.processes:
            if process.is_foreign:  # the namespace is the exchange's that was there first
                self._nursery.start_soon(process.run)
        shape = self.plan.shape
        for number in range(shape.steady):
            rng = Random(f"client {self.plan.seed} {number}")
            wanted = rng.sample(self.series, min(shape.series_each, len(self.series)))
            client = self.new_client(f"steady-{number}", wanted, rng)
            self.steady.append(client)
            has_pauses = 1 < shape.steady == number + 1
            self._nursery.start_soon(client.stay_with_pauses if has_pauses else client.stay)

    async def _perform_actions(self) -> None:
        began = trio.current_time()
        with self._crowd:
            async with trio.open_nursery() as nursery:
                for action in self.plan.actions:
                    await trio.sleep_until(began + action.at)
                    nursery.start_soon(self._perform, action)
                await trio.sleep_until(began + self.plan.seconds)
                nursery.cancel_scope.cancel()

    async def _perform(self, action: Action) -> None:
        self.trace.note("FAULT" if action.kind != "client" else "arrives", str(action))
        rng = Random(action.seed)
        if action.kind != "client":
            self.figures.faults[action.kind] += 1
            await perform(self, action, rng)
            return
        does = action.arguments["does"]
        wanted = rng.sample(self.series, rng.randint(1, len(self.series)))
        client = self.new_client(f"{does}-{self.figures.clients}", wanted, rng)
        try:
            with trio.move_on_after(action.seconds):
                await CROWD[does](client)
        finally:
            self.figures.messages += client.messages
            self.clients.remove(client)

    def new_client(self, name: str, wanted: list[Series], rng: Random) -> Client:
        client = Client(self, name, wanted, rng)
        self.figures.clients += 1
        self.clients.append(client)
        return client

    def heal(self) -> None:
        """Whatever is wrong from outside is not any more."""
        self.exchange.faults.clear()
        for server in self.servers:
            server.heal()
        if self.site is not None:
            self.site.heal()
        for process in self.processes:
            process.rejoin()

    async def _calm_down(self) -> None:
        self.trace.note("world", "calm")
        if not self.plan.is_liveness:
            self.heal()
        self._stop_the_incomplete()
        self.is_calm = True
        began, ready_timeout = trio.current_time(), READY_TIMEOUT + self._longest_pause()
        alive = [process for process in self.processes if self.must_work(process)]
        for process in alive:
            if process.name not in self.unready:
                await self._until_ready(process, ready_timeout - (trio.current_time() - began))
        self.figures.ready_after = trio.current_time() - began
        await trio.sleep(SETTLE + self.settings.audit_round)
        await trio.sleep(self.until_turn() + 12)
        for process in alive:
            if process.name not in self.unready:
                await self._until_ready(process, 30)
            await self._compare_pages(process)
        self._compare_views()
        compare_stored(self)

    def _compare_views(self) -> None:
        for client in self.clients:
            name = "" if client.process is None else client.process.name
            is_broken = any(series.symbol in self.broken for series in client.wanted)
            must_know = name in self.broken or (name in self.unready and is_broken)
            if must_know and client.feed != "stale":
                text = f"{client.name} does not know that {name} is stale"
                raise Violation("equal-once-calm", text)
            if name in self.broken:
                continue
            for series in client.wanted:
                if series.symbol in self.broken:
                    continue
                if faults := client.view.faults(series):
                    raise Violation("equal-once-calm", "; ".join(faults[:4]))

    def _longest_pause(self) -> float:
        """Seconds for which hosts or symbols may still be left alone when all faults are over."""
        statuses = [
            action.arguments.get("value")
            for action in self.plan.actions
            if action.kind in ("rest_status", "handshake_status")
        ]
        statuses += [STATUSES.get(action.kind) for action in self.plan.actions]
        pauses = [PAUSES.get(status or 0, 0.0) for status in statuses]
        if any(action.kind == "unknown" for action in self.plan.actions):
            pauses.append(LOOKED_FOR_AGAIN)
        return max(pauses, default=0.0)

    def _stop_the_incomplete(self) -> None:
        """Stop processes with fewer symbols than others for good: what they publish is incomplete."""
        for process in self.processes:
            if process.role.has_feed and len(process.settings.symbols) < len(
                self.plan.shape.symbols
            ):
                process.stays_away = True
                if process.current is not None:
                    process.current.kill()

    def writers_of(self, shard: int) -> list[Process]:
        """Processes that may lead it."""
        return [p for p in self.processes if shard in p.feeds and not p.is_foreign]

    def until_turn(self) -> float:
        """Seconds until the exchange's next minute begins."""
        return 60 - self.exchange.now() / 1000 % 60

    def process_of(self, action: Action) -> Process:
        number: int = action.arguments["process"]
        return self.processes[number % len(self.processes)]

    def must_work(self, process: Process) -> bool:
        is_ours = not process.stays_away and not process.is_foreign
        return is_ours and process.name not in self.broken

    async def _until_ready(self, process: Process, within: float) -> None:
        rng = Random(1)
        status, body = 0, b""
        with trio.move_on_after(max(1.0, within)):
            while True:
                status, body = await ask(self, rng, "/ready", process)
                if status == 200:
                    return
                await trio.sleep(0.5)
        raise Violation("ready-again", f"{process.name}: {status} {body[:300].decode()}")

    async def _compare_pages(self, process: Process) -> None:
        if process.role is Role.INGEST:
            return
        for series in self.series:
            if series.symbol in self.broken:
                continue
            path = f"/candles/{series.symbol}/{series.interval.value}?limit=1000"
            status, body = await ask(self, self.rng, path, process)
            if status != 200:
                raise Violation("equal-once-calm", f"{process.name}: {path}: {status}")
            page = decode_page(body)
            received = check_page(self, series, page, 1000)
            missing = [gap for gap in page.gaps if gap.cause == "unfilled"]
            newest = self.truth.newest_closed(series)
            rows = self.truth.rows(series, min(received), newest)
            differ = [t for t in sorted(rows) if received.get(t) != rows[t]]
            if missing or differ or len(received) < 1000:
                text = f"{process.name}: {series}: {len(received)} candles, gaps {missing}"
                differences = [(t, received.get(t), rows[t]) for t in differ[:3]]
                raise Violation("equal-once-calm", f"{text}, {differences}")

    async def _stop(self) -> None:
        self.trace.note("world", "stops")
        began = trio.current_time()
        within = self.settings.stop_timeout + 2.5
        async with trio.open_nursery() as nursery:
            for process in self.processes:
                nursery.start_soon(process.finish, within)
        self.figures.stopped_after = trio.current_time() - began
        await trio.sleep(10)
        self._check_nothing_left()

    def _check_nothing_left(self) -> None:
        for process in self.processes:
            if process.current is not None and (left := process.current.tasks()):
                text = f"{process.name}: {[task.name for task in left[:5]]}"
                raise Violation("nothing-left", text)
        half_open = [t for t in self.exchange.connections.transports.values() if t.half_open]
        if len(self.exchange.connections.streams) > len(half_open):
            raise Violation("nothing-left", f"streams: {sorted(self.exchange.connections.streams)}")

    async def _collect_garbage(self) -> None:
        while True:
            await trio.sleep(300)
            gc.collect()

    # For clients

    def open_to(
        self, rng: Random, only: Process | None, capacity: int | None
    ) -> tuple[End, Process]:
        """A connection to a process, or to any that serves clients; and to which one.

        Raises:
            ConnectionRefusedError: it, or none of them, accepts any.
        """
        capacity, self.next_capacity = capacity or self.next_capacity or 1 << 18, None
        as_socket = rng.random() < self.plan.shape.sockets
        latency = self.plan.shape.latency
        serving = [p for p in self.processes if p.role is not Role.INGEST and not p.is_foreign]
        for process in rng.sample(serving, len(serving)) if only is None else [only]:
            if process.current is None:
                continue
            try:
                return process.current.arrive(latency, capacity, as_socket=as_socket), process
            except ConnectionRefusedError:
                continue
        raise ConnectionRefusedError("no process serves")

    def later(self, seconds: float, what: Callable[[], Any]) -> None:
        async def wait() -> None:
            await trio.sleep(seconds)
            if (rest := what()) is not None:
                await rest

        self._nursery.start_soon(wait)

    # What the service says

    def __call__(self, who: str, what: str, error: BaseException | None) -> None:
        current = CURRENT_RUN.get()
        self.trace.note(who if current is None else current.process.name, what)
        if error is not None and not (current is not None and current.is_dead):
            self.judge(error, what)

    def judge(self, error: BaseException, what: str) -> None:
        """No actor and no connection fails by itself."""
        strange = [leaf for leaf in leaves(error) if not is_injected(leaf)]
        if strange and isinstance(strange[0], Violation):
            self.unexpected(strange[0], error)
        elif strange and not isinstance(strange[0], trio.Cancelled):
            self.unexpected(Violation("no-failure-of-our-own", f"{what}: {strange[0]!r}"), error)

    def unexpected(self, violation: Violation, error: BaseException) -> None:
        if violation is not error:
            violation.__cause__ = error

        async def fail() -> None:
            raise violation

        self._nursery.start_soon(fail)
