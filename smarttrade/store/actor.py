"""The store actor: the only one that changes the windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar, assert_never

import trio

from actors import Mailbox, MailboxClosed, Reply

from ..market.series import Series
from .backlog import Backlog
from .backlogs import Backlogs
from .events import CandlesMissing, Event, HubEvent, JournalEvent
from .feed import FeedReport
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

M = TypeVar("M")

CHECKED_AT_A_TIME = 250
"""Series that are checked between two messages: about 2 ms."""

MAX_CHECKED = 5000
"""Series that are checked for one `CheckOverdue`, which comes every second: a twentieth of a core.
With more, a round over all of them takes some seconds."""


MAX_TURN = 0.003
"""Seconds of processor time after which others have a turn. While history is loaded, twenty tasks
decode it; a store with one message a turn would answer in seconds."""
MAX_MESSAGES_PER_TURN = 64  # messages in one turn
EVENTS_AT_A_TIME = 500
"""Events of one message that are made and sent before others have a turn: 1 ms."""


async def run_store(
    mailbox: Mailbox[StoreMessage],
    store: MemoryStore,
    *,
    hub: Mailbox[HubEvent] | None,
    gaps: Mailbox[CandlesMissing] | None,
    backlog: Backlog | Backlogs | None = None,
    wall_clock: Callable[[], float] = time.time,
    suspended: Callable[[], float] = lambda: 0.0,
    cost_clock: Callable[[], float] = lambda: 0.0,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Change and read the windows, one message at a time, and report what changed.

    Everything worth keeping is in `store`, so a restart loses nothing but the message in hand.
    Waits while `hub` is full: its order is the authoritative one, and nothing may be left out. The
    journal gets its events through `backlog`, which never blocks. `suspended` says for how many
    seconds the machine has been suspended; `cost_clock` is this thread's processor time in seconds.
    """
    actor = _Actor(mailbox, store, hub, gaps, backlog, wall_clock, SteadyClock(suspended))
    task_status.started()
    async for message in mailbox:
        began = cost_clock()
        await actor.handle(message)
        for _ in range(MAX_MESSAGES_PER_TURN):
            if cost_clock() > began + MAX_TURN:
                break
            try:
                following = mailbox.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            await actor.handle(following)
        await actor.check_some()


@dataclass(slots=True)
class _Actor:
    mailbox: Mailbox[StoreMessage]
    store: MemoryStore
    hub: Mailbox[HubEvent] | None
    gaps: Mailbox[CandlesMissing] | None
    backlog: Backlog | Backlogs | None
    wall_clock: Callable[[], float]
    clock: SteadyClock
    listed_waiters: list[Reply[tuple[Series, ...]]] = field(default_factory=list)
    unchecked: int = 0
    """Series that may still be checked for the last `CheckOverdue`."""

    async def handle(self, message: StoreMessage) -> None:
        if self.clock.has_resumed():
            self.store.note_suspend(self.clock.now())
        match message:
            case GetOverview() | GetSymbolOverviews() | GetCatalogue() | GetDifferences():
                _answer(self.store, message, self.clock.now())
            case GetPage(series):
                _answer(self.store, message, self.clock.now())
                await self._report(self.store.want_history(series))
            case CheckOverdue():
                self.unchecked = MAX_CHECKED
            case MergeWindows(reply=merged):
                with merged:
                    await self._carry_out(message)
                    merged.set(None)
            case FindMissing(series, skip_restored):
                await self._find_missing(series, skip_restored=skip_restored)
            case GetListed(reply):
                self.listed_waiters.append(reply)
            case _:
                await self._carry_out(message)
        if self.store.is_listed:
            while self.listed_waiters:
                self.listed_waiters.pop().set(self.store.listed)

    async def _find_missing(self, wanted: Sequence[Series], *, skip_restored: bool) -> None:
        """In slices: of all series of an exchange, it takes 20 ms."""
        for first in range(0, len(wanted), EVENTS_AT_A_TIME):
            some = wanted[first : first + EVENTS_AT_A_TIME]
            await self._report(self.store.find_missing(some, skip_restored=skip_restored))

    async def check_some(self) -> None:
        """Go on with the check of all series until a message waits."""
        while self.unchecked > 0:
            now, wall = self.clock.now(), self.wall_clock()
            await self._report(self.store.check_overdue(now, wall, CHECKED_AT_A_TIME))
            self.unchecked -= CHECKED_AT_A_TIME
            if self.store.is_check_done:
                self.unchecked = 0
            await trio.lowlevel.checkpoint()
            if self.mailbox.depth:
                return

    async def _carry_out(self, command: Command | MergeWindows) -> None:
        await self._report(_apply(self.store, command, self.clock.now(), self.wall_clock()))

    async def _report(self, events: Sequence[Event]) -> None:
        for number, event in enumerate(events, 1):
            if self.backlog is not None:
                self.backlog.note(event)
            await self._send(event)
            if number % EVENTS_AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()

    async def _send(self, event: Event) -> None:
        # In an ordered stop the listeners end first, so no one misses it.
        with suppress(MailboxClosed):
            if isinstance(event, CandlesMissing):
                if self.gaps is not None:
                    await _tell(self.gaps, event)
            elif self.hub is not None and not isinstance(event, JournalEvent):
                await _tell(self.hub, event)


async def _tell(mailbox: Mailbox[M], message: M) -> None:
    """Send without a turn of others, unless there is no room."""
    try:
        mailbox.tell_nowait(message)
    except trio.WouldBlock:
        await mailbox.tell(message)


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
        case ReportFeed(status, shards):
            return store.report_feed(FeedReport(status, shards))
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
