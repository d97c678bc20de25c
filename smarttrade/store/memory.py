"""Every series' window, in memory: the truth from which all reads are answered.

Plain code: it is told what happened and at what time, and returns what is to be told to others.
The actor beside it does the telling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..market.candle import Candle
from ..market.copies import WindowState
from ..market.gaps import Missing, Span
from ..market.interval import Interval
from ..market.series import Series
from ..market.window import WINDOW_SIZE, Change, Difference, Window
from .counters import StoreCounters
from .events import (
    CandlesMissing,
    CandlesPublished,
    CatalogueChanged,
    Event,
    FeedChanged,
    GapsChanged,
    Published,
    Snapshot,
    SubscriptionsClosed,
    SubscriptionsOpened,
    WindowReplaced,
)
from .feed import Feed, FeedStatus
from .messages import (
    Absent,
    Catalogue,
    CloseSubscriptions,
    OpenSubscriptions,
    Overview,
    Page,
    SeriesOverview,
    Wanted,
)

OVERDUE_AFTER = 5_000
"""Milliseconds of exchange time after a candle's end by which the next one, or its closing, is
missed: twice the exchange's cadence of 2 s, and a little for the way."""

DOUBT_WITHIN = 5.0
"""Seconds that stored candles wait for the stream, before what came since is asked for anyway."""

OVERDUE_AGAIN_MOST = 60_000
"""Milliseconds of exchange time between two such questions at most. The pause doubles while the
exchange has nothing new, as in a halt of trading."""

REFUSED_AGAIN = 5.0
"""Seconds until history that the exchange refused, or had none of, is asked for again."""
REFUSED_AGAIN_MOST = 300.0
"""And at most, since the pause doubles: a symbol may be listed in a moment, or never again."""

BEHIND_AFTER = 15.0
"""Seconds for which a series may be behind another of its symbol. Every trade changes them all, in
the same push; and a stream found to be mute is read over REST more often than that."""

CONFIRMED_FOR = 90_000
"""Milliseconds of exchange time for which a REST read that brought nothing later is believed: one
and a half of the longest pause between two of them."""

CORRECTIONS_KEPT = 3_600_000
"""Milliseconds of exchange time for which corrections are remembered, for clients that were away:
what they hold may be what was corrected. One that was away for longer does better to begin anew."""

HOLD_WITHIN = 5.0
"""Seconds for which live candles wait for the history before them. Usually it is there within
one request; when the exchange does not give it, stale charts would be worse than a gap that is
told and filled later."""


