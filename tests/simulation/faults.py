"""How each kind of action of a plan is performed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from random import Random
from typing import TYPE_CHECKING

import msgspec
import trio
import trio.lowlevel

from actors import Mailbox
from actors.overflow import Envelope
from actors.testing import crash
from smarttrade.market.candle import Candle
from smarttrade.role import Role
from smarttrade.simulator import Faults, inject
from smarttrade.simulator.incidents import INCIDENTS
from smarttrade.store.messages import GetPage
from smarttrade.store.redis_format import candle_to_text

from .clients import never_read
from .network import KEEPALIVE_TIMEOUT
from .plan import Action
from .process import InjectedCrash, Process
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

ACTORS = ("store", "hub", "stream", "backfill", "audit", "listing", "web", "journal", "relay",
          "feed", "redis")  # fmt: skip


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
    await KINDS[kind](world, action, rng)


def _process(world: World, action: Action) -> Process:
    number: int = action.arguments["process"]
    return world.processes[number % len(world.processes)]


async def _crash(world: World, action: Action, rng: Random) -> None:
    """Any actor, at any await."""
    process = _process(world, action)
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
    process = _process(world, action)
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
    process = _process(world, action)
    if process.current is not None:
        world.trace.note(process.name, "is killed")
        process.current.kill()


async def _stop(world: World, action: Action, rng: Random) -> None:
    """SIGTERM, at any moment: it must end in time, and is started again."""
    process = _process(world, action)
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
    process = _process(world, action)
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
    process = _process(world, action)
    process.clock_error += action.arguments["by"]


async def _connections_lost(world: World, action: Action, rng: Random) -> None:
    _process(world, action).lose_connections()


# Redis


async def _redis_frozen(world: World, action: Action, rng: Random) -> None:
    assert world.redis is not None
    world.redis.is_frozen = True
    try:
        await trio.sleep(action.seconds)
    finally:
        world.redis.is_frozen = False


async def _redis_refusing(world: World, action: Action, rng: Random) -> None:
    assert world.redis is not None
    world.redis.refusal = action.arguments["with"]
    try:
        await trio.sleep(action.seconds)
    finally:
        world.redis.refusal = None


async def _redis_slow(world: World, action: Action, rng: Random) -> None:
    assert world.redis is not None
    world.redis.delay = action.arguments["by"]
    try:
        await trio.sleep(action.seconds)
    finally:
        world.redis.delay = 0.0


async def _redis_emptied(world: World, action: Action, rng: Random) -> None:
    assert world.redis is not None
    world.redis.flush()
    _kill_foreign(world)


def _kill_foreign(world: World) -> None:
    """What Redis holds may be of no exchange now: none but ours shall take the namespace."""
    for process in world.processes:
        if process.is_foreign and process.current is not None:
            process.current.kill()


async def _redis_restored(world: World, action: Action, rng: Random) -> None:
    """It comes back from a dump that is some time old."""
    assert world.redis is not None
    contents = world.redis.remember()
    await trio.sleep(action.arguments["age"])
    world.redis.restore(contents)
    _kill_foreign(world)


async def _redis_fails_over(world: World, action: Action, rng: Random) -> None:
    """The replica becomes the primary, and the name follows some seconds later.

    The old primary lives on as a replica: connections to it answer reads and refuse writes. Half of
    the time it is cut off, and what they read does not change any more.
    """
    assert world.redis is not None
    replicated = world.redis.remember()
    await trio.sleep(action.arguments["lag"])
    world.redis.promote(replicated, is_cut_off=rng.random() < 0.5)
    _kill_foreign(world)
    try:
        await trio.sleep(action.seconds)
    finally:
        world.redis.named = world.redis.primary


FUTURE = 10 * 365 * 86_400_000  # ms


async def _redis_damaged_list(world: World, action: Action, rng: Random) -> None:
    """A list holds something else, and every process that may lead is started anew and reads it."""
    assert world.redis is not None
    lists = world.redis.contents.lists
    if not lists:
        return
    series = rng.choice(sorted(lists, key=str))
    *before, last = lists[series]
    texts = [candle_to_text(candle) for candle in before]
    match action.arguments["with"]:
        case "garbage":
            texts.append(b'\xff{"open_time":')
        case "digits":
            texts.append(b"[" + b"9" * 5000 + b"]")
        case "future":
            texts.append(candle_to_text(last._replace(open_time=last.open_time + FUTURE)))
        case "event_time":
            texts.append(candle_to_text(last._replace(event_time=last.event_time + FUTURE)))
        case "order":
            texts = [candle_to_text(last), *texts]
    world.redis.damaged[series] = texts
    for process in world.processes:
        if process.role is not Role.GATEWAY and process.current is not None:
            process.current.kill()


async def _redis_damaged_entry(world: World, action: Action, rng: Random) -> None:
    """An entry of the change stream is not the product's."""
    assert world.redis is not None
    contents = world.redis.contents
    following = str(contents.seq + 1).encode()
    series = rng.choice(world.series)
    fields: dict[bytes, bytes] = {b"seq": following}
    match action.arguments["with"]:
        case "nothing":
            fields = {}
        case "digits":
            fields = {b"seq": b"9" * 5000}
        case "state":
            fields[b"state"] = b"\xff"
        case "future":
            open_time = series.interval.floor(world.exchange.now() + FUTURE)
            candle = Candle(open_time, 1.0, 1.0, 1.0, 1.0, 1.0, closed=True, event_time=open_time)
            change = [series.symbol, series.interval.value, False, [candle], "0", None]
            fields[b"data"] = msgspec.json.encode([change])
    world.redis.damage(fields)
    await trio.lowlevel.checkpoint()


async def _redis_write_overtaken(world: World, action: Action, rng: Random) -> None:
    """The next write of one process comes so late that another process leads by then.

    The writer has given it up long before; only fencing prevents harm.
    """
    process = _process(world, action)
    if world.redis is None or process.current is None or process.current.redis_link is None:
        return
    link = process.current.redis_link
    link.late_by = action.seconds
    try:
        await trio.sleep(action.seconds + 1)
    finally:
        link.late_by = 0.0
        link.is_cut = process.is_cut_off("redis")


async def _redis_answers_lost(world: World, action: Action, rng: Random) -> None:
    for process in world.processes:
        if process.current is not None and process.current.redis_link is not None:
            process.current.redis_link.lose_answers = action.arguments["count"]


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
    """REST fails for all symbols but one for good, and every process is started anew."""
    symbols = world.plan.shape.afflicted
    world.broken.update(symbols)
    world.ready_path += "?for=traffic"  # the other symbols can be served
    inject(world.exchange, "failing", {"value": list(symbols)})
    for process in world.processes:
        if process.current is not None:
            process.current.kill()
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
    assert world.redis is not None
    world.redis.is_frozen = True
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
    "crash": _crash,
    "crash_on_message": _crash_on_message,
    "kill": _kill,
    "stop": _stop,
    "cut_off": _cut_off,
    "clock_jump": _clock_jump,
    "connections_lost": _connections_lost,
    "redis_frozen": _redis_frozen,
    "redis_refusing": _redis_refusing,
    "redis_slow": _redis_slow,
    "redis_emptied": _redis_emptied,
    "redis_restored": _redis_restored,
    "redis_answers_lost": _redis_answers_lost,
    "redis_fails_over": _redis_fails_over,
    "redis_damaged_list": _redis_damaged_list,
    "redis_damaged_entry": _redis_damaged_entry,
    "redis_write_overtaken": _redis_write_overtaken,
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
