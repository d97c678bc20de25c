"""Shards: parts of a deployment that lead, write and are followed apart from each other.

A symbol belongs to one of them, with all its intervals. Each has its own keys in Redis, and with
them its own lease, epoch, batch numbers, change stream and catalogue. Plain code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from zlib import crc32

from .mismatch import NamespaceMismatch

MAX_SHARDS = 64


class WrongShardCount(NamespaceMismatch):
    """What is stored is divided into another number of shards; the message says what to do."""

    def __init__(self, found: int, count: int, namespace: str) -> None:
        super().__init__(
            f"namespace {namespace!r} in Redis has SMARTTRADE_SHARDS={found}, and this process"
            f" {count}; all processes need the same: to change it, set another"
            f" SMARTTRADE_REDIS_NAMESPACE, to {namespace}-{count} for example"
        )


@lru_cache(10_000)
def shard_of(symbol: str, count: int) -> int:
    """Which of `count` shards a symbol belongs to. The same in all processes and versions."""
    return crc32(symbol.encode()) % count


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count`."""

    number: int = 0
    count: int = 1
    places: Mapping[str, int] = field(default_factory=dict)
    """Of each symbol in the configured order, which no shard has all of. Empty if there is only one
    shard, whose symbols are in order."""
    populated: tuple[int, ...] = ()
    """Shards that have a symbol; empty likewise."""

    def has(self, symbol: str) -> bool:
        return self.count == 1 or shard_of(symbol, self.count) == self.number


def make_shard(number: int, count: int, symbols: Sequence[str]) -> Shard:
    """`symbols` are all that are configured, in order."""
    if count == 1:
        return Shard()
    places = {symbol: place for place, symbol in enumerate(symbols)}
    populated = tuple(sorted({shard_of(symbol, count) for symbol in symbols}))
    return Shard(number, count, places, populated)
