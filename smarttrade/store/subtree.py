"""The store's part of the supervision tree: its actor, and the mailboxes it shares with others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

from actors import Child, Mailbox, Overflow

from .actor import run_store
from .backlog import Backlog
from .backlogs import Backlogs
from .events import CandlesMissing, HubEvent
from .memory import MemoryStore
from .messages import StoreMessage


@dataclass(frozen=True, slots=True)
class StoreMailboxes:
    """What the store receives, and where it sends its events; they outlive every restart."""

    store: Mailbox[StoreMessage]
    """Senders wait while the store is busy."""
    hub: Mailbox[HubEvent] | None
    """In order and complete: when the hub lags, the store waits. None without clients."""
    gaps: Mailbox[CandlesMissing] | None
    """For the backfill, one entry per series: enough to know what to read. None without a feed."""

    @classmethod
    def create(cls, series_count: int, *, has_clients: bool, has_feed: bool) -> Self:
        return cls(
            # A question waits for those before it: twenty answers of the exchange, 0.8 ms each, and
            # the stream's updates, which arrive in batches.
            store=Mailbox("store", capacity=64),
            hub=Mailbox("hub", capacity=1024) if has_clients else None,
            gaps=Mailbox(
                "gaps",
                capacity=max(1, series_count),
                overflow=Overflow.CONFLATE,
                key=lambda gap: gap.series,
            )
            if has_feed
            else None,
        )


def build_store(
    mailboxes: StoreMailboxes,
    memory: MemoryStore,
    backlog: Backlog | Backlogs | None,
    *,
    wall_clock: Callable[[], float],
    suspended: Callable[[], float],
    cost_clock: Callable[[], float],
) -> Child:
    """The actor `store`, not running yet."""
    store = partial(
        run_store,
        mailboxes.store,
        memory,
        hub=mailboxes.hub,
        gaps=mailboxes.gaps,
        backlog=backlog,
        wall_clock=wall_clock,
        suspended=suspended,
        cost_clock=cost_clock,
    )
    return Child("store", store, mailbox=mailboxes.store)
