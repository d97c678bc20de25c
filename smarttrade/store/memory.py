"""Every series' window, in memory: the truth from which all reads are answered.

Plain code: it is told what happened and at what time, and returns what is to be told to others.
The actor beside it does the telling.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..market.candle import Candle
from ..market.interval import Interval
from ..market.series import Series
from ..market.window import Change, Missing, Window
from .messages import (
    Absent,
    CandlesMissing,
    CandlesPublished,
    Catalogue,
    CloseSubscriptions,
    Feed,
    FeedChanged,
    FeedStatus,
    HubEvent,
    OpenSubscriptions,
    Overview,
    Page,
    Published,
    SeriesOverview,
    Snapshot,
    SubscriptionsClosed,
    SubscriptionsOpened,
    Wanted,
)

OVERDUE_AFTER = 5_000
"""Milliseconds of exchange time after a candle's end by which the next one, or its closing, is
missed: twice the exchange's cadence of 2 s, and a little for the way."""

OVERDUE_AGAIN_MOST = 60_000
"""Milliseconds of exchange time between two such questions at most. The pause doubles while the
exchange has nothing new, as in a halt of trading."""

HOLD_WITHIN = 5.0
"""Seconds for which live candles wait for the history before them. Usually it is there within
one request; when the exchange does not give it, stale charts would be worse than a gap that is
told and filled later."""

Event = HubEvent | CandlesMissing


class _Book:
    """What is known of one series."""

    __slots__ = (
        "asked",
        "held_since",
        "overdue_at",
        "overdue_pause",
        "revision",
        "told_at",
        "waiting",
        "window",
    )

    def __init__(self, interval: Interval) -> None:
        self.window = Window(interval)
        self.revision = 0
        self.told_at: float | None = None
        self.asked: Missing | None = None
        self.held_since: float | None = None
        self.overdue_at = 0
        self.overdue_pause = OVERDUE_AFTER
        self.waiting: dict[object, Wanted] = {}


