"""Do once what a journal and a relay do all the time, to find out what a Redis refuses.

In the slot of the shard, so that a Cluster does it where the shard is; with keys of its own, which
are deleted afterwards and expire in any case.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from ..market.candle import Candle
from ..market.interval import Interval
from ..market.series import Series
from .database import Batch, Database, DatabaseUnavailable, Group, Leading, Written
from .redis_address import ClusterAddress, RedisAddress

SERIES = Series("SMOKETEST", Interval.MINUTE_1)
CANDLE = Candle(0, 1.0, 1.0, 1.0, 1.0, 1.0, closed=True)
LEASE = 5.0  # seconds
MIN_VERSION = (6, 2)
BYTES_PER_SERIES = 94_000  # measured: docs/operations.md, "Redis"


class CheckedDatabase(Database, Protocol):
    async def server_info(self) -> Mapping[str, Any]:
        """What the server says about itself."""

    async def failover_doubts(self, info: Mapping[str, Any]) -> list[str]:
        """Why a fail-over may not work, where `info` is what the primary says."""

    async def delete(self, *series: Series) -> None:
        """Delete everything in the namespace, windows of these series included."""


async def smoke_test(database: CheckedDatabase) -> str | None:
    """The first thing that the server refuses, with its words; None when all works."""
    for step, run in _SmokeTest(database).steps().items():
        try:
            await run()
        except DatabaseUnavailable as error:
            return f"{step}: {error}"
    return None


class _SmokeTest:
    def __init__(self, database: CheckedDatabase) -> None:
        self._database = database
        self._name = f"check-{secrets.token_hex(4)}"
        self._epoch = 0

    def steps(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        database = self._database
        return {
            "taking the lease (a script)": self._acquire,
            "writing candles (a script, with XADD)": self._write,
            "reading candles back": self._read,
            "following the change stream (XREAD)": self._follow,
            "releasing the lease (a script)": lambda: database.release(self._name),
            "deleting keys": lambda: database.delete(SERIES),
        }

    async def _acquire(self) -> None:
        claim = await self._database.acquire(self._name, LEASE)
        if not isinstance(claim, Leading):
            raise DatabaseUnavailable("another check is running")
        self._epoch = claim.epoch

    async def _write(self) -> None:
        group = Group(SERIES, [CANDLE], is_whole=True)
        batch = Batch(1, 0, [group], None, is_heartbeat=False)
        answer = await self._database.write(self._name, self._epoch, LEASE, batch)
        if not isinstance(answer, Written):
            raise DatabaseUnavailable(f"the batch was not written: {type(answer).__name__}")

    async def _read(self) -> None:
        (window,) = await self._database.load([SERIES])
        if window.state is None or window.state.candles != (CANDLE,):
            raise DatabaseUnavailable("what was written is not there: does something evict it?")

    async def _follow(self) -> None:
        await self._database.position()
        if not await self._database.follow("0-0", 0.1):
            raise DatabaseUnavailable("the change stream is empty")


def unfit(info: Mapping[str, Any], address: RedisAddress) -> str | None:
    """Why this server cannot be used as `address` says, by what it says about itself."""
    if info.get("redis_mode") == "sentinel":
        return "this is a Sentinel, which stores nothing: use redis+sentinel://HOST:PORT/NAME"
    if info.get("cluster_enabled") and not isinstance(address, ClusterAddress):
        return "this is a node of a Redis Cluster: use redis+cluster://HOST:PORT"
    if info.get("role") == "slave":
        return "this is a replica, which refuses writes"
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < MIN_VERSION:
        return f"version {version} is too old: 6.2 at least"
    return None


def doubts(info: Mapping[str, Any], series: int) -> list[str]:
    """What will hurt later: writes that a fail-over stops, memory that is too small, eviction."""
    return [*_replica_doubts(info), *_memory_doubts(info, series)]


def _replica_doubts(info: Mapping[str, Any]) -> list[str]:
    # The field is there only with min-replicas-to-write.
    if "min_slaves_good_slaves" not in info or int(info.get("connected_slaves", 0)) > 1:
        return []
    text = "min-replicas-to-write is set with a single replica, which refuses writes once promoted"
    return [text]


def _memory_doubts(info: Mapping[str, Any], series: int) -> list[str]:
    limit = int(info.get("maxmemory", 0))
    if not limit:
        return []
    found = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(f"maxmemory-policy is {policy}: candles may be evicted, use noeviction")
    left, needed = limit - int(info.get("used_memory", 0)), series * BYTES_PER_SERIES
    if left < needed:
        text = f"{series} series need up to {needed / 1e6:.1f} MB, of maxmemory {left / 1e6:.1f} MB"
        found.append(f"{text} are left")
    return found
