"""What one run of the benchmarks is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    repeat: int = 3
    quick: bool = False
    """Few cases, and short ones: to see that everything works, not for figures."""

    @property
    def seconds(self) -> float:
        """How long one case is measured."""
        return 4.0 if self.quick else 10.0

    def turns(self, *who: str) -> Iterator[str]:
        """Everybody in turn, as often as asked for, and the other way round every other time."""
        for turn in range(self.repeat):
            yield from who if turn % 2 == 0 else reversed(who)
