"""How each kind of trouble of a plan is made to happen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from random import Random
from typing import TYPE_CHECKING

import trio
import trio.lowlevel

from actors import Mailbox
from actors.overflow import Envelope
from actors.testing import crash
from smarttrade.simulator import RANDOM_FAULTS, inject
from smarttrade.store.messages import GetPage

from .clients import stare
from .network import NOTICED_AFTER
from .plan import Happening
from .process import InjectedCrash, Process
from .violation import Violation

if TYPE_CHECKING:
    from .world import World

TRIES = 50
CRASH_TIMEOUT = 20.0  # seconds in which an actor takes another message, or it is left alone

ACTORS = ("store", "hub", "stream", "backfill", "audit", "listing", "web", "journal", "relay",
          "feed", "redis")  # fmt: skip


async def make_happen(world: World, happening: Happening, rng: Random) -> None:
    """Begin it, and end it when it is over."""
    kind = happening.kind
    if kind in RANDOM_FAULTS or kind == "hole":
        seconds = happening.seconds or inf
        try:
            inject(world.exchange, kind, happening.arguments, seconds)
        except ValueError as error:  # while trading was halted there is nothing to alter
            world.trace.note("exchange", str(error))
        world.truth.note_alterations()
        return
    await KINDS[kind](world, happening, rng)


def _process(world: World, happening: Happening) -> Process:
    number: int = happening.arguments["process"]
    return world.processes[number % len(world.processes)]


async def _crash(world: World, happening: Happening, rng: Random) -> None:
    """Any actor, at whatever it waits for."""
    process = _process(world, happening)
    for _ in range(TRIES):
        life = process.life
        names = [name for name in ACTORS if life is not None and name in life.actors]
        if life is not None and names:
            actor = rng.choice(names)
            tasks = life.tasks(actor)
            # Half of the time the actor's own task, else anything that it has started.
            if not tasks:
                continue
            task = tasks[0] if rng.random() < 0.5 else rng.choice(tasks)
            if crash(task, InjectedCrash(f"{actor} at {task.name}")):
                process.has_crashed()
                world.trace.note(process.name, f"crash of {actor} in {task.name}")
                return
        await trio.sleep(rng.uniform(0, 0.05))


async def _crash_on_message(world: World, happening: Happening, rng: Random) -> None:
    """An actor fails with a message in its hands."""
    process = _process(world, happening)
    life = process.life
    if life is None:
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
    assert process.life is not None
    pending = [process.life.service]
    while pending:
        for slot in pending.pop()._slots.values():
            if slot.child.mailbox is not None and slot.child.mailbox.name == name:
                return slot.child.mailbox
            if slot._subtree is not None:
                pending.append(slot._subtree)  # type: ignore[arg-type]
    return None


async def _kill(world: World, happening: Happening, rng: Random) -> None:
    process = _process(world, happening)
    if process.life is not None:
        world.trace.note(process.name, "is killed")
        process.life.kill()


async def _stop(world: World, happening: Happening, rng: Random) -> None:
    """SIGTERM, at any moment: it must end in time, and is started again."""
    process = _process(world, happening)
    life = process.life
    if life is None or life.is_dead:
        return
    life.stop()
    began, within = trio.current_time(), world.settings.stop_timeout + 2.5
    with trio.move_on_after(within):
        while process.life is life and life.service.inspect().state.value not in (
            "stopped", "failed", "waiting",
        ):  # fmt: skip
            await trio.sleep(0.1)
        return
    states = {name: info.state.value for name, info in life.actors.items()}
    text = f"{process.name} {trio.current_time() - began:.1f} s after it was asked: {states}"
    raise Violation("stops-in-time", text)


async def _cut_off(world: World, happening: Happening, rng: Random) -> None:
    """A partition of one process from the exchange, Redis or its clients."""
    process = _process(world, happening)
    way = happening.arguments["way"]
    before = list(process.life.ends) if process.life else []

    def notice() -> None:
        for end in before:
            if end._in.is_lost:
                end.break_()
                end._peer.break_()

    process.cut_off(way)
    try:
        await trio.sleep(happening.seconds)
    finally:
        process.rejoin()
        world.later(NOTICED_AFTER, notice)  # whatever ended it: what is lost stays lost


async def _clock_jump(world: World, happening: Happening, rng: Random) -> None:
    process = _process(world, happening)
    process.clock_error += happening.arguments["by"]


async def _connections_lost(world: World, happening: Happening, rng: Random) -> None:
    _process(world, happening).lose_connections()


# Redis


async def _redis_frozen(world: World, happening: Happening, rng: Random) -> None:
    assert world.redis is not None
    world.redis.is_frozen = True
    try:
        await trio.sleep(happening.seconds)
    finally:
        world.redis.is_frozen = False


async def _redis_refusing(world: World, happening: Happening, rng: Random) -> None:
    assert world.redis is not None
    world.redis.refusal = happening.arguments["with"]
    try:
        await trio.sleep(happening.seconds)
    finally:
        world.redis.refusal = None


async def _redis_slow(world: World, happening: Happening, rng: Random) -> None:
    assert world.redis is not None
    world.redis.delay = happening.arguments["by"]
    try:
        await trio.sleep(happening.seconds)
    finally:
        world.redis.delay = 0.0


async def _redis_emptied(world: World, happening: Happening, rng: Random) -> None:
    assert world.redis is not None
    world.redis.flush()


async def _redis_restored(world: World, happening: Happening, rng: Random) -> None:
    """It comes back from a dump that is some time old."""
    assert world.redis is not None
    contents = world.redis.remember()
    await trio.sleep(happening.arguments["age"])
    world.redis.restore(contents)


async def _redis_write_overtaken(world: World, happening: Happening, rng: Random) -> None:
    """The next write of one process comes so late that another process leads by then.

    It was given up long before; nothing but fencing keeps it from doing harm.
    """
    process = _process(world, happening)
    if world.redis is None or process.life is None or process.life.way is None:
        return
    way = process.life.way
    way.late_by = happening.seconds
    try:
        await trio.sleep(happening.seconds + 1)
    finally:
        way.late_by = 0.0
        way.is_cut = process.is_cut_off("redis")


async def _redis_answers_lost(world: World, happening: Happening, rng: Random) -> None:
    for process in world.processes:
        if process.life is not None and process.life.way is not None:
            process.life.way.lose_answers = happening.arguments["count"]


# Broken for good


async def _symbol_silent(world: World, happening: Happening, rng: Random) -> None:
    """The streams of one symbol say nothing any more; REST still has it."""
    symbol = rng.choice(world.settings.symbols)
    names = [f"{symbol.lower()}@kline_{i.value}" for i in world.settings.intervals]
    inject(world.exchange, "stall", {"value": names})
    await trio.lowlevel.checkpoint()


async def _clients_dead(world: World, happening: Happening, rng: Random) -> None:
    """Some clients are connected and never read anything."""
    async with trio.open_nursery() as nursery:
        for number in range(5):
            client = world.new_client(f"dead-{number}", world.series, Random(number))
            world.clients.remove(client)
            nursery.start_soon(stare, client)


async def _endpoint_dead(world: World, happening: Happening, rng: Random) -> None:
    """The first of the two REST endpoints, and of the streams', answers nobody any more."""
    for process in world.processes:
        process.dead_hosts |= {"rest-1", "stream-1"}
        if process.life is not None:
            for end in process.life.to_exchange:
                end.reset()
    await trio.lowlevel.checkpoint()


async def _redis_gone(world: World, happening: Happening, rng: Random) -> None:
    assert world.redis is not None
    world.redis.is_frozen = True
    await trio.lowlevel.checkpoint()


async def _gateway_alone(world: World, happening: Happening, rng: Random) -> None:
    """One gateway cannot reach Redis any more."""
    process = world.processes[-1]
    process.cut_off("redis")
    world.broken.add(process.name)
    await trio.lowlevel.checkpoint()


async def _ingest_dead(world: World, happening: Happening, rng: Random) -> None:
    process = world.processes[0]
    process.stays_away = True
    if process.life is not None:
        process.life.kill()
    await trio.lowlevel.checkpoint()


KINDS: dict[str, Callable[[World, Happening, Random], Awaitable[None]]] = {
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
    "redis_write_overtaken": _redis_write_overtaken,
    "symbol_silent": _symbol_silent,
    "clients_dead": _clients_dead,
    "endpoint_dead": _endpoint_dead,
    "redis_gone": _redis_gone,
    "gateway_alone": _gateway_alone,
    "ingest_dead": _ingest_dead,
}
