"""How each kind of action of a plan is performed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from math import inf
from random import Random
from typing import TYPE_CHECKING

import trio
import trio.lowlevel

from actors import Mailbox
from actors.overflow import Envelope
from actors.testing import crash
from smarttrade.role import Role
from smarttrade.simulator import Faults, inject
from smarttrade.simulator.incidents import INCIDENTS
from smarttrade.store.messages import GetPage

from .clients import never_read
from .network import KEEPALIVE_TIMEOUT
from .plan import Action
from .process import InjectedCrash, Process
from .redis_faults import REDIS_FAULTS
from .shard_faults import SHARD_FAULTS
from .violation import Violation

if TYPE_CHECKING:
    from .world import World

TRIES = 50
FAULTS = {*(name for name, _ in Faults().switches()), *INCIDENTS}
RENAMED = {"halt_one": "halt", "stall_one": "stall", "hosts": "only_hosts"}
"""Actions that are a fault of the exchange by another name."""
SILENCE_TIMEOUT = 150.0
"""Seconds in which a silent connection is replaced: one minute of silence, the REST read of a suspect
that fails, and a connection that may itself be to the silent host."""
UPDATE_TIMEOUT = 30.0
"""Seconds between two updates of a client at most, with pauses in its reading and thinned pushes."""
CRASH_TIMEOUT = 20.0  # seconds in which an actor takes another message, or it is left alone

ACTORS = ("store", "hub", "stream", "backfill", "audit", "listing", "web", "feed", "redis",
          "journal", "relay", *(f"{name}-{n}" for name in ("journal", "relay") for n in range(4)))  # fmt: skip


async def perform(world: World, action: Action, rng: Random) -> None:
    """Begin it, and end it when it is over."""
    kind = action.kind
    fault = RENAMED.get(kind, kind)
    if fault in FAULTS:
        seconds = action.seconds or inf
        try:
            inject(world.exchange, fault, action.arguments, seconds)
        except ValueError as error:  # while trading was halted there is nothing to alter
            world.trace.note("exchange", str(error))
        world.truth.note_alterations()
        return
    if world.site is not None and (found := _wire_faults().get(kind)):
        await found(world, action, rng)
        return
    await KINDS[kind](world, action, rng)


def _wire_faults() -> Mapping[str, Callable[[World, Action, Random], Awaitable[None]]]:
    from .wire.faults import WIRE_FAULTS  # needs packages that other worlds do not

    return WIRE_FAULTS


async def _crash(world: World, action: Action, rng: Random) -> None:
    """Any actor, at any await."""
    process = world.process_of(action)
    for _ in range(TRIES):
        current = process.current
        names = [name for name in ACTORS if current is not None and name in current.actors]
        if current is not None and names:
            actor = rng.choice(names)
            tasks = current.tasks(actor)
            # Half of the time the actor's own task, else anything that it has started.
            if not tasks:
                continue
            task = tasks[0] if rng.random() < 0.5 else rng.choice(tasks)
            if crash(task, InjectedCrash(f"{actor} at {task.name}")):
                process.has_crashed()
                world.trace.note(process.name, f"crash of {actor} in {task.name}")
                return
        await trio.sleep(rng.uniform(0, 0.05))


async def _crash_on_message(world: World, action: Action, rng: Random) -> None:
    """An actor fails with a message in its hands."""
    process = world.process_of(action)
    current = process.current
    if current is None:
        return
    name = rng.choice(("store", "hub", "gaps"))
    mailbox = _mailbox(world, process, name)
    if mailbox is None or "_take" in mailbox.__dict__:
        return
    take, left = mailbox._take, [rng.randint(1, 30)]
    only_questions = rng.random() < 0.5

    def fail(envelope: Envelope[object]) -> object:
        message = take(envelope)
        if only_questions:
            left[0] = 0 if isinstance(message, GetPage) else left[0] + 1
        else:
            left[0] -= 1
        if left[0]:
            return message
        mailbox.__dict__.pop("_take", None)
        process.has_crashed()
        world.trace.note(process.name, f"crash of {name} with {type(message).__name__}")
        raise InjectedCrash(f"{name} with {type(message).__name__}")

    mailbox._take = fail  # type: ignore[method-assign]
    try:
        await trio.sleep(CRASH_TIMEOUT)
    finally:
        mailbox.__dict__.pop("_take", None)


def _mailbox(world: World, process: Process, name: str) -> Mailbox[object] | None:
    assert process.current is not None
    pending = [process.current.service]
    while pending:
        for slot in pending.pop()._slots.values():
            if slot.child.mailbox is not None and slot.child.mailbox.name == name:
                return slot.child.mailbox
            if slot._subtree is not None:
                pending.append(slot._subtree)  # type: ignore[arg-type]
    return None


async def _kill(world: World, action: Action, rng: Random) -> None:
    process = world.process_of(action)
    if (after_turn := action.arguments.get("after_turn")) is not None:
        await trio.sleep(world.until_turn() + after_turn)
    if process.current is not None:
        world.trace.note(process.name, "is killed")
        process.current.kill()


async def _stop(world: World, action: Action, rng: Random) -> None:
    """SIGTERM, at any moment: it must end in time, and is started again."""
    process = world.process_of(action)
    current = process.current
    if current is None or current.is_dead:
        return
    current.stop()
    began, within = trio.current_time(), world.settings.stop_timeout + 2.5
    with trio.move_on_after(within):
        while process.current is current and current.service.inspect().state.value not in (
            "stopped", "failed", "waiting",
        ):  # fmt: skip
            await trio.sleep(0.1)
        return
    states = {name: info.state.value for name, info in current.actors.items()}
    text = f"{process.name} {trio.current_time() - began:.1f} s after it was asked: {states}"
    raise Violation("stops-in-time", text)


async def _cut_off(world: World, action: Action, rng: Random) -> None:
    """A partition of one process from the exchange, Redis or its clients."""
    process = world.process_of(action)
    part = action.arguments["part"]
    before = list(process.current.ends) if process.current else []

    def notice() -> None:
        for end in before:
            if end._in.is_lost:
                end.break_()
                end._peer.break_()

    process.cut_off(part)
    try:
        await trio.sleep(action.seconds)
    finally:
        process.rejoin()
        world.later(KEEPALIVE_TIMEOUT, notice)  # what was lost before stays lost


async def _clock_jump(world: World, action: Action, rng: Random) -> None:
    process = world.process_of(action)
    process.clock_error += action.arguments["by"]


async def _connections_lost(world: World, action: Action, rng: Random) -> None:
    world.process_of(action).lose_connections()


# Broken for good


async def _symbol_silent(world: World, action: Action, rng: Random) -> None:
    """The streams of one symbol say nothing any more; REST still has it."""
    symbol = rng.choice(world.settings.symbols)
    names = [f"{symbol.lower()}@kline_{i.value}" for i in world.settings.intervals]
    inject(world.exchange, "stall", {"value": names})
    await trio.lowlevel.checkpoint()


async def _symbol_failing(world: World, action: Action, rng: Random) -> None:
    """REST fails for one symbol for good, after its history was read; there is a gap to fill."""
    symbol = _break_symbol(world)
    inject(world.exchange, "failing", {"value": [symbol]})
    inject(world.exchange, "cut", {})
    await trio.lowlevel.checkpoint()


async def _symbols_failing(world: World, action: Action, rng: Random) -> None:
    """REST fails for all symbols but one for good, and every process is restarted."""
    symbols = world.plan.shape.afflicted
    world.broken.update(symbols)
    inject(world.exchange, "failing", {"value": list(symbols)})
    for process in world.processes:
        if process.current is not None:
            process.current.kill()
        if process.role is Role.INGEST and world.broken.issuperset(process.own_symbols):
            world.unready.add(process.name)
    await trio.lowlevel.checkpoint()


async def _symbol_unknown(world: World, action: Action, rng: Random) -> None:
    inject(world.exchange, "delist", {"symbol": _break_symbol(world), "forget": True})
    await trio.lowlevel.checkpoint()


async def _symbol_halted(world: World, action: Action, rng: Random) -> None:
    symbols = [_break_symbol(world)]
    inject(world.exchange, "halt", {"symbols": symbols, "seconds": 1e6, "status": "HALT"})
    await trio.lowlevel.checkpoint()


def _break_symbol(world: World) -> str:
    symbol = world.plan.shape.symbols[0]
    world.broken.add(symbol)
    return symbol


async def _clients_dead(world: World, action: Action, rng: Random) -> None:
    """Some clients are connected and never read anything."""
    async with trio.open_nursery() as nursery:
        for number in range(5):
            client = world.new_client(f"dead-{number}", world.series, Random(number))
            world.clients.remove(client)
            nursery.start_soon(never_read, client)


async def _endpoint_dead(world: World, action: Action, rng: Random) -> None:
    """The first of the two REST endpoints, and of the streams', does not answer any more."""
    for process in world.processes:
        process.dead_hosts |= {"rest-1", "stream-1"}
        if process.current is not None:
            for end in process.current.to_exchange:
                end.reset()
    await trio.lowlevel.checkpoint()


