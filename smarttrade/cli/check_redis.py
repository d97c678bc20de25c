"""Whether Redis can be used as the service uses it, for `smarttrade check`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import trio

from ..settings import DEFAULT_REDIS_URL, Settings
from ..settings.values import masked
from ..store.database import Database, DatabaseUnavailable, ForeignFormat
from ..store.mismatch import NamespaceMismatch
from ..store.origin import OwnExchange
from ..store.probe import redis_answers
from ..store.redis_address import ClusterAddress, RedisAddress, redis_address
from ..store.redis_smoke_test import CheckedDatabase, doubts, smoke_test, unfit
from ..store.shards import make_shard
from ..store.stored_values import Damaged
from .check_result import CheckResult, Level

TOTAL_TIMEOUT = 10.0  # seconds for everything; each answer has SMARTTRADE_REDIS_TIMEOUT


async def check_redis(settings: Settings) -> Sequence[CheckResult]:
    if settings.use_memory_store:
        return [CheckResult(Level.OK, "redis", "not used: candles are kept in memory")]
    url = settings.redis_url or DEFAULT_REDIS_URL
    if settings.redis_url is None and not await redis_answers(url):
        return [CheckResult(Level.WARN, "redis", f"none at {url}: candles are kept in memory only")]
    results: list[CheckResult] = []
    with trio.move_on_after(TOTAL_TIMEOUT):
        for number in _shards(settings, redis_address(url)):
            place = f"{masked(url)}: " + (f"shard {number}: " if settings.shards > 1 else "")
            levels = await _check_shard(settings, url, number)
            results += [CheckResult(level, "redis", place + text) for level, text in levels]
        return results
    text = f"{masked(url)}: not done in {TOTAL_TIMEOUT:g} s"
    return [*results, CheckResult(Level.FAIL, "redis", text)]


def _shards(settings: Settings, address: RedisAddress) -> Sequence[int]:
    """The nodes of a Cluster may differ; otherwise all shards are at the same server."""
    is_cluster = isinstance(address, ClusterAddress)
    return settings.own_shards if is_cluster else settings.own_shards[:1]


async def _check_shard(settings: Settings, url: str, number: int) -> list[tuple[Level, str]]:
    from ..store.redis_database import RedisDatabase  # takes long to import

    address, shard = redis_address(url), make_shard(number, settings.shards, settings.symbols)
    open_database = partial(
        RedisDatabase,
        url,
        settings.redis_namespace,
        timeout=settings.redis_timeout,
        stream_length=settings.max_stored_changes,
        shard=shard,
    )
    symbols = settings.own_symbols
    if isinstance(address, ClusterAddress):
        symbols = tuple(filter(shard.has, symbols))
    checked = open_database(part=":check", exchange=OwnExchange("check"))
    levels = await _try_out(checked, address, len(symbols) * len(settings.intervals))
    if all(level is not Level.FAIL for level, _ in levels):
        levels += [(Level.FAIL, text) for text in await _misfits(open_database())]
    return levels


async def _misfits(stored: Database) -> list[str]:
    """Why what is stored is not for processes with these settings."""
    try:
        await stored.position()
    except (NamespaceMismatch, ForeignFormat) as error:
        return [str(error)]
    except (DatabaseUnavailable, Damaged):  # the former was found before, and the latter is mended
        pass
    return []


async def _try_out(
    database: CheckedDatabase, address: RedisAddress, series: int
) -> list[tuple[Level, str]]:
    """What works and what does not; an account may be refused INFO and be able to work."""
    info: Mapping[str, Any] = {}
    found: list[str] = []
    try:
        info = await database.server_info()
        found += [*doubts(info, series), *await database.failover_doubts(info)]
    except DatabaseUnavailable as error:
        if "NOPERM" not in str(error) and "NoPermission" not in str(error):
            return [(Level.FAIL, str(error))]
        found.append("INFO is refused: role, memory, eviction and fail-over are not checked")
    problem = unfit(info, address) or await smoke_test(database)
    warnings = [(Level.WARN, doubt) for doubt in found]
    if problem is not None:
        return [*warnings, (Level.FAIL, problem)]
    return [*warnings, (Level.OK, "lease, scripts, change stream and reading back work")]
