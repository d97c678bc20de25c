"""Random numbers that belong to a place in a market: the same whenever they are drawn."""

from __future__ import annotations

from hashlib import blake2b
from random import Random


class SeededRng:
    """For one market, whose `name` holds the seed of the exchange."""

    def __init__(self, name: str) -> None:
        self._key = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
        self._rng = Random(0)

    def at(self, level: int, number: int) -> Random:
        """For block `number` of a level; valid until the next call."""
        self._rng.seed((self._key << 64) + (number << 8) + level)
        return self._rng
