"""Every series' window, in memory: the truth from which all reads are answered.

Plain code: each method takes what happened and when, and returns the events to send. The actor
beside it sends them.
"""

from __future__ import annotations

from typing import Any

from ..market.series import Series
from .checks import Checks
from .copied_windows import CopiedWindows
from .events import Event, FeedChanged, SubscriptionsClosed, SubscriptionsOpened
from .feed import FeedReport
from .listed_symbols import ListedSymbols
from .live_candles import LiveCandles
from .messages import CloseSubscriptions, OpenSubscriptions, Page, PageUnavailable


class MemoryStore(LiveCandles, CopiedWindows, ListedSymbols, Checks):
    """All windows, and who waits for one that has no history yet."""

    def revision_of(self, series: Series) -> int | None:
        """Grows with every change of a series; None when there is no such series.

        The front end reads it without asking the actor, to know whether an answer that it keeps
        still holds.
        """
        state = self._series.find(series)
        return None if state is None else state.revision

    def page(self, series: Series, limit: int, before: int | None) -> Page | PageUnavailable:
        state = self._series.find(series)
        if state is None:
            return (
                PageUnavailable.SYMBOL
                if series.symbol not in self.symbols
                else PageUnavailable.INTERVAL
            )
        return state.page(limit, before)

    def want_history(self, series: Series) -> list[Event]:
        """A client asks for a series that has no history yet: it is to be read before others.

        Once is enough, and what the exchange has refused waits for its time.
        """
        state = self._series.find(series)
        if state is None or state.window.is_ready or state.is_wanted:
            return []
        state.is_wanted = True
        return [] if state.freshness.asks_later else self.find_missing([series])

    def open_subscriptions(self, request: OpenSubscriptions[Any]) -> list[Event]:
        """Attach a subscriber; what has no history yet is attached once it has."""
        now_open, snapshots = [], []
        missing: list[Event] = []
        for wanted in request.wanted:
            state = self._series.find(wanted.series)
            if state is None:
                continue
            if wanted.snapshot is None and wanted.since is None:
                now_open.append(wanted.series)
            elif state.window.is_ready:
                now_open.append(wanted.series)
                snapshots.append(state.snapshot(wanted, self._clock.latest))
            else:
                missing += self.want_history(wanted.series)
                state.pending_subscriptions[request.subscriber] = wanted
                self._catalogue.awaited.add(wanted.series)
        opened = SubscriptionsOpened(
            request.subscriber,
            request.acknowledgement,
            tuple(now_open),
            tuple(snapshots),
            self._states.not_trading(wanted.series.symbol for wanted in request.wanted),
            request.reply,
        )
        return [opened, *missing]

    def close_subscriptions(self, request: CloseSubscriptions[Any]) -> list[Event]:
        self._catalogue.forget_waiting(request.subscriber, request.series)
        closed = None if request.series is None else tuple(request.series)
        return [SubscriptionsClosed(request.subscriber, closed, request.acknowledgement)]

    def report_feed(self, report: FeedReport) -> list[Event]:
        self.feeds = report
        return [FeedChanged(*report)]
