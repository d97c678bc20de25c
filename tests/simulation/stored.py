"""What Redis holds once the world is calm: a process that starts then begins with nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from smarttrade.market.series import Series
from smarttrade.store.redis_format import Keys
from smarttrade.store.shards import shard_of
from tests.fakes.database import BINANCE

from .truth import Values
from .violation import Violation

if TYPE_CHECKING:
    from .world import World

Row = tuple[int, float, float, float, float, float, bool]
"""The first fields of a candle."""


def compare_stored(world: World) -> None:
    """Every stored list equals the exchange's, each candle closed. Raises `Violation`."""
    for series in world.series:
        if series.symbol not in world.broken:
            for shard in _shards_that_must_have(world, series):
                _compare(world, series, _stored(world, series, shard))


def _shards_that_must_have(world: World, series: Series) -> Iterator[int]:
    """The one of the series, if there is one and a process that writes it."""
    shard = shard_of(series.symbol, world.plan.shape.shards)
    has_writer = any(map(world.must_work, world.writers_of(shard)))
    if not world.plan.shape.has_redis or not has_writer:
        return
    if world.site is None:
        server = world.servers[shard]
        # One that is frozen for good, or holds what another exchange wrote first, is out of reach.
        if server.is_frozen or server.contents.origin != BINANCE.name:
            return
    yield shard


def _stored(world: World, series: Series, shard: int) -> list[Row]:
    if world.site is not None:
        key = Keys(world.settings.redis_namespace, shard).candles(BINANCE.name, series)
        held = world.site.group_of(key).primary.keyspace
        return [msgspec.json.decode(text) for text in held.lrange(key.encode(), b"0", b"-1")]
    server = world.servers[shard]
    if series in server.damaged:
        raise Violation("equal-once-calm", f"the stored list of {series} is still damaged")
    return [candle[:7] for candle in server.contents.lists.get(series, ())]


def _compare(world: World, series: Series, stored: list[Row]) -> None:
    newest = world.truth.newest_closed(series)
    held: dict[int, Values] = {row[0] // 1000: tuple(row[1:6]) for row in stored if row[6]}  # type: ignore[misc]
    rows = world.truth.rows(series, min(held, default=newest), newest)
    differ = [
        time
        for time in sorted(rows)
        if held.get(time) != rows[time]
        and not (time in held and world.truth.may_be_as_before(series, time, held[time]))
    ]
    if differ or not stored:
        differences = [(time, held.get(time), rows[time]) for time in differ[:3]]
        text = f"stored: {series}: {len(stored)} candles, {len(differ)} differ: {differences}"
        raise Violation("equal-once-calm", text)
