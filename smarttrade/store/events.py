"""What the store tells: the hub, for clients; the backfill; and whoever keeps a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..market.candle import Candle
from ..market.series import Series
from .feed import FeedStatus


class Published(NamedTuple):
    """A new state of one candle."""

    series: Series
    candle: Candle
    corrected: bool
    """True when it lies in the past of what has been published: a repair."""


class Snapshot(NamedTuple):
    """A series' candles at the instant at which its updates begin."""

    series: Series
    candles: tuple[Candle, ...]
    truncated: bool
    """True when the window no longer reaches back to the time that was asked for."""


@dataclass(frozen=True, slots=True)
class CandlesPublished:
    """Candles have changed, in this order."""

    published: Sequence[Published]


@dataclass(frozen=True, slots=True)
class SubscriptionsOpened:
    """A subscriber is to get everything about these series that is told after this."""

    subscriber: object
    acknowledgement: bytes
    series: tuple[Series, ...]
    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True, slots=True)
class SubscriptionsClosed:
    """A subscriber is to get no more of these series, or of any when None."""

    subscriber: object
    series: tuple[Series, ...] | None
    acknowledgement: bytes


@dataclass(frozen=True, slots=True)
class FeedChanged:
    status: FeedStatus


HubEvent = CandlesPublished | SubscriptionsOpened | SubscriptionsClosed | FeedChanged


@dataclass(frozen=True, slots=True)
class WindowReplaced:
    """A series has got its history, or begun anew."""

    series: Series


@dataclass(frozen=True, slots=True)
class GapsChanged:
    """A gap of a series was found, filled, or explained."""

    series: Series


@dataclass(frozen=True, slots=True)
class CatalogueChanged:
    """There are other series than before."""


KeptEvent = CandlesPublished | FeedChanged | WindowReplaced | GapsChanged | CatalogueChanged
"""What whoever keeps a copy of the windows has to know."""


@dataclass(frozen=True, slots=True)
class CandlesMissing:
    """A series lacks candles that only the exchange's history can settle."""

    series: Series
    first: int | None
    """Open time in ms; None when it has no history at all."""
    last: int | None
    """Open time in ms, inclusive; None for up to now."""
    as_of: int
    """The latest event time in ms that was known when this was found out; 0 for none."""


Event = HubEvent | CandlesMissing | KeptEvent
