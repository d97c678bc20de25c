"""The store actor: the only one that touches the windows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import assert_never

import trio

from actors import Mailbox, Reply

from ..market.series import Series
from .memory import Event, MemoryStore
from .messages import (
    CandlesMissing,
    CloseSubscriptions,
    FindMissing,
    GetCatalogue,
    GetListed,
    GetOverview,
    GetPage,
    HubEvent,
    ListSymbols,
    LookAround,
    OpenSubscriptions,
    PutHistory,
    PutUpdates,
    ReportFeed,
    StoreMessage,
)


async def run_store(
    mailbox: Mailbox[StoreMessage],
    store: MemoryStore,
    *,
    hub: Mailbox[HubEvent],
    gaps: Mailbox[CandlesMissing],
    wall_clock: Callable[[], float] = time.time,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Change and read the windows, one message at a time, and tell what changed.

    Everything worth keeping is in `store`, so a restart loses nothing but the message in hand.
    Waits while `hub` is full: its order is the order of truth, and nothing may be left out.
    """
    listed_waiters: list[Reply[tuple[Series, ...]]] = []
    task_status.started()
    async for message in mailbox:
        match message:
            case GetPage() | GetOverview() | GetCatalogue():
                _answer(store, message)
            case GetListed(reply):
                listed_waiters.append(reply)
            case _:
                for event in _carry_out(store, message, wall_clock()):
                    if isinstance(event, CandlesMissing):
                        await gaps.tell(event)
                    else:
                        await hub.tell(event)
        if store.is_listed:
            while listed_waiters:
                listed_waiters.pop().set(store.listed)


def _answer(store: MemoryStore, question: GetPage | GetOverview | GetCatalogue) -> None:
    match question:
        case GetPage(series, limit, before, reply):
            with reply:
                reply.set(store.page(series, limit, before))
        case GetOverview(reply):
            with reply:
                reply.set(store.overview(trio.current_time()))
        case GetCatalogue(reply):
            with reply:
                reply.set(store.catalogue)


Command = (
    PutUpdates
    | PutHistory
    | ListSymbols
    | FindMissing
    | LookAround
    | ReportFeed
    | OpenSubscriptions
    | CloseSubscriptions
)


def _carry_out(store: MemoryStore, command: Command, wall: float) -> list[Event]:  # noqa: PLR0911
    now = trio.current_time()
    match command:
        case PutUpdates(updates):
            return store.put_updates(updates, now, wall)
        case PutHistory(series, rows, first):
            return store.put_history(series, rows, first, wall)
        case OpenSubscriptions():
            return store.open_subscriptions(command)
        case CloseSubscriptions():
            return store.close_subscriptions(command)
        case LookAround():
            return store.look_around(now, wall)
        case FindMissing(series_wanted):
            return store.find_missing(series_wanted)
        case ReportFeed(status):
            return store.report_feed(status)
        case ListSymbols(symbols):
            store.list_symbols(symbols)
            return []
        case _:
            assert_never(command)
