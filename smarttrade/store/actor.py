"""The store actor: the only one that touches the windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import assert_never

import trio

from actors import Mailbox, MailboxClosed, Reply

from ..market.series import Series
from .backlog import Backlog
from .backlogs import Backlogs
from .events import CandlesMissing, Event, HubEvent, JournalEvent
from .memory import MemoryStore
from .messages import (
    AdoptCatalogue,
    AdoptWindows,
    CheckOverdue,
    CloseSubscriptions,
    Command,
    CorrectCandles,
    FindMissing,
    FollowUpdates,
    GetCatalogue,
    GetDifferences,
    GetListed,
    GetOverview,
    GetPage,
    GetSymbolOverviews,
    HistoryRefused,
    ListSymbols,
    MergeWindows,
    OpenSubscriptions,
    PutHistory,
    PutUpdates,
    Question,
    ReportExchangeTime,
    ReportFeed,
    RestoreWindows,
    StoreMessage,
    TakeCorrections,
)
from .steady_clock import SteadyClock

CHECKED_AT_A_TIME = 250
"""Series that are checked between two messages: about 2 ms."""

MAX_CHECKED = 5000
"""Series that are checked for one `CheckOverdue`, which comes every second: a twentieth of a core.
With more, a round over all of them takes some seconds."""


async def run_store(  # noqa: C901 - one match
    mailbox: Mailbox[StoreMessage],
    store: MemoryStore,
    *,
    hub: Mailbox[HubEvent] | None,
    gaps: Mailbox[CandlesMissing] | None,
    backlog: Backlog | Backlogs | None = None,
    wall_clock: Callable[[], float] = time.time,
    suspended: Callable[[], float] = lambda: 0.0,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Change and read the windows, one message at a time, and report what changed.

    Everything worth keeping is in `store`, so a restart loses nothing but the message in hand.
    Waits while `hub` is full: its order is the authoritative one, and nothing may be left out. The
    journal gets its events through `backlog`, which never blocks. `suspended` says for how many
    seconds the machine has been suspended.
    """
    listed_waiters: list[Reply[tuple[Series, ...]]] = []
    unchecked = 0  # series that may still be checked for the last `CheckOverdue`
    clock = SteadyClock(suspended)

    async def carry_out(command: Command | MergeWindows) -> None:
        await report(_apply(store, command, clock.now(), wall_clock()))

    async def report(events: Sequence[Event]) -> None:
        for event in events:
            if backlog is not None:
                backlog.note(event)
            await _send(event, hub, gaps)

    task_status.started()
    async for message in mailbox:
        if clock.has_resumed():
            store.note_suspend(clock.now())
        match message:
            case (
                GetPage() | GetOverview() | GetSymbolOverviews() | GetCatalogue() | GetDifferences()
            ):
                _answer(store, message, clock.now())
                if isinstance(message, GetPage):
                    await report(store.want_history(message.series))
            case CheckOverdue():
                unchecked = MAX_CHECKED
            case MergeWindows(reply=merged):
                with merged:
                    await carry_out(message)
                    merged.set(None)
            case GetListed(reply):
                listed_waiters.append(reply)
            case _:
                await carry_out(message)
        if store.is_listed:
            while listed_waiters:
                listed_waiters.pop().set(store.listed)
        while unchecked > 0:
            await report(store.check_overdue(clock.now(), wall_clock(), CHECKED_AT_A_TIME))
            unchecked = 0 if store.is_check_done else unchecked - CHECKED_AT_A_TIME
            await trio.lowlevel.checkpoint()
            if mailbox.depth:
                break


async def _send(
    event: Event, hub: Mailbox[HubEvent] | None, gaps: Mailbox[CandlesMissing] | None
) -> None:
    # In an ordered stop the listeners end first, so no one misses it.
    with suppress(MailboxClosed):
        if isinstance(event, CandlesMissing):
            if gaps is not None:
                await gaps.tell(event)
        elif hub is not None and not isinstance(event, JournalEvent):
            await hub.tell(event)


def _answer(store: MemoryStore, question: Question, now: float) -> None:
    match question:
        case GetPage(series, limit, before, reply):
            with reply:
                reply.set(store.page(series, limit, before))
        case GetDifferences(series, rows, reply):
            with reply:
                reply.set(store.differences(series, rows))
        case GetOverview(reply):
            with reply:
                reply.set(store.overview(now))
        case GetSymbolOverviews(symbols, reply):
            with reply:
                reply.set(store.symbol_overviews(symbols, now))
        case GetCatalogue(reply):
            with reply:
                reply.set(store.catalogue)


def _apply(  # noqa: C901, PLR0911, PLR0912 - a table
    store: MemoryStore, command: Command | MergeWindows, now: float, wall: float
) -> list[Event]:
    match command:
        case PutUpdates(updates):
            return store.put_updates(updates, now, wall)
        case PutHistory(series, rows, first):
            return store.put_history(series, rows, first, wall, now)
        case HistoryRefused(series):
            return store.history_refused(series, now)
        case CorrectCandles(series, rows):
            return store.correct(series, rows, wall)
        case OpenSubscriptions():
            return store.open_subscriptions(command)
        case CloseSubscriptions():
            return store.close_subscriptions(command)
        case FindMissing(series_wanted, skip_restored):
            return store.find_missing(series_wanted, skip_restored=skip_restored)
        case ReportFeed(status):
            return store.report_feed(status)
        case ReportExchangeTime(time_ms):
            return store.learn_time(time_ms, now)
        case ListSymbols(symbols, details):
            return store.list_symbols(symbols, details, now)
        case RestoreWindows(windows, listed, details):
            return store.restore(windows, listed, now, wall, details)
        case MergeWindows(windows):
            return store.restore(windows, (), now, wall)
        case TakeCorrections(published, at):
            return store.correct_as(published, at, wall)
        case AdoptCatalogue(symbols, intervals, origin, details):
            return store.adopt_catalogue(symbols, intervals, origin, details, now)
        case AdoptWindows(windows, time_ms):
            return store.adopt(windows, time_ms, now, wall)
        case FollowUpdates(published, notes, time_ms):
            return store.follow(published, notes, time_ms, now, wall)
        case _:
            assert_never(command)
