"""From the exchange's candles, as they come and as they are read, to what is published."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..market.candle import Candle
from ..market.differences import Difference, differences
from ..market.packed_candles import PackedCandles
from ..market.series import Series
from ..market.settling import SETTLING_TIME, forming_from, up_to_unsettled
from ..market.window import WINDOW_SIZE
from .events import CandlesPublished, Event, Published, SeriesReturned, WindowReplaced
from .messages import SubscriptionSpec
from .series_state import SeriesState
from .windows import Windows


class LiveCandles(Windows):
    """What the feed brings."""

    def put_updates(
        self, updates: Sequence[tuple[Series, Candle]], now: float, wall: float
    ) -> list[Event]:
        """Apply live candles. `now` is the loop's time and `wall` the wall clock, in seconds."""
        published: list[Published] = []
        missing: list[Event] = []
        if not self._clock.latest and (first := max((c.event_time for _, c in updates), default=0)):
            missing += self.learn_time(first, now)
        states, clock = self._series, self._clock
        for series, candle in updates:
            state = states.find(series)
            if state is None:
                continue
            state.freshness.received_at = self._received_at = now
            if candle.event_time > clock.latest:
                clock.learn(candle.event_time, now)
            change = state.window.apply(candle)
            if change.missing is not None:
                missing += self._request(series, state, change.missing, now)
            elif change.updates and clock.is_credible(candle.event_time, now):
                state.freshness.unconfirmed_since = None
            self._collect(series, state, change, published)
            if state.gaps_revision != state.window.known_gaps.revision:
                missing += self._gap_events(series, state)
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
        now: float,
    ) -> list[Event]:
        """Merge rows that were read over REST; the first ones make the series ready.

        A part of the history does not: what is before it would never be asked for. Rows that reach
        the newest candle count as news of the series, as the stream's do. One that is not final
        though later ones are listed is read once more.
        """
        state = self._series.find(series)
        if state is None or not (first is None or state.window.is_ready):
            return []
        state.requested = None
        state.freshness.unconfirmed_since = None
        window = state.window
        is_extended = state.freshness.is_incomplete and first is None and window.extend(rows)
        state.freshness.note_answer(rows, first, now, self._clock.estimate(now))
        rows = self._as_known(PackedCandles.of(rows))
        self._settle_later(state, rows, now)
        if not window.is_ready and state.would_go_back(rows):
            state.freshness.ask_later(now)
            return []
        if not window.is_ready:
            begun = self._take_first_history(series, state, partial(window.merge, rows), now, wall)
            return [*begun, WindowReplaced(series)]
        before = window.newest
        change = window.merge(rows, first)
        events = self._published(series, state, change, wall)
        events += self._request(series, state, change.missing, now)
        if before and window.oldest and before.open_time < window.oldest.open_time:
            events.append(WindowReplaced(series))
        elif is_extended:
            events += self._extended(series, state)
        return events

    def _extended(self, series: Series, state: SeriesState) -> list[Event]:
        """There are older candles than before: subscribers get the whole window."""
        state.bump_revision()
        snapshot = state.snapshot(SubscriptionSpec(series, snapshot=WINDOW_SIZE), 0)
        return [SeriesReturned(snapshot), WindowReplaced(series)]

    @staticmethod
    def _settle_later(state: SeriesState, rows: Sequence[Candle], now: float) -> None:
        """Have the first row that is not final, though later ones are listed, read once more."""
        certain = up_to_unsettled(rows, state.window.is_closed)
        if len(certain) < len(rows):
            due = rows[-1].open_time + SETTLING_TIME
            state.freshness.settling.begin(certain[-1].open_time, due, now)

    def history_refused(self, series: Series, now: float) -> list[Event]:
        """The exchange gave nothing: what is missing is asked for again, after growing pauses."""
        if (state := self._series.find(series)) is not None:
            state.freshness.ask_later(now)
        return []

    def note_suspend(self, now: float) -> list[Event]:
        """The machine was suspended: nothing here is known to be up to date."""
        self._clock.distrust_late(now)
        self._has_unconfirmed = True
        for _, state in self._series.touched():
            if state.window.is_ready:
                state.freshness.unconfirmed_since = now
        return []

    def differences(self, series: Series, rows: Sequence[Candle]) -> tuple[Difference, ...]:
        """Which closed rows of the exchange's history are not what was published."""
        state = self._series.find(series)
        return () if state is None else differences(state.window, rows)

    def _as_known(self, rows: PackedCandles) -> PackedCandles:
        """A forming state counts as known now: events that were on their way are not later."""
        first, latest = forming_from(rows), self._clock.latest
        return rows[:first] + [
            row._replace(event_time=max(row.event_time, latest)) for row in rows[first:]
        ]
