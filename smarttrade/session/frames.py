"""What is handed to an outbox: whole WebSocket frames, one or many at once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

Frame = tuple[Hashable, bytes]
"""A key, (series, open time), and the bytes of a whole WebSocket frame."""


@dataclass(slots=True)
class FrameBatch:
    """Frames for a group of clients, built once by the hub and shared by all their outboxes."""

    data: bytes
    """The frames joined, in order."""

    frames: tuple[Frame, ...]
    """The same frames with their keys; no key twice."""
