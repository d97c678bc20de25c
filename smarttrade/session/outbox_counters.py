"""What all the outboxes of a process did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class OutboxCounters:
    """Since the process started."""

    messages: int = 0
    """Frames posted to open outboxes, replaced ones included."""

    bytes: int = 0
    """Bytes taken by sockets and streams, Hypercorn's included."""

    conflated: int = 0
    """Frames that never went out because a newer state took their place."""

    evicted: int = 0
    """Clients that took nothing for the stall limit."""

    overflowed: int = 0
    """Clients that had too much pending."""

    closed_for_memory: int = 0
    """Of those, the largest that were closed because too much waited for all clients."""

    failed: int = 0
    """Connections found broken while writing."""
