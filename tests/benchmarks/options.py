"""The options of one run of the benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from .peers import FASTAPI
from .processes import PRODUCT

FORMER = "former version"


@dataclass(frozen=True)
class Options:
    repeat: int = 3
    quick: bool = False
    """Few and short cases, as a smoke test and not for figures."""
    comparison: bool = False
    """Only the cases that are compared with every peer, for a shorter time each."""
    peers: tuple[str, ...] = (FASTAPI,)
    """What is measured beside SmartTrade in the fan-out."""
    former: str | None = None
    """The interpreter of an environment with a former version, which is then measured as well."""

    @property
    def seconds(self) -> float:
        """Seconds for which one case is measured; whole periods of the exchange."""
        return 4.0 if self.quick else 6.0 if self.comparison else 10.0

    @property
    def settle(self) -> float:
        """Seconds between the last client's subscription and the measurement."""
        return 2.0 if self.quick or self.comparison else 4.0

    @property
    def versions(self) -> tuple[str, ...]:
        """SmartTrade, and its former version if that is measured as well."""
        return (PRODUCT, FORMER) if self.former else (PRODUCT,)

    def python(self, which: str) -> str:
        """The interpreter that runs `which`."""
        return self.former if which == FORMER and self.former else sys.executable

    def turns(self, *who: str) -> Iterator[str]:
        """All candidates in turn, repeated, in reversed order every other time."""
        for turn in range(self.repeat):
            yield from who if turn % 2 == 0 else reversed(who)
