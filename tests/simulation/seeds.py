"""Every seed that ever failed because of the product, and why; all are run again with the tests.

What a seed means follows from plan.py too: when that changes, a seed may tell another story. So
each of these has a test of its own beside the code that was wrong.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failed:
    seed: int
    hours: float
    why: str
    liveness: bool = False
    named: str | None = None
    """The world, if not the seed's own."""


FAILED = (
    Failed(33, 0.2, "a gateway published corrections of candles that had left its window"),
    Failed(10, 0.2, "a correction was published that was not final", named="two"),
    Failed(321, 0.3, "a symbol stayed refused that was listed again", named="pair"),
    Failed(11002, 0.5, "a gateway went on without what its failed store had held", named="sharded"),
    Failed(
        1015, 2, "a state that was not final, in the middle of a page, was not reported as a gap"
    ),
)
