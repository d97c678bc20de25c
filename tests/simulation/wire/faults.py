"""What happens to the servers of a Cluster, or of one behind Sentinels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

import trio
from redis.crc import key_slot

from ..plan import Action
from .site import Group, Site

if TYPE_CHECKING:
    from ..world import World

CLOSES_WRITTEN_AFTER = 0.1  # seconds after the end of a minute
ISOLATED = 2.0  # seconds until the others promote the replica of one that they do not reach


def _site(world: World) -> Site:
    assert world.site is not None
    return world.site


@contextmanager
def _group(world: World, action: Action) -> Iterator[Group | None]:
    """The one that it happens to; none if something else does already."""
    group = _site(world).groups[action.arguments["group"]]
    with group.changing() as may:
        yield group if may else None


async def _name(group: Group, action: Action) -> None:
    """Sentinels call it the primary, after a while."""
    await trio.sleep(action.arguments["named_after"])
    group.named = group.primary


async def _until_closes_are_lost(world: World, action: Action, rng: Random) -> None:
    """Half of the time, wait until the next closes are the last writes, which no replica gets."""
    if rng.random() < 0.5:
        left = 60 - world.exchange.now() / 1000 % 60
        await trio.sleep(left + CLOSES_WRITTEN_AFTER - action.arguments["lag"])


async def _killed(world: World, action: Action, rng: Random) -> None:
    """The primary is killed; its replica takes over, without the last writes. Later it is back."""
    with _group(world, action) as group:
        if group is None:
            return
        await _until_closes_are_lost(world, action, rng)
        replicated = group.primary.keyspace.copy()
        await trio.sleep(action.arguments["lag"])
        group.primary.kill()
        await trio.sleep(action.arguments["promoted_after"])
        group.promote(replicated)
        await _name(group, action)
        await trio.sleep(action.seconds)
        group.rejoin()


async def _isolated(world: World, action: Action, rng: Random) -> None:
    """The primary reaches no other server, and goes on answering clients.

    So there are two for a while; what the old one takes meanwhile is lost.
    """
    with _group(world, action) as group:
        if group is None:
            return
        await _until_closes_are_lost(world, action, rng)
        old, replicated = group.primary, group.primary.keyspace.copy()
        await trio.sleep(action.arguments["lag"])
        old.isolated_since = trio.current_time()
        await trio.sleep(ISOLATED)
        group.promote(replicated)
        await _name(group, action)
        await trio.sleep(action.seconds)
        group.rejoin()


async def _demoted(world: World, action: Action, rng: Random) -> None:
    """An operator swaps the two: nothing is lost, and the old primary lives on as a replica."""
    with _group(world, action) as group:
        if group is None:
            return
        group.promote(group.primary.keyspace)
        group.replica.follow(group.primary)
        await _name(group, action)


async def _unserved(world: World, action: Action, rng: Random) -> None:
    """The primary is killed and no replica can take over, until it is started again.

    It has what was on its disk, which may be a second old, and takes a while to read that.
    """
    with _group(world, action) as group:
        if group is None:
            return
        server = group.primary
        on_disk = server.keyspace.copy()
        await trio.sleep(action.arguments["lag"])
        for each in group.servers:
            each.kill()
        await trio.sleep(action.seconds)
        server.hold(on_disk)
        group.rejoin()
        server.refusal = "LOADING Redis is loading the dataset in memory"
        try:
            await trio.sleep(action.arguments["promoted_after"])
        finally:
            server.refusal = None


async def _cluster_down(world: World, action: Action, rng: Random) -> None:
    """The same, where a Cluster serves nothing while a slot is served by no one."""
    site = _site(world)
    site.needs_all_slots = True
    try:
        await _unserved(world, action, rng)
    finally:
        site.needs_all_slots = False


async def _frozen(world: World, action: Action, rng: Random) -> None:
    """The primary is stopped; what it receives is done when it goes on, if it has not been cut."""
    with _group(world, action) as group:
        if group is None:
            return
        server = group.primary
        server.freeze()
        try:
            await trio.sleep(action.seconds)
        finally:
            server.thaw()


async def _refusing(world: World, action: Action, rng: Random) -> None:
    server = _site(world).groups[action.arguments["group"]].primary
    server.refusal = action.arguments["with"]
    try:
        await trio.sleep(action.seconds)
    finally:
        server.refusal = None


async def _slow(world: World, action: Action, rng: Random) -> None:
    servers = _site(world).groups[action.arguments["group"]].servers
    for each in servers:
        each.delay = action.arguments["by"]
    try:
        await trio.sleep(action.seconds)
    finally:
        for each in servers:
            each.delay = 0.0


async def _answers_lost(world: World, action: Action, rng: Random) -> None:
    server = _site(world).groups[action.arguments["group"]].primary
    server.lose_answers = action.arguments["count"]
    await trio.lowlevel.checkpoint()


async def _slot_moved(world: World, action: Action, rng: Random) -> None:
    """A shard goes to another primary, key by key."""
    site = _site(world)
    key = f"{{{world.settings.redis_namespace}:{action.arguments['shard']}}}:meta"
    source = site.group_of(key)
    others = [group for group in site.groups if group is not source]
    if not others:
        return
    target = rng.choice(others)
    with source.changing() as may, target.changing() as may_too:
        if not (may and may_too):
            return
        with site.moving(key_slot(key.encode()), target) as move:
            for count in (0, 1, rng.randint(1, 4)):
                move(count)
                await trio.sleep(action.seconds / 3)


WIRE_FAULTS: dict[str, Callable[[World, Action, Random], Awaitable[None]]] = {
    "primary_killed": _killed,
    "primary_isolated": _isolated,
    "primary_demoted": _demoted,
    "primary_frozen": _frozen,
    "primary_refusing": _refusing,
    "primary_slow": _slow,
    "slots_unserved": _unserved,
    "replies_lost": _answers_lost,
    "slot_moved": _slot_moved,
    "cluster_down": _cluster_down,
}
