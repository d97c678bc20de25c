"""What the store reports: to the hub, for clients; to the backfill; and to the journal."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from actors import Reply

from ..market.candle import Candle
from ..market.series import Series
from ..market.symbol_details import SymbolDetails
from .feed import FeedStatus

SubscriberT = TypeVar("SubscriberT", bound=Hashable)
"""A client session; the store only passes it from the session to the hub."""


class Published(NamedTuple):
    """A new state of one candle."""

    series: Series
    candle: Candle
    corrected: bool
    """True when it lies in the past of what has been published: a repair."""


class Snapshot(NamedTuple):
    """A series' candles at the instant at which its updates begin."""

    series: Series
    candles: Sequence[Candle]
    truncated: bool
    """True when the window no longer reaches back to the time that was asked for."""
    following: Sequence[Candle] = ()
    """Those after a candle that has ended and is not final yet. They are sent as updates are: a
    snapshot says of its last candle alone whether it is final."""


@dataclass(frozen=True, slots=True)
class CandlesPublished:
    """Candles have changed, in this order."""

    published: Sequence[Published]


@dataclass(frozen=True, slots=True)
class SubscriptionsOpened(Generic[SubscriberT]):
    """A subscriber gets every later event of these series."""

    subscriber: SubscriberT
    acknowledgement: bytes
    series: tuple[Series, ...]
    snapshots: tuple[Snapshot, ...]
    not_trading: tuple[tuple[str, SymbolDetails], ...] = ()
    """Of the symbols that were asked for, those that the exchange does not trade now."""
    reply: Reply[None] | None = None
    """To be answered when all of this is posted."""


@dataclass(frozen=True, slots=True)
class SubscriptionsClosed(Generic[SubscriberT]):
    """A subscriber gets no more of these series, or of any when None."""

    subscriber: SubscriberT
    series: tuple[Series, ...] | None
    acknowledgement: bytes


@dataclass(frozen=True, slots=True)
class FeedChanged:
    """See `FeedReport`."""

    status: FeedStatus
    shards: Sequence[FeedStatus | None] = ()


@dataclass(frozen=True, slots=True)
class SeriesReturned:
    """A series that was gone is back: its subscribers get what they missed."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class SeriesWithdrawn(Generic[SubscriberT]):
    """A series is not served any more; its subscribers stay, for it may return."""

    series: Series
    waiting: tuple[SubscriberT, ...]
    """Those that were to be subscribed once it had a history."""


@dataclass(frozen=True, slots=True)
class SymbolChanged:
    """The exchange has halted, delisted or refused a symbol, or trades it again."""

    symbol: str
    details: SymbolDetails
    waiting: tuple[Any, ...] = ()
    """Subscribers that wait for its history, and so get no other event of it."""


HubEvent = (
    CandlesPublished
    | SeriesReturned
    | SubscriptionsOpened[Any]
    | SubscriptionsClosed[Any]
    | SeriesWithdrawn[Any]
    | FeedChanged
    | SymbolChanged
)


@dataclass(frozen=True, slots=True)
class WindowReplaced:
    """A series has got its history, or begun again."""

    series: Series


@dataclass(frozen=True, slots=True)
class GapsChanged:
    """A gap of a series was found, filled, or explained."""

    series: Series


@dataclass(frozen=True, slots=True)
class CatalogueChanged:
    """There are other series than before."""


JournalEvent = WindowReplaced | GapsChanged | CatalogueChanged
"""What only the journal needs."""


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
    is_wanted: bool = False
    """Whether a client waits for it: it is read before what no one asks for."""


Event = HubEvent | CandlesMissing | JournalEvent
