"""What happens to Redis: to all its servers, or to that of one shard as in a cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING

import msgspec
import trio

from smarttrade.market.candle import Candle
from smarttrade.role import Role
from smarttrade.store.redis_format import FORMAT, candle_to_text
from tests.fakes.database import BINANCE

from .plan import Action
from .redis import FaultyRedis

if TYPE_CHECKING:
    from .world import World


def _servers(world: World, rng: Random) -> list[FaultyRedis]:
    """Those that it happens to."""
    servers = world.servers
    return servers if len(servers) == 1 or rng.random() < 0.5 else [rng.choice(servers)]


async def _frozen(world: World, action: Action, rng: Random) -> None:
    servers = _servers(world, rng)
    for server in servers:
        server.is_frozen = True
    try:
        await trio.sleep(action.seconds)
    finally:
        for server in servers:
            server.is_frozen = False


async def _refusing(world: World, action: Action, rng: Random) -> None:
    servers = _servers(world, rng)
    for server in servers:
        server.refusal = action.arguments["with"]
    try:
        await trio.sleep(action.seconds)
    finally:
        for server in servers:
            server.refusal = None


async def _slow(world: World, action: Action, rng: Random) -> None:
    servers = _servers(world, rng)
    for server in servers:
        server.delay = action.arguments["by"]
    try:
        await trio.sleep(action.seconds)
    finally:
        for server in servers:
            server.delay = 0.0


async def _emptied(world: World, action: Action, rng: Random) -> None:
    for server in _servers(world, rng):
        server.flush()
    _kill_foreign(world)
    await trio.lowlevel.checkpoint()


def _kill_foreign(world: World) -> None:
    """What Redis holds may be of no exchange now: none but ours shall take the namespace."""
    for process in world.processes:
        if process.is_foreign and process.current is not None:
            process.current.kill()


async def _restored(world: World, action: Action, rng: Random) -> None:
    """It comes back from a dump that is some time old."""
    dumps = [(server, server.remember()) for server in _servers(world, rng)]
    await trio.sleep(action.arguments["age"])
    for server, contents in dumps:
        server.restore(contents)
    _kill_foreign(world)


async def _fails_over(world: World, action: Action, rng: Random) -> None:
    """The replica becomes the primary, and the name follows some seconds later.

    The old primary lives on as a replica: connections to it answer reads and refuse writes. Half of
    the time it is cut off, and what they read does not change any more.
    """
    server = rng.choice(world.servers)
    replicated = server.remember()
    await trio.sleep(action.arguments["lag"])
    server.promote(replicated, is_cut_off=rng.random() < 0.5)
    _kill_foreign(world)
    try:
        await trio.sleep(action.seconds)
    finally:
        server.named = server.primary


FUTURE = 10 * 365 * 86_400_000  # ms


async def _damaged_list(world: World, action: Action, rng: Random) -> None:
    """A list holds something else, and every process that may lead is restarted and reads it."""
    found = [(str(series), server) for server in world.servers for series in server.contents.lists]
    if not found:
        return
    name, server = rng.choice(sorted(found, key=lambda one: one[0]))
    series = next(each for each in server.contents.lists if str(each) == name)
    *before, last = server.contents.lists[series]
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
    server.damaged[series] = texts
    for process in world.processes:
        if process.role is not Role.GATEWAY and process.current is not None:
            process.current.kill()
    await trio.lowlevel.checkpoint()


async def _damaged_entry(world: World, action: Action, rng: Random) -> None:
    """An entry of the change stream is not the product's."""
    server = rng.choice(world.servers)
    following = str(server.contents.seq + 1).encode()
    series = rng.choice(world.series)
    origin = (server.contents.origin or BINANCE.name).encode()
    fields = {b"format": FORMAT.encode(), b"origin": origin, b"seq": following}
    fields[b"time"] = str(server.contents.time).encode()
    match action.arguments["with"]:
        case "nothing":
            fields = {}
        case "digits":
            fields[b"seq"] = b"9" * 5000
        case "state":
            fields[b"state"] = b"\xff"
        case "future":
            open_time = series.interval.floor(world.exchange.now() + FUTURE)
            candle = Candle(open_time, 1.0, 1.0, 1.0, 1.0, 1.0, closed=True, event_time=open_time)
            change = [series.symbol, series.interval.value, False, [candle], "0", None]
            fields[b"data"] = msgspec.json.encode([change])
            if rng.random() < 0.5:
                del fields[b"time"]
    server.damage(fields)
    await trio.lowlevel.checkpoint()


async def _write_overtaken(world: World, action: Action, rng: Random) -> None:
    """The next write of one process comes so late that another process leads by then.

    The writer has given it up long before; only fencing prevents harm.
    """
    process = world.process_of(action)
    links = [] if process.current is None else process.current.redis_links
    if not links:
        return
    link = rng.choice(links)
    link.late_by = action.seconds
    try:
        await trio.sleep(action.seconds + 1)
    finally:
        link.late_by = 0.0
        link.is_cut = process.is_cut_off_shard(link.shard.number)


async def _answers_lost(world: World, action: Action, rng: Random) -> None:
    for process in world.processes:
        for link in [] if process.current is None else process.current.redis_links:
            link.lose_answers = action.arguments["count"]
    await trio.lowlevel.checkpoint()


REDIS_FAULTS: dict[str, Callable[[World, Action, Random], Awaitable[None]]] = {
    "redis_frozen": _frozen,
    "redis_refusing": _refusing,
    "redis_slow": _slow,
    "redis_emptied": _emptied,
    "redis_restored": _restored,
    "redis_answers_lost": _answers_lost,
    "redis_fails_over": _fails_over,
    "redis_damaged_list": _damaged_list,
    "redis_damaged_entry": _damaged_entry,
    "redis_write_overtaken": _write_overtaken,
}
