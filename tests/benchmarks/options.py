"""The options of one run of the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    repeat: int = 3
    quick: bool = False
    """Few and short cases, as a smoke test and not for figures."""

    @property
    def seconds(self) -> float:
        """Seconds for which one case is measured."""
        return 4.0 if self.quick else 10.0

    def turns(self, *who: str) -> Iterator[str]:
        """All candidates in turn, repeated, in reversed order every other time."""
        for turn in range(self.repeat):
            yield from who if turn % 2 == 0 else reversed(who)
