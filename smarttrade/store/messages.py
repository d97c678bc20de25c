"""What the store understands: commands, and questions with their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, NamedTuple

from actors import Reply

from ..market.candle import Candle
from ..market.differences import Difference
from ..market.gaps import Gap
from ..market.interval import Interval
from ..market.series import Series
from ..market.symbol_details import SymbolDetails
from ..market.window_state import SeriesNotes, WindowState
from .events import Published, SubscriberT
from .feed import FeedStatus

# -- Commands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PutUpdates:
    """Take live candles, in the exchange's order."""

    updates: Sequence[tuple[Series, Candle]]


@dataclass(frozen=True, slots=True)
class PutHistory:
    """Take an unbroken range of a series' history, read over REST."""

    series: Series
    rows: Sequence[Candle]
    first: int | None
    """The open time in ms from which on it was asked for; None when the newest were."""


@dataclass(frozen=True, slots=True)
class HistoryRefused:
    """The exchange does not give what was asked for of this series, and repeating it is useless."""

    series: Series


@dataclass(frozen=True, slots=True)
class CorrectCandles:
    """Put the exchange's own closed candles in the place of what differs from them."""

    series: Series
    rows: Sequence[Candle]


@dataclass(frozen=True, slots=True)
class ListSymbols:
    """Serve these of the configured symbols: those that the exchange lists, or listed before."""

    symbols: Sequence[str]
    details: Mapping[str, SymbolDetails] = field(default_factory=dict)
    """What the exchange says of each configured symbol, those that are not served too. One that is
    absent counts as trading."""


@dataclass(frozen=True, slots=True)
class FindMissing:
    """Report to the backfill what these series lack: up to now, as after a reconnect."""

    series: Sequence[Series]
    skip_restored: bool = False
    """Leave out those that have begun with what was stored: the stream is about to be connected,
    and they will be asked for then. If it is not, the store asks by itself."""


@dataclass(frozen=True, slots=True)
class CheckOverdue:
    """Periodic: check which series are overdue, or have buffered candles for too long.

    With many series this is done in slices, between other messages.
    """


@dataclass(frozen=True, slots=True)
class ReportFeed:
    """Pass on how the exchange's stream is doing. See `FeedReport`."""

    status: FeedStatus
    shards: Sequence[FeedStatus | None] = ()


@dataclass(frozen=True, slots=True)
class ReportExchangeTime:
    """What the exchange's clock shows."""

    time: int
    """In ms since the epoch."""


@dataclass(frozen=True, slots=True)
class RestoreWindows:
    """Begin with what was stored, where there is no history yet; else take what is later in it.

    What came since is still to be read from the exchange.
    """

    windows: Sequence[tuple[Series, WindowState]]
    listed: Sequence[str]
    """Symbols that the exchange listed then."""
    details: Mapping[str, SymbolDetails] = field(default_factory=dict)
    """What it listed of each symbol."""


@dataclass(frozen=True, slots=True)
class TakeCorrections:
    """Take what another process has corrected, so that clients that come from there have it."""

    published: Sequence[Published]
    at: int
    """Exchange time in ms."""


@dataclass(frozen=True, slots=True)
class AdoptCatalogue:
    """Replace the catalogue by the leader's: its series, with candles of its exchange only."""

    symbols: Sequence[str]
    intervals: Sequence[Interval]
    origin: str | None
    details: Mapping[str, SymbolDetails] = field(default_factory=dict)
    """Empty while the leader does not know any: what is known of its exchange stays."""


@dataclass(frozen=True, slots=True)
class AdoptWindows:
    """Become equal to the leader's windows."""

    windows: Sequence[tuple[Series, WindowState]]
    time: int = 0
    """What the exchange's clock showed then, in ms; 0 if that is not known."""


@dataclass(frozen=True, slots=True)
class FollowUpdates:
    """Apply what the leader has published, in its order."""

    published: Sequence[Published]
    notes: Mapping[Series, SeriesNotes]
    """Of series of which something new is known beside candles."""
    time: int = 0
    """What the exchange's clock showed then, in ms; 0 if that is not known."""


class SubscriptionSpec(NamedTuple):
    """One series that a subscriber wants, and from where on."""

    series: Series
    snapshot: int | None = None
    """How many of the newest candles to begin with."""
    since: int | None = None
    """Or: the open time in ms from which on to begin. Wins over `snapshot`."""


@dataclass(frozen=True, slots=True)
class OpenSubscriptions(Generic[SubscriberT]):
    """Send `subscriber` these series' changes from one instant on.

    A snapshot of a series that has no history yet is sent once it has.
    """

    subscriber: SubscriberT
    wanted: Sequence[SubscriptionSpec]
    acknowledgement: bytes
    """Handed to the hub as it is, ahead of every snapshot."""
    reply: Reply[None] | None = None
    """Answered by the hub, once all of it is posted."""


@dataclass(frozen=True, slots=True)
class CloseSubscriptions(Generic[SubscriberT]):
    """Send `subscriber` no more of these series, or of any when None."""

    subscriber: SubscriberT
    series: Sequence[Series] | None = None
    acknowledgement: bytes = b""