class MemoryStore:
    """All windows, and who waits for one that has no history yet."""

    def __init__(self, symbols: Sequence[str], intervals: Sequence[Interval]) -> None:
        self.symbols = tuple(symbols)
        self.intervals = tuple(intervals)
        self.is_listed = False
        self.feed = FeedStatus(Feed.DOWN, 0.0)
        self.updated_at: float | None = None
        self._books = {
            Series(symbol, interval): _Book(interval)
            for symbol in self.symbols
            for interval in self.intervals
        }
        self._exchange_time = 0
        self._exchange_time_at = 0.0

    # -- candles ---------------------------------------------------------------------------

    def put_updates(
        self, updates: Iterable[tuple[Series, Candle]], now: float, wall: float
    ) -> list[Event]:
        """Apply live candles. `now` is the loop's time and `wall` the wall clock, in seconds."""
        published: list[Published] = []
        missing: list[Event] = []
        books = self._books
        for series, candle in updates:
            book = books.get(series)
            if book is None:
                continue
            book.told_at = now
            if candle.event_time > self._exchange_time:
                self._exchange_time = candle.event_time
                self._exchange_time_at = now
            change = book.window.apply(candle)
            if change.missing is not None:
                missing += self._ask(series, book, change.missing)
            self._collect(series, book, change, published)
        if not published:
            return missing
        self.updated_at = wall
        return [CandlesPublished(published), *missing]

    def put_history(
        self, series: Series, rows: Sequence[Candle], first: int | None, wall: float
    ) -> list[Event]:
        """Merge rows that were read over REST; the first ones make the series ready."""
        book = self._books.get(series)
        if book is None:
            return []
        book.asked = None
        window = book.window
        rows = [self._as_known(row) for row in rows]
        if not window.is_ready:
            return self._begin(series, book, rows, wall)
        gaps, revision = window.gaps(), book.revision
        events = self._published(series, book, window.merge(rows, first), wall)
        if book.revision == revision and window.gaps() != gaps:
            book.revision += 1  # a gap that is a hole of the exchange, as is known now
        return events

    def _begin(
        self, series: Series, book: _Book, rows: Sequence[Candle], wall: float
    ) -> list[Event]:
        """The first history. Who subscribed without a snapshot gets what is news: live candles."""
        news = book.window.oldest_held
        change = book.window.merge(rows)
        book.revision += 1
        self.updated_at = wall
        events: list[Event] = []
        if news is not None and (told := [c for c in change.updates if c.open_time >= news]):
            events.append(CandlesPublished([Published(series, candle, False) for candle in told]))
        events += self._open_waiting(series, book)
        if change.missing is not None:
            events += self._ask(series, book, change.missing)
        return events

    def _as_known(self, row: Candle) -> Candle:
        """A forming state counts as known now: events that were on their way are not later."""
        if row.closed or row.event_time >= self._exchange_time:
            return row
        return row._replace(event_time=self._exchange_time)

    def _published(self, series: Series, book: _Book, change: Change, wall: float) -> list[Event]:
        published: list[Published] = []
        self._collect(series, book, change, published)
        events: list[Event] = []
        if published:
            self.updated_at = wall
            events.append(CandlesPublished(published))
        if change.missing is not None:
            events += self._ask(series, book, change.missing)
        return events

    @staticmethod
    def _collect(series: Series, book: _Book, change: Change, into: list[Published]) -> None:
        if not change:
            return
        book.revision += 1
        into += [Published(series, candle, True) for candle in change.corrections]
        into += [Published(series, candle, False) for candle in change.updates]

    def _ask(self, series: Series, book: _Book, missing: Missing) -> list[Event]:
        """Ask for what is missing, once, however many live candles come meanwhile."""
        if book.asked == missing:
            return []
        book.asked = missing
        return [CandlesMissing(series, missing.first, missing.last, self._exchange_time)]

    # -- what is missing -------------------------------------------------------------------

    def find_missing(self, wanted: Iterable[Series]) -> list[Event]:
        """What each series lacks from its first unsettled candle up to now."""
        return [
            CandlesMissing(series, self._unsettled(book.window), None, self._exchange_time)
            for series in wanted
            if (book := self._books.get(series)) is not None
        ]

    @staticmethod
    def _unsettled(window: Window) -> int | None:
        newest = window.newest
        if not window.is_ready or newest is None:
            return None
        if window.unfilled:
            return window.unfilled[0].first
        return window.interval.next(newest.open_time) if newest.closed else newest.open_time

    def look_around(self, now: float, wall: float) -> list[Event]:
        """Ask for what is overdue, and publish what has been held back for too long."""
        time = self._estimated_exchange_time(now)
        events: list[Event] = []
        overdue = []
        for series, book in self._books.items():
            if not book.window.held or not book.window.is_ready:
                book.held_since = None
            elif book.held_since is None:
                book.held_since = now
            elif now > book.held_since + HOLD_WITHIN:
                events += self._published(series, book, book.window.release(), wall)
            if self._is_overdue(book, time):
                overdue.append(series)
        return events + self.find_missing(overdue)

    @staticmethod
    def _is_overdue(book: _Book, time: int) -> bool:
        """Whether to ask for the candle after the newest, which should be there by now."""
        if not book.window.is_ready or not book.window.is_overdue(time, OVERDUE_AFTER):
            book.overdue_at, book.overdue_pause = 0, OVERDUE_AFTER
            return False
        if time < book.overdue_at:
            return False
        book.overdue_at = time + book.overdue_pause
        book.overdue_pause = min(2 * book.overdue_pause, OVERDUE_AGAIN_MOST)
        return True

    def _estimated_exchange_time(self, now: float) -> int:
        """The latest event time, and what has passed since; 0 before the first event."""
        if not self._exchange_time:
            return 0
        return self._exchange_time + int(1000 * (now - self._exchange_time_at))

    # -- catalogue -------------------------------------------------------------------------

    @property
    def listed(self) -> tuple[Series, ...]:
        return tuple(self._books)

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.symbols, self.intervals)

    def list_symbols(self, symbols: Iterable[str]) -> None:
        """Keep only `symbols` of those that are configured."""
        kept = set(symbols)
        self.is_listed = True
        self.symbols = tuple(symbol for symbol in self.symbols if symbol in kept)
        self._books = {s: book for s, book in self._books.items() if s.symbol in kept}

    # -- reading ---------------------------------------------------------------------------

    def page(self, series: Series, limit: int, before: int | None) -> Page | Absent:
        book = self._books.get(series)
        if book is None:
            return Absent.SYMBOL if series.symbol not in self.symbols else Absent.INTERVAL
        window = book.window
        if not window.is_ready:
            return Absent.HISTORY
        candles = window.newest_candles(limit, before)
        oldest, newest = window.oldest, window.newest
        return Page(
            candles=candles,
            as_of=max(newest.event_time, newest.open_time) if newest else 0,
            has_more=bool(candles and oldest and candles[0].open_time > oldest.open_time),
            gaps=window.gaps(),
            revision=book.revision,
        )

    def overview(self, now: float) -> Overview:
        return Overview(
            symbols=self.symbols,
            intervals=self.intervals,
            series=tuple(
                SeriesOverview(
                    series=series,
                    count=len(book.window),
                    newest=book.window.newest,
                    age=None if book.told_at is None else now - book.told_at,
                    trouble=self._trouble(book.window, now),
                )
                for series, book in self._books.items()
            ),
            feed=self.feed,
            updated_at=self.updated_at,
        )

    def _trouble(self, window: Window, now: float) -> str | None:
        if not window.is_ready:
            return "history not read from the exchange yet"
        if window.unfilled or window.held:
            return "candles missing that are being read from the exchange"
        if window.is_overdue(self._estimated_exchange_time(now), 2 * OVERDUE_AFTER):
            return "newest candle ended and nothing later is known"
        return None

    # -- subscribers -----------------------------------------------------------------------

    def open_subscriptions(self, request: OpenSubscriptions) -> list[Event]:
        """Attach a subscriber; what has no history yet is attached once it has."""
        now_open, snapshots = [], []
        for wanted in request.wanted:
            book = self._books.get(wanted.series)
            if book is None:
                continue
            if wanted.snapshot is None and wanted.since is None:
                now_open.append(wanted.series)
            elif book.window.is_ready:
                now_open.append(wanted.series)
                snapshots.append(_snapshot(wanted, book.window))
            else:
                book.waiting[request.subscriber] = wanted
        return [
            SubscriptionsOpened(
                request.subscriber, request.acknowledgement, tuple(now_open), tuple(snapshots)
            )
        ]

    def close_subscriptions(self, request: CloseSubscriptions) -> list[Event]:
        series = tuple(self._books) if request.series is None else request.series
        for each in series:
            if (book := self._books.get(each)) is not None:
                book.waiting.pop(request.subscriber, None)
        closed = None if request.series is None else tuple(request.series)
        return [SubscriptionsClosed(request.subscriber, closed, request.acknowledgement)]

    @staticmethod
    def _open_waiting(series: Series, book: _Book) -> list[Event]:
        waiting, book.waiting = book.waiting, {}
        return [
            SubscriptionsOpened(subscriber, b"", (series,), (_snapshot(wanted, book.window),))
            for subscriber, wanted in waiting.items()
        ]

    def report_feed(self, status: FeedStatus) -> list[Event]:
        self.feed = status
        return [FeedChanged(status)]


def _snapshot(wanted: Wanted, window: Window) -> Snapshot:
    if wanted.since is None:
        return Snapshot(wanted.series, window.newest_candles(wanted.snapshot or 0), False)
    oldest = window.oldest
    truncated = window.is_full and oldest is not None and oldest.open_time > wanted.since
    return Snapshot(wanted.series, window.since(wanted.since), truncated)