class _Book:
    """What is known of one series."""

    __slots__ = (
        "ask_at",
        "ask_pause",
        "asked",
        "behind_since",
        "confirmed_at",
        "corrections",
        "doubtful_since",
        "gaps_revision",
        "held_since",
        "is_without_history",
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
        self.gaps_revision = 0
        self.doubtful_since: float | None = None
        """Since when it has candles that were stored some time ago, and nothing has followed."""
        self.told_at: float | None = None
        self.asked: Missing | None = None
        self.ask_at: float | None = None
        """When to ask again for what the exchange did not give."""
        self.ask_pause = REFUSED_AGAIN
        self.is_without_history = False
        """Whether the exchange said that there is none, which may be wrong or change."""
        self.behind_since: float | None = None
        self.corrections: dict[int, int] = {}
        """When (exchange time) candles were corrected, by their open time; oldest first."""
        self.confirmed_at = 0
        """Exchange time in ms at which the exchange had no later candle than the newest here."""
        self.held_since: float | None = None
        self.overdue_at = 0
        self.overdue_pause = OVERDUE_AFTER
        self.waiting: dict[object, Wanted] = {}

    def ask_later(self, now: float) -> None:
        self.ask_at = now + self.ask_pause
        self.ask_pause = min(2 * self.ask_pause, REFUSED_AGAIN_MOST)

    def note_corrections(self, corrections: Iterable[Candle], exchange_time: int) -> None:
        for candle in corrections:
            self.corrections.pop(candle.open_time, None)
            self.corrections[candle.open_time] = exchange_time
        self._forget_corrections(exchange_time)

    def corrected_since(self, exchange_time: int) -> int | None:
        """The oldest open time of those corrected lately."""
        self._forget_corrections(exchange_time)
        return min(self.corrections, default=None)

    def _forget_corrections(self, exchange_time: int) -> None:
        while self.corrections:
            oldest = next(iter(self.corrections))
            is_recent = exchange_time <= self.corrections[oldest] + CORRECTIONS_KEPT
            if is_recent and len(self.corrections) <= WINDOW_SIZE:
                return
            del self.corrections[oldest]


class MemoryStore:
    """All windows, and who waits for one that has no history yet."""

    def __init__(
        self,
        symbols: Sequence[str],
        intervals: Sequence[Interval],
        counters: StoreCounters | None = None,
    ) -> None:
        self.counters = counters or StoreCounters()
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
            elif change.updates:
                book.doubtful_since = None
            self._collect(series, book, change, published)
            if book.gaps_revision != book.window.known_gaps.revision:
                missing += self._gap_events(series, book)
        if not published:
            return missing
        self.counters.published += len(published)
        self.updated_at = wall
        return [CandlesPublished(published), *missing]

    def put_history(
        self,
        series: Series,
        rows: Sequence[Candle],
        first: int | None,
        wall: float,
        now: float = 0.0,
    ) -> list[Event]:
        """Merge rows that were read over REST; the first ones make the series ready.

        Rows that reach the newest candle tell of it as the stream does.
        """
        book = self._books.get(series)
        if book is None:
            return []
        book.asked = None
        book.doubtful_since = None
        window = book.window
        self._note_answer(book, rows, first, now)
        rows = [self._as_known(row) for row in rows]
        if not window.is_ready:
            return self._begin(series, book, rows, wall)
        before = window.newest
        events = self._published(series, book, window.merge(rows, first), wall)
        if before and window.oldest and before.open_time < window.oldest.open_time:
            events.append(WindowReplaced(series))
        return events

    def _note_answer(
        self, book: _Book, rows: Sequence[Candle], first: int | None, now: float
    ) -> None:
        newest = book.window.newest
        if rows:
            book.ask_at, book.ask_pause = None, REFUSED_AGAIN
        reached = rows[-1].open_time if rows else first
        if newest is None or (reached is not None and reached >= newest.open_time):
            book.told_at = now
            book.confirmed_at = self._estimated_exchange_time(now)
        if first is None:
            book.is_without_history = not rows
            if not rows:
                book.ask_later(now)

    def history_refused(self, series: Series, now: float) -> list[Event]:
        """Nothing came of a question: what is still missing is asked for again, ever later."""
        if (book := self._books.get(series)) is not None:
            book.ask_later(now)
        return []

    def _begin(
        self, series: Series, book: _Book, rows: Sequence[Candle], wall: float
    ) -> list[Event]:
        """The first history. Who subscribed without a snapshot gets what is news: live candles."""
        news = book.window.oldest_held
        change = book.window.merge(rows)
        book.gaps_revision = book.window.known_gaps.revision
        book.revision += 1
        self.updated_at = wall
        events: list[Event] = []
        if news is not None and (told := [c for c in change.updates if c.open_time >= news]):
            events.append(CandlesPublished([Published(series, candle, False) for candle in told]))
        events += self._open_waiting(series, book)
        if change.missing is not None:
            events += self._ask(series, book, change.missing)
        return [*events, WindowReplaced(series)]

    def differences(self, series: Series, rows: Sequence[Candle]) -> tuple[Difference, ...]:
        """Which closed rows of the exchange's history are not what was published."""
        book = self._books.get(series)
        return () if book is None else book.window.differences(rows)

    def correct(self, series: Series, rows: Iterable[Candle], wall: float) -> list[Event]:
        """Put closed rows of the exchange's history in the place of what differs from them."""
        book = self._books.get(series)
        if book is None:
            return []
        return [
            event
            for row in rows
            for event in self._published(series, book, book.window.correct(row), wall)
        ]

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
            self.counters.published += len(published)
            self.updated_at = wall
            events.append(CandlesPublished(published))
        if change.missing is not None:
            events += self._ask(series, book, change.missing)
        return events + self._gap_events(series, book)

    @staticmethod
    def _gap_events(series: Series, book: _Book) -> list[Event]:
        if book.gaps_revision == book.window.known_gaps.revision:
            return []
        book.gaps_revision = book.window.known_gaps.revision
        book.revision += 1
        return [GapsChanged(series)]

    def _collect(self, series: Series, book: _Book, change: Change, into: list[Published]) -> None:
        if not change:
            return
        book.revision += 1
        if change.corrections:
            self.counters.corrected += len(change.corrections)
            book.note_corrections(change.corrections, self._exchange_time)
            into += [Published(series, candle, True) for candle in change.corrections]
        into += [Published(series, candle, False) for candle in change.updates]

    def _ask(self, series: Series, book: _Book, missing: Missing) -> list[Event]:
        """Ask for what is missing, once, however many live candles come meanwhile."""
        if book.asked == missing:
            return []
        book.asked = missing
        self.counters.missing += 1
        return [CandlesMissing(series, missing.first, missing.last, self._exchange_time)]

    # -- copies ----------------------------------------------------------------------------

    def state_of(self, series: Series) -> WindowState | None:
        """All that is known of a series; None when that is nothing yet."""
        book = self._books.get(series)
        return book.window.state if book is not None and book.window.is_ready else None

    def restore(
        self,
        windows: Iterable[tuple[Series, WindowState]],
        listed: Iterable[str],
        now: float,
    ) -> list[Event]:
        """Begin with what was stored, where there is nothing yet."""
        events: list[Event] = []
        for series, state in windows:
            book = self._books.get(series)
            if book is None or book.window.is_ready or not state.candles:
                continue
            change = book.window.restore(state)
            book.doubtful_since = now
            book.revision += 1
            book.gaps_revision = book.window.known_gaps.revision
            now_known = book.window.state
            if now_known.candles != state.candles:
                events.append(WindowReplaced(series))
            elif now_known != state:
                events.append(GapsChanged(series))
            events += self._open_waiting(series, book)
            if change.missing is not None:
                events += self._ask(series, book, change.missing)
        if not self.is_listed and set(self.symbols) <= set(listed):
            self.is_listed = True  # the exchange is asked again; meanwhile this is most likely
        return events

    def adopt_catalogue(self, symbols: Iterable[str], intervals: Iterable[Interval]) -> list[Event]:
        """Have these series and no others."""
        self.symbols, self.intervals = tuple(symbols), tuple(intervals)
        self._books = {
            series: self._books.get(series) or _Book(series.interval)
            for series in (Series(s, i) for s in self.symbols for i in self.intervals)
        }
        return [CatalogueChanged()]

    def adopt(self, windows: Iterable[tuple[Series, WindowState]], wall: float) -> list[Event]:
        """Become equal to the windows of the one who leads; what differs is published."""
        events: list[Event] = []
        for series, state in windows:
            book = self._books.get(series)
            if book is None:
                continue
            was_ready = book.window.is_ready
            change = book.window.adopt(state)
            if was_ready:
                events += self._published(series, book, change, wall)
            else:
                book.gaps_revision = book.window.known_gaps.revision
                book.revision += 1
                events += self._open_waiting(series, book)
        self.updated_at = wall
        return events

    def follow(
        self,
        published: Iterable[Published],
        gaps: Mapping[Series, tuple[Iterable[Span], Iterable[Missing]]],
        now: float,
        wall: float,
    ) -> list[Event]:
        """Take what the one who leads has published; what was known already is left out."""
        told: list[Published] = []
        for series, candle, corrected in published:
            book = self._books.get(series)
            if book is None or not book.window.is_ready:
                continue
            if not corrected:
                book.told_at = now
            if candle.event_time > self._exchange_time:
                self._exchange_time = candle.event_time
                self._exchange_time_at = now
            self._collect(series, book, book.window.follow(candle, corrected=corrected), told)
        events: list[Event] = [CandlesPublished(told)] if told else []
        for series, (holes, unfilled) in gaps.items():
            if (book := self._books.get(series)) is not None:
                book.window.follow_gaps(holes, unfilled)
                events += self._gap_events(series, book)
        self.counters.published += len(told)
        self.updated_at = wall if told else self.updated_at
        return events

    # -- what is missing -------------------------------------------------------------------

    def find_missing(self, wanted: Iterable[Series], *, but_stored: bool = False) -> list[Event]:
        """What each series lacks from its first unsettled candle up to now."""
        return [
            CandlesMissing(series, self._unsettled(book), None, self._exchange_time)
            for series in wanted
            if (book := self._books.get(series)) is not None
            and not (but_stored and book.doubtful_since is not None)
        ]

    @staticmethod
    def _unsettled(book: _Book) -> int | None:
        window = book.window
        newest = window.newest
        if not window.is_ready or newest is None or book.is_without_history:
            return None
        if window.unfilled:
            return window.unfilled[0].first
        return window.interval.next(newest.open_time) if newest.closed else newest.open_time

    def look_around(self, now: float, wall: float) -> list[Event]:
        """Ask for what is overdue, and publish what has been held back for too long."""
        time = self._estimated_exchange_time(now)
        events: list[Event] = []
        overdue = []
        self._note_behind(now)
        for series, book in self._books.items():
            if not book.window.held or not book.window.is_ready:
                book.held_since = None
            elif book.held_since is None:
                book.held_since = now
            elif now > book.held_since + HOLD_WITHIN:
                events += self._published(series, book, book.window.release(), wall)
            if self._is_overdue(book, time):
                overdue.append(series)
            elif book.doubtful_since is not None and now > book.doubtful_since + DOUBT_WITHIN:
                book.doubtful_since = now
                overdue.append(series)
            elif book.ask_at is not None and now > book.ask_at:
                book.ask_at = None
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

    def _note_behind(self, now: float) -> None:
        """Since when each series lacks a trade that another of its symbol has."""
        latest: dict[str, Candle] = {}
        for series, book in self._books.items():
            newest, known = book.window.newest, latest.get(series.symbol)
            if newest is not None and (known is None or _is_told_later(newest, known)):
                latest[series.symbol] = newest
        for series, book in self._books.items():
            newest = book.window.newest
            if newest is None or not _lacks_a_trade(newest, latest[series.symbol]):
                book.behind_since = None
            elif book.behind_since is None:
                book.behind_since = now

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

    def list_symbols(self, symbols: Iterable[str]) -> list[Event]:
        """Keep only `symbols` of those that are configured."""
        kept = set(symbols)
        self.is_listed = True
        self.symbols = tuple(symbol for symbol in self.symbols if symbol in kept)
        self._books = {s: book for s, book in self._books.items() if s.symbol in kept}
        return [CatalogueChanged()]

    # -- reading ---------------------------------------------------------------------------

    def revision_of(self, series: Series) -> int | None:
        """Grows with every change of a series; None when there is no such series.

        The only thing that others may read here without asking the actor: it says whether an
        answer that they keep still holds.
        """
        book = self._books.get(series)
        return None if book is None else book.revision

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
        self._note_behind(now)
        return Overview(
            symbols=self.symbols,
            intervals=self.intervals,
            series=tuple(
                SeriesOverview(
                    series=series,
                    count=len(book.window),
                    newest=book.window.newest,
                    age=None if book.told_at is None else now - book.told_at,
                    trouble=self._trouble(book, now),
                    gaps=book.window.gaps(),
                )
                for series, book in self._books.items()
            ),
            feed=self.feed,
            updated_at=self.updated_at,
            exchange_time=self._estimated_exchange_time(now),
        )

    def _trouble(self, book: _Book, now: float) -> str | None:
        window = book.window
        if not window.is_ready:
            return "history not read from the exchange yet"
        if book.doubtful_since is not None:
            return "stored candles; what came since is being read from the exchange"
        if window.unfilled or window.held:
            return "candles missing that are being read from the exchange"
        time = self._estimated_exchange_time(now)
        if window.is_overdue(time, 2 * OVERDUE_AFTER) and not _is_confirmed(book, time):
            return "newest candle ended and nothing later is known"
        if book.behind_since is not None and now > book.behind_since + BEHIND_AFTER:
            return "its stream says nothing, although there were trades"
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
                snapshots.append(self._snapshot(wanted, book))
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

    def _open_waiting(self, series: Series, book: _Book) -> list[Event]:
        waiting, book.waiting = book.waiting, {}
        return [
            SubscriptionsOpened(subscriber, b"", (series,), (self._snapshot(wanted, book),))
            for subscriber, wanted in waiting.items()
        ]

    def _snapshot(self, wanted: Wanted, book: _Book) -> Snapshot:
        """What a subscriber wants.

        And what was corrected lately, perhaps while it was away.
        """
        window = book.window
        if wanted.since is None:
            return Snapshot(wanted.series, window.newest_candles(wanted.snapshot or 0), False)
        oldest = window.oldest
        truncated = window.is_full and oldest is not None and oldest.open_time > wanted.since
        corrected = book.corrected_since(self._exchange_time)
        begin = wanted.since if corrected is None else min(wanted.since, corrected)
        return Snapshot(wanted.series, window.since(begin), truncated)

    def report_feed(self, status: FeedStatus) -> list[Event]:
        self.feed = status
        return [FeedChanged(status)]


def _is_confirmed(book: _Book, time: int) -> bool:
    """Whether the exchange itself had nothing later, when asked after the newest candle's end."""
    newest = book.window.newest
    return (
        newest is not None
        and book.confirmed_at > book.window.interval.close_time(newest.open_time)
        and time <= book.confirmed_at + CONFIRMED_FOR
    )


def _is_told_later(one: Candle, other: Candle) -> bool:
    return (one.event_time, one.open_time) > (other.event_time, other.open_time)


def _lacks_a_trade(newest: Candle, sibling: Candle) -> bool:
    """Whether another series of the symbol, told later, has a trade that this one has not.

    Its price is another, or all of its candle came after what this one knows. A series without
    trades keeps its price, whatever candles without volume begin and end.
    """
    return sibling.event_time > newest.event_time and (
        sibling.close != newest.close
        or (sibling.open_time > newest.event_time and sibling.volume > 0)
    )
