"""What all connections of the stream actor share."""

from __future__ import annotations

from dataclasses import dataclass

from actors import Mailbox

from ..store.messages import StoreMessage
from .budgets import AttemptBudget
from .dial import Dial
from .health import FeedHealth
from .hosts import Hosts
from .rest import RestClient
from .update_queue import UpdateQueue
from .venue import Venue


@dataclass(slots=True)
class StreamCounters:
    """What the stream did since the process started; survives restarts of the actor."""

    updates: int = 0
    """Candles received."""
    malformed: int = 0
    """Messages skipped because they were not the exchange's."""
    connects: int = 0
    """Connections opened."""
    failures: int = 0
    """Connections that ended by themselves, or could not be opened."""
    rotations: int = 0
    """Connections replaced by another before they ended."""
    stalled: int = 0
    """Series that a connection was found not to deliver, although they were traded."""


@dataclass(frozen=True, slots=True)
class StreamContext:
    venue: Venue
    hosts: Hosts
    dial: Dial
    store: Mailbox[StoreMessage]
    rest: RestClient
    updates: UpdateQueue
    health: FeedHealth
    attempts: AttemptBudget
    counters: StreamCounters
    rotate_after: float
    """Seconds after which a connection is replaced."""
