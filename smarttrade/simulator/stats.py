"""What the exchange was asked and what it sent, since it was started."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stats:
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Answered, by path and status."""

    handshakes: Counter[int] = field(default_factory=Counter)
    """Of streams, by status; 0 for those that were never answered."""

    connections: int = 0
    """Accepted, of any kind."""

    events: int = 0
    """Sent in streams, over all connections; those that a fault dropped count."""

    ignored: int = 0
    """Requests in streams that were too long to be answered."""

    faults: Counter[str] = field(default_factory=Counter)
    """How often each was injected."""
