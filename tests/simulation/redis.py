"""The stand-in for Redis, with what can happen to servers and to connections to them."""

from __future__ import annotations

import copy
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import trio

from smarttrade.market.series import Series
from smarttrade.store.database import (
    Batch,
    DatabaseUnavailable,
    Fenced,
    Late,
    Lost,
    StoredWindow,
    Written,
)
from smarttrade.store.origin import OwnExchange
from smarttrade.store.redis_format import Entry
from smarttrade.store.shards import Shard
from smarttrade.store.stored_values import Damaged, candles_from_list, entry_from_fields
from tests.fakes.database import BINANCE, ONLY_SHARD, Contents, VirtualDatabase, VirtualRedis

from .violation import Violation

READ_ONLY = "ReadOnlyError: You can't write against a read only replica."


class DamagedEntry(NamedTuple):
    """An entry of the change stream that the product did not write."""

    fields: dict[bytes, bytes]


class FaultyRedis(VirtualRedis):
    """Two servers and a name; at any time one is the primary, which the other replicates."""

    def __init__(self, later: Callable[[float, Callable[[], Awaitable[object]]], None]) -> None:
        """`later` runs something so many seconds later."""
        super().__init__(stream_length=300)
        self.later = later
        self.delay = 0.0
        """Seconds that each answer takes longer."""
        self.primary = 0
        """The number of fail-overs: which connections lead to a primary."""
        self.named = 0
        """The same of the server that the name resolves to."""
        self.former: Contents | None = None
        """What the last demoted primary answers reads from, if it is cut off from the new one."""
        self.damaged: dict[Series, list[bytes]] = {}
        """Lists that hold something else than what was written to them."""
        self._reached: dict[Series, tuple[int, int]] = {}
        """The newest open time of each list, and that of its newest closed candle."""

    def remember(self) -> Contents:
        """What a dump to disk would hold now."""
        return copy.deepcopy(self.contents)

    def restore(self, contents: Contents) -> None:
        """Restarted from a dump: what came after it is lost."""
        self.contents = copy.deepcopy(contents)
        self._reached.clear()

    def flush(self) -> None:
        super().flush()
        self._reached.clear()

    def quarantine(self, series: Series) -> None:
        """A list is moved away, and begins again."""
        self._reached.pop(series, None)
        if self.damaged.pop(series, None) is not None:
            self.contents.lists.pop(series, None)
            self.quarantined.append(series)

    def check_written(self, leader: str, series: Series) -> None:
        """After a write: a stored list never goes back, and a stored close is never undone."""
        candles = self.contents.lists.get(series, [])
        newest = candles[-1].open_time if candles else 0
        closed = next((c.open_time for c in reversed(candles) if c.closed), 0)
        before = self._reached.get(series, (0, 0))
        if newest < before[0] or closed < before[1]:
            text = f"{leader}: {series} went from {before} to {newest, closed}"
            raise Violation("stored-never-back", text)
        self._reached[series] = newest, closed

    def promote(self, contents: Contents, *, is_cut_off: bool) -> None:
        """The replica, which holds `contents`, is the primary; the name still says otherwise.

        The old one is its replica, and replicates it unless it is cut off.
        """
        self.former = self.contents if is_cut_off else None
        self.restore(contents)
        self.primary += 1

    def damage(self, fields: dict[bytes, bytes]) -> None:
        """Append an entry to the change stream."""
        entries: list[Any] = self.contents.changes
        self.contents.names += 1
        entries.append((f"{self.contents.names}-0", DamagedEntry(fields)))

    def heal(self) -> None:
        self.delay, self.is_frozen, self.refusal = 0.0, False, None
        self.named = self.primary


class RedisLink(VirtualDatabase):
    """One process's connections to the server; a dead process has none."""

    def __init__(
        self,
        server: FaultyRedis,
        exchange: OwnExchange | None = BINANCE,
        shard: Shard = ONLY_SHARD,
    ) -> None:
        super().__init__(server, exchange, shard)
        self._redis = server
        self._connected_to = server.named
        self.is_dead = False
        self.late_by = 0.0
        """Seconds by which the next write comes late; no other gets through meanwhile."""

    async def _reach(self) -> Contents:
        if self._redis.delay:
            await trio.sleep(self._redis.delay)
        contents = await super()._reach()
        if self.is_dead:
            raise DatabaseUnavailable("ConnectionError: this process is dead")
        return self._readable(contents)

    def _readable(self, contents: Contents) -> Contents:
        former = self._redis.former
        is_former = self._connected_to != self._redis.primary
        return former if former is not None and is_former else contents

    def reconnect(self) -> None:
        """The next call goes to where the name leads."""
        self._connected_to = self._redis.named

    async def _require_primary(self) -> None:
        await self._reach()
        if self._connected_to != self._redis.primary:
            self.reconnect()
            raise DatabaseUnavailable(READ_ONLY)

    # Writing: a replica refuses it

    async def acquire(self, *arguments: Any, **options: Any) -> Any:
        await self._require_primary()
        return await super().acquire(*arguments, **options)

    async def release(self, *arguments: Any) -> None:
        await self._require_primary()
        await super().release(*arguments)

    async def quarantine(self, series: Sequence[Series]) -> None:
        await self._require_primary()
        for each in series:
            self._redis.quarantine(each)
        await super().quarantine(series)

    async def write(
        self, leader: str, epoch: int, lease: float, batch: Batch
    ) -> Written | Fenced | Lost | Late:
        await self._require_primary()
        if self.late_by:
            write = partial(
                RedisLink(self._redis, self.exchange, self.shard)._write_late,
                leader,
                epoch,
                lease,
                batch,
            )
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
        if isinstance(outcome, Written):
            if leader != leads:
                raise Violation("one-writer", f"{leader} writes while {leads} leads")
            for group in batch.groups:
                if group.is_whole:
                    self._redis.damaged.pop(group.series, None)
                self._redis.check_written(leader, group.series)
        return outcome

    async def _write_late(self, leader: str, epoch: int, lease: float, batch: Batch) -> None:
        with suppress(DatabaseUnavailable):
            await self._write(leader, epoch, lease, batch)

    # Reading: what is damaged goes through the product's decoder

    async def load(self, series: Sequence[Series], time: int = 0) -> list[StoredWindow]:
        return [self._as_decoded(stored, time) for stored in await super().load(series, time)]

    def _as_decoded(self, stored: StoredWindow, time: int) -> StoredWindow:
        texts = self._redis.damaged.get(stored.series)
        if texts is None or stored.state is None:
            return stored
        try:
            candles = candles_from_list(texts, time or self.server.contents.time)
        except Damaged as error:
            return StoredWindow(stored.series, None, str(error))
        return stored._replace(state=stored.state._replace(candles=candles))

    async def follow(self, after: str, within: float) -> list[tuple[str, Entry]]:
        entries: list[tuple[str, Any]] = [*await super().follow(after, within)]
        return [
            (
                name,
                entry_from_fields(entry.fields, time.time())
                if isinstance(entry, DamagedEntry)
                else entry,
            )
            for name, entry in entries
        ]

    def _after(self, after: str) -> list[tuple[str, Entry]]:
        """As the other, which looks at every entry each time."""
        place = int(after.partition("-")[0])
        changes = self._readable(self.server.contents).changes
        start = len(changes)
        while start and int(changes[start - 1][0].partition("-")[0]) > place:
            start -= 1
        return changes[start:]
