"""What a supervisor is given for each of its children."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .mailbox import Mailbox
from .restart import Restart


@dataclass(frozen=True, slots=True)
class Child:
    """One line of a supervision tree."""

    name: str
    """Unique among the children of its supervisor; appears in logs."""

    run: Callable[..., Awaitable[None]]
    """Runs the child, supporting the `trio.Nursery.start` protocol: called with the keyword
    ``task_status``, on which it calls ``started()`` once others may rely on it."""

    restart: Restart = Restart.PERMANENT

    mailbox: Mailbox[Any] | None = None
    """The mailbox it receives from. When the child stops, its supervisor fails the questions
    that the child left unanswered; when it stops permanently, the mailbox is closed."""

    stop: Callable[[], None] | None = None
    """Requests a graceful stop, such as ``mailbox.close`` or ``event.set``. May be called
    more than once. None: the child is cancelled immediately."""

    stop_timeout: float = 5.0
    """Seconds a graceful stop may take before the child is cancelled, and seconds
    the cancellation may take before the child is reported as unkillable."""

    start_timeout: float = 30.0
    """Seconds the child may take to call ``started()``; taking longer is a failure."""