async def _streams_silent(world: World, action: Action, rng: Random) -> None:
    """The first host of streams answers pings and sends nothing any more.

    For some minutes REST fails as well, so that nothing proves that there were trades.
    """
    faults = world.exchange.faults
    faults.only_hosts.on(frozenset({"stream-1", "rest-1", "rest-2"}))
    faults.stall.on(frozenset())
    faults.rest_status.on(503)
    try:
        await trio.sleep(SILENCE_TIMEOUT)
    finally:
        faults.rest_status.off()
    for client in world.steady:
        if (silent := trio.current_time() - client.view.updated_at) > UPDATE_TIMEOUT:
            text = f"{client.name} has had no update for {silent:.0f} s; stream-2 has them"
            raise Violation("silence-ends", text)


async def _redis_gone(world: World, action: Action, rng: Random) -> None:
    for server in world.servers:
        server.is_frozen = True
    await trio.lowlevel.checkpoint()


async def _gateway_alone(world: World, action: Action, rng: Random) -> None:
    """One gateway cannot reach Redis any more."""
    process = world.processes[-1]
    process.cut_off("redis")
    world.broken.add(process.name)
    await trio.lowlevel.checkpoint()


async def _ingest_dead(world: World, action: Action, rng: Random) -> None:
    process = world.processes[0]
    process.stays_away = True
    if process.current is not None:
        process.current.kill()
    await trio.lowlevel.checkpoint()


KINDS: dict[str, Callable[[World, Action, Random], Awaitable[None]]] = {
    **REDIS_FAULTS,
    **SHARD_FAULTS,
    "crash": _crash,
    "crash_on_message": _crash_on_message,
    "kill": _kill,
    "stop": _stop,
    "cut_off": _cut_off,
    "clock_jump": _clock_jump,
    "connections_lost": _connections_lost,
    "symbol_silent": _symbol_silent,
    "symbol_failing": _symbol_failing,
    "symbols_failing": _symbols_failing,
    "symbol_unknown": _symbol_unknown,
    "symbol_halted": _symbol_halted,
    "clients_dead": _clients_dead,
    "endpoint_dead": _endpoint_dead,
    "streams_silent": _streams_silent,
    "redis_gone": _redis_gone,
    "gateway_alone": _gateway_alone,
    "ingest_dead": _ingest_dead,
}
