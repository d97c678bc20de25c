"""What a client receives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

Feed = Literal["live", "stale", "down"]


class Candle(NamedTuple):
    """One bar; `time` is the UTC epoch second at which it opens."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool
    """Whether it is final; a closed candle is only sent again if it was corrected."""

    @classmethod
    def read(cls, values: Mapping[str, Any], *, closed: bool) -> Self:
        """As the server's JSON has it."""
        prices = (values["open"], values["high"], values["low"], values["close"])
        return cls(values["time"], *prices, values["volume"], closed)


@dataclass(frozen=True, slots=True)
class CandleEvent:
    """A new state of one candle of a series."""

    symbol: str
    interval: str
    candle: Candle
    corrected: bool = False
    """It repairs the past: a closed candle that changed, one that was missing, or a final
    state that came after a later candle."""


@dataclass(frozen=True, slots=True)
class Missed:
    """The connection was away for longer than the server's window reaches back."""

    symbol: str
    interval: str
    after: int
    """The time of the newest candle before; those between it and `before` are lost."""
    before: int


@dataclass(frozen=True, slots=True)
class Status:
    """Connection and feed: after each change, and at each of the server's heartbeats."""

    connected: bool
    feed: Feed | None
    """How the exchange's stream is; None before the server has reported it."""
    simulated: bool | None = None
    """Whether the server's prices are invented by a simulator."""
    reason: str = ""
    """Why there is no connection."""

    @property
    def is_live(self) -> bool:
        return self.connected and self.feed == "live"


Event = CandleEvent | Missed | Status
