"""The feed's part of the supervision tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import httpx
import trio

from actors import Child, Mailbox, RestartBudget, Strategy, Supervisor

from ..store.events import CandlesMissing
from ..store.messages import StoreMessage
from .audit import AuditCounters, run_audit
from .backfill import run_backfill
from .budgets import AttemptBudget
from .dial import Dial
from .hosts import Hosts
from .listing import run_listing
from .rest import RestClient
from .stream import run_stream
from .stream_context import StreamCounters
from .symbols import SymbolTracker
from .venue import Venue
from .weight import WeightBudget


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """What the feed reads, and how eagerly."""

    symbols: Sequence[str]
    weight_ceiling: int | None
    """Request weight per period of the venue that is used at most; None for half of what it
    allows."""
    rotate_after: float
    """Seconds after which a stream connection is replaced."""
    audit_round: float
    """Seconds in which the audit compares every series once."""


@dataclass(frozen=True, slots=True)
class VenueAccess:
    """How the venue is reached."""

    venue: Venue
    http: httpx.AsyncClient
    """Owned by the caller."""
    rest_urls: Sequence[str]
    """Base URLs, tried in order."""
    dial: Dial
    stream_urls: Sequence[str]
    """Base URLs, tried in order."""

    def rest_client(self, weight_ceiling: int | None) -> RestClient:
        """A client with a weight budget of its own."""
        limits = self.venue.limits
        budget = WeightBudget(limits.weight, weight_ceiling, period=limits.weight_period)
        return RestClient(self.venue, self.http, self.rest_urls, budget)


@dataclass(frozen=True, slots=True)
class FeedSubtree:
    """Empty in a process without a feed."""

    children: tuple[Supervisor, ...] = ()
    rest: RestClient | None = None
    """Reads from the venue, and counts its requests."""
    hosts: Mapping[str, Hosts] = field(default_factory=dict)
    """By what they are used for."""

    def describe_hosts(self) -> list[dict[str, object]]:
        """The venue's hosts and the state of each, for `/system`."""
        now = trio.current_time()
        return [{"use": use, **host} for use, of in self.hosts.items() for host in of.describe(now)]


def build_feed(
    options: FeedOptions,
    access: VenueAccess,
    store: Mailbox[StoreMessage],
    gaps: Mailbox[CandlesMissing] | None,
    *,
    progress: Callable[[int, int], None],
    stream_counters: StreamCounters,
    audit_counters: AuditCounters,
    wall_clock: Callable[[], float],
) -> FeedSubtree:
    """The supervisor `feed`, not running yet; empty without `gaps`.

    feed                 one_for_one
    ├── listing          which symbols the venue lists and trades
    ├── stream           live candles -> store
    ├── backfill         history and gaps over REST -> store
    └── audit            compares published candles with the venue, until stopped
    """
    if gaps is None:
        return FeedSubtree()
    limits = access.venue.limits
    rest = access.rest_client(options.weight_ceiling)
    stream_hosts = Hosts(access.stream_urls)
    stream = partial(
        run_stream,
        store,
        rest,
        access.venue,
        stream_hosts,
        dial=access.dial,
        # Half of what is allowed: other programs at this address connect too.
        attempts=AttemptBudget(limits.connection_attempts // 2, limits.connection_period),
        counters=stream_counters,
        rotate_after=options.rotate_after,
        wall_clock=wall_clock,
    )
    symbols = SymbolTracker(options.symbols)
    listing = partial(run_listing, symbols, store, rest, wall_clock=wall_clock)
    backfill = partial(
        run_backfill, gaps, store, rest, progress=progress, symbols=symbols, wall_clock=wall_clock
    )
    audit = partial(
        run_audit, store, rest, counters=audit_counters, target_round=options.audit_round
    )
    supervisor = Supervisor(
        "feed",
        [
            Child("listing", listing),
            Child("stream", stream),
            Child("backfill", backfill, mailbox=gaps),
            Child("audit", audit),
        ],
        strategy=Strategy.ONE_FOR_ONE,
        budget=RestartBudget(5, within=60),
    )
    return FeedSubtree((supervisor,), rest, {"rest": rest.hosts, "stream": stream_hosts})