Command = (
    PutUpdates
    | PutHistory
    | HistoryRefused
    | CorrectCandles
    | ListSymbols
    | ReportFeed
    | ReportExchangeTime
    | RestoreWindows
    | TakeCorrections
    | AdoptCatalogue
    | AdoptWindows
    | FollowUpdates
    | OpenSubscriptions[Any]
    | CloseSubscriptions[Any]
)


# -- Questions ------------------------------------------------------------------------------


class PageUnavailable(Enum):
    """Why there is no page of candles."""

    SYMBOL = "unknown symbol"
    INTERVAL = "unknown interval"
    HISTORY = "not read from the exchange yet"


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a series' candles, as they were at one instant."""

    candles: Sequence[Candle]
    as_of: int
    """Everything up to this exchange time, in ms, is in it."""
    has_more: bool
    """Whether the window holds older candles than these."""
    gaps: tuple[Gap, ...]
    revision: int
    """Grows with every change of the series, and only then."""


@dataclass(frozen=True, slots=True)
class GetPage:
    """Ask for at most `limit` candles, the newest that open before `before` (ms)."""

    series: Series
    limit: int
    before: int | None
    reply: Reply[Page | PageUnavailable]


@dataclass(frozen=True, slots=True)
class GetDifferences:
    """Ask which of these closed candles of the exchange are not what was published."""

    series: Series
    rows: Sequence[Candle]
    reply: Reply[tuple[Difference, ...]]


@dataclass(frozen=True, slots=True)
class SeriesOverview:
    series: Series
    count: int
    newest: Candle | None
    age: float | None
    """Seconds since the exchange last reported this series; None when it never did."""
    not_ready_reason: str | None
    """Why it is not ready, in words; None when it is complete and up to date."""
    gaps: tuple[Gap, ...] = ()
    """What is absent inside the window."""
    is_loaded: bool = True
    """Whether its candles can be served, be they stale."""
    is_excused: bool = False
    """Whether its symbol has not traded for so long that this is no reason to be not ready."""


@dataclass(frozen=True, slots=True)
class Overview:
    """All series together. With many of them, what is known of each may be a second old."""

    symbols: tuple[str, ...]
    intervals: tuple[Interval, ...]
    feed: FeedStatus
    updated_at: float | None
    """Wall clock of the last change, in seconds since the epoch; None before the first."""
    age: float | None = None
    """Seconds since the exchange last sent any series; None when it never did."""
    origin: str | None = None
    """Which exchange the candles are from; see `market/origin.py`."""
    exchange_time: int = 0
    """Estimate of the exchange's clock, in ms; 0 before its first event."""
    details: Mapping[str, SymbolDetails] = field(default_factory=dict)
    """What the exchange says of each configured symbol, once it was asked."""
    serving_for: float = 0.0
    """Seconds since the first series had a history; 0 before."""
    not_ready: Mapping[Series, str] = field(default_factory=dict)
    """Which series are not complete and up to date, and why."""
    excused: Mapping[Series, str] = field(default_factory=dict)
    """The same of symbols that have not traded for so long that this is no reason to be not
    ready."""
    not_loaded: Mapping[Series, str] = field(default_factory=dict)
    """Which series cannot be served at all, and why."""
    gaps: Mapping[str, int] = field(default_factory=dict)
    """Ranges absent inside the windows, by cause."""
    symbol_ages: Mapping[str, float] = field(default_factory=dict)
    """Of each symbol that trades: seconds since the exchange last sent it. Absent until it has."""

    @property
    def series_count(self) -> int:
        return len(self.symbols) * len(self.intervals)


@dataclass(frozen=True, slots=True)
class GetOverview:
    reply: Reply[Overview]


@dataclass(frozen=True, slots=True)
class GetSymbolOverviews:
    """Ask for each series of these symbols at one instant, in the order of the catalogue.

    Symbols that are not served are left out. A few at a time: the store does nothing else
    meanwhile.
    """

    symbols: Sequence[str]
    reply: Reply[tuple[SeriesOverview, ...]]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is on offer, in the configured order."""

    symbols: tuple[str, ...]
    intervals: tuple[Interval, ...]
    details: Mapping[str, SymbolDetails] = field(default_factory=dict)
    """By symbol; of some, nothing may be known yet."""
    members: AbstractSet[str] = frozenset()
    """The symbols once more, for a look-up; found from `symbols` if not given."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", self.members or frozenset(self.symbols))


@dataclass(frozen=True, slots=True)
class GetCatalogue:
    reply: Reply[Catalogue]


@dataclass(frozen=True, slots=True)
class MergeWindows:
    """Ask that what is later in these stored windows be taken; answered when that is done."""

    windows: Sequence[tuple[Series, WindowState]]
    reply: Reply[None]


@dataclass(frozen=True, slots=True)
class GetListed:
    """Ask for the series that the exchange lists; answered as soon as it has been asked."""

    reply: Reply[tuple[Series, ...]]


Question = GetPage | GetOverview | GetSymbolOverviews | GetCatalogue | GetDifferences
"""Answered at once from what is known; `GetListed` may have to wait."""

StoreMessage = Command | Question | FindMissing | MergeWindows | GetListed | CheckOverdue
