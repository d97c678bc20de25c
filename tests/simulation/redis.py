"""The stand-in for Redis, with what can happen to a server and to the ways to it."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import trio

from smarttrade.store.database import (
    Batch,
    DatabaseUnavailable,
    Fenced,
    Late,
    Lost,
    Written,
)
from smarttrade.store.redis_format import Entry
from tests.fakes.database import Contents, VirtualDatabase, VirtualRedis

from .violation import Violation


class FaultyRedis(VirtualRedis):
    """One server, which all processes share."""

    def __init__(self, later: Callable[[float, Callable[[], Awaitable[object]]], None]) -> None:
        """`later` runs something so many seconds later."""
        super().__init__(stream_length=300)
        self.later = later
        self.delay = 0.0
        """Seconds that each answer takes longer."""

    def remember(self) -> Contents:
        """What a dump to disk would hold now."""
        return copy.deepcopy(self.contents)

    def restore(self, contents: Contents) -> None:
        """Restarted from a dump: what came after it is lost."""
        self.contents = copy.deepcopy(contents)

    def heal(self) -> None:
        self.delay, self.is_frozen, self.refusal = 0.0, False, None


class RedisLink(VirtualDatabase):
    """One process's connections to the server; a dead process has none."""

    def __init__(self, server: FaultyRedis) -> None:
        super().__init__(server)
        self._redis = server
        self.is_dead = False
        self.late_by = 0.0
        """Seconds by which the next write comes late; no other gets through meanwhile."""

    async def _reach(self) -> Contents:
        if self._redis.delay:
            await trio.sleep(self._redis.delay)
        contents = await super()._reach()
        if self.is_dead:
            raise DatabaseUnavailable("ConnectionError: this process is dead")
        return contents

    async def write(
        self, leader: str, epoch: int, lease: float, batch: Batch
    ) -> Written | Fenced | Lost | Late:
        if self.late_by:
            write = partial(RedisLink(self._redis)._write_late, leader, epoch, lease, batch)
            self._redis.later(self.late_by, write)
            self.late_by, self.is_cut = 0.0, True
            await trio.sleep(1.0)
            raise DatabaseUnavailable("TimeoutError: no answer")
        return await self._write(leader, epoch, lease, batch)

    async def _write(
        self, leader: str, epoch: int, lease: float, batch: Batch
    ) -> Written | Fenced | Lost | Late:
        outcome = await super().write(leader, epoch, lease, batch)
        leads = self.server.contents.leader
        if isinstance(outcome, Written) and leader != leads:
            raise Violation("one-writer", f"{leader} writes while {leads} leads")
        return outcome

    async def _write_late(self, leader: str, epoch: int, lease: float, batch: Batch) -> None:
        with suppress(DatabaseUnavailable):
            await self._write(leader, epoch, lease, batch)

    def _after(self, after: str) -> list[tuple[str, Entry]]:
        """As the other, which looks at every entry each time."""
        place, changes = int(after.partition("-")[0]), self.server.contents.changes
        start = len(changes)
        while start and int(changes[start - 1][0].partition("-")[0]) > place:
            start -= 1
        return changes[start:]
