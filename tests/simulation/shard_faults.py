"""What happens to one shard: to those that write it, to its server, and to links to that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

import trio

from smarttrade.role import Role
from smarttrade.store.shards import shard_of
from tests.fakes.database import LATENCY

from .plan import Action
from .violation import Violation

if TYPE_CHECKING:
    from .world import World

REPORT_TIMEOUT = 5.0
"""Seconds beyond the setting until clients know that a shard is silent."""


async def _silent(world: World, action: Action, rng: Random) -> None:
    """No one writes a shard any more; half of the time its processes end, too, and start again."""
    shard = action.arguments["shard"]
    with _without_writers(world, shard):
        if rng.random() < 0.5:
            for process in world.writers_of(shard):
                if process.feeds == range(shard, shard + 1) and process.current is not None:
                    process.current.kill()
        within = world.settings.stale_after + REPORT_TIMEOUT
        await trio.sleep(min(within, action.seconds))
        if action.seconds > within:
            _check_reported(world, shard)
            await trio.sleep(action.seconds - within)


@contextmanager
def _without_writers(world: World, shard: int) -> Iterator[None]:
    writers = world.writers_of(shard)
    for process in writers:
        process.cut_off_shard(shard)
    try:
        yield
    finally:
        for process in writers:
            process.rejoin_shard(shard)


def _check_reported(world: World, shard: int) -> None:
    """Clients that have been there for a while, and read at once, know that the feed is stale.

    Those that only have series of shards that no fault concerns know that theirs is live.
    """
    count = world.plan.shape.shards
    for client in world.steady[:-1]:
        process = client.process
        is_concerned = any(shard_of(series.symbol, count) == shard for series in client.wanted)
        is_spared = all(series.symbol in world.plan.healthy for series in client.wanted)
        if (
            process is not None
            and process.role is Role.GATEWAY
            and process.must_answer(process.current)
            and client.connected_at < trio.current_time() - REPORT_TIMEOUT
        ):
            is_live = client.feed == "live"
            if (is_concerned and is_live) or (is_spared and not is_live):
                text = f"{client.name} has received {client.feed!r}; shard {shard} is silent"
                raise Violation("silence-is-reported", text)


async def _late(world: World, action: Action, rng: Random) -> None:
    """Gateways start while nothing was ever written to a shard; its processes come later."""
    shard = action.arguments["shard"]
    with _without_writers(world, shard):
        world.servers[shard].flush()
        for process in world.processes:
            if process.role is Role.GATEWAY and process.current is not None:
                process.current.kill()
        await trio.sleep(action.seconds)


async def _slow(world: World, action: Action, rng: Random) -> None:
    server = world.servers[action.arguments["shard"]]
    server.delay = action.arguments["by"]
    try:
        await trio.sleep(action.seconds)
    finally:
        server.delay = 0.0


async def _frozen(world: World, action: Action, rng: Random) -> None:
    server = world.servers[action.arguments["shard"]]
    server.is_frozen = True
    try:
        await trio.sleep(action.seconds)
    finally:
        server.is_frozen = False


async def _lags(world: World, action: Action, rng: Random) -> None:
    """One process's way to a shard is long: it follows, or writes, far behind."""
    process = world.process_of(action)
    links = [] if process.current is None else process.current.redis_links
    concerned = [link for link in links if link.shard.number == action.arguments["shard"]]
    for link in concerned:
        link.latency = action.arguments["by"]
    try:
        await trio.sleep(action.seconds)
    finally:
        for link in concerned:
            link.latency = LATENCY


async def _symbols(world: World, action: Action, rng: Random) -> None:
    """An operator takes a symbol out of a shard, and puts it back later."""
    shard = action.arguments["shard"]
    symbols = world.plan.shape.symbols
    of_shard = [s for s in symbols if shard_of(s, world.plan.shape.shards) == shard]
    if len(of_shard) == 1:  # it would not start without any
        return
    left_out = rng.choice(of_shard)
    writers = world.writers_of(shard)
    for process in writers:
        process.restart_with([s for s in symbols if s != left_out])
    try:
        await trio.sleep(action.seconds)
    finally:
        for process in writers:
            process.restart_with(symbols)


async def _lease_lost(world: World, action: Action, rng: Random) -> None:
    """The lease of one shard is free before its time, or another's, who never writes."""
    contents = world.servers[action.arguments["shard"]].contents
    contents.holder = None
    if action.arguments["how"] == "is taken" and contents.leader is not None:
        contents.leader, contents.epoch, contents.batch = "another", contents.epoch + 1, 0
        contents.holder, contents.holder_origin = "another", contents.origin
        contents.held_until = trio.current_time() + rng.uniform(0.5, 5)
    await trio.lowlevel.checkpoint()


async def _dead(world: World, action: Action, rng: Random) -> None:
    """No one writes one of several shards any more: all others go on."""
    shape = world.plan.shape
    shard = rng.choice(shape.afflicted_shards)
    world.broken.update(s for s in shape.symbols if shard_of(s, shape.shards) == shard)
    world.unready.update(p.name for p in world.processes if p.role is Role.GATEWAY)
    for process in world.writers_of(shard):
        process.cut_off_shard(shard)
        world.unready.add(process.name)
    await trio.lowlevel.checkpoint()


SHARD_FAULTS: dict[str, Callable[[World, Action, Random], Awaitable[None]]] = {
    "shard_silent": _silent,
    "shard_late": _late,
    "shard_slow": _slow,
    "shard_frozen": _frozen,
    "shard_lags": _lags,
    "shard_symbols": _symbols,
    "lease_lost": _lease_lost,
    "shard_dead": _dead,
}
