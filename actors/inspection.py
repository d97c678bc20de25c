"""The running tree as data, for health checks, metrics and display."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """The lifecycle state of an actor."""

    WAITING = "waiting"
    """Not started yet: children before it start first."""
    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    """Waiting for its restart."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    """Has ended without an error."""
    FAILED = "failed"
    """Has ended with an error and will not be restarted."""
    UNKILLABLE = "unkillable"
    """Still running after it was cancelled."""


@dataclass(frozen=True, slots=True)
class ActorInfo:
    """A snapshot of one actor or supervisor."""

    name: str
    state: State

    restarts: int = 0
    """Number of starts after the first, since the tree was built."""

    last_error: str | None = None
    """Type and message of the last failure, from which it may have recovered."""

    mailbox_depth: int | None = None
    """Number of queued messages; None for a child without a mailbox."""

    mailbox_capacity: int | None = None
    """Maximum number of queued messages."""

    handled: int | None = None
    """Number of messages received since the mailbox was created."""

    children: tuple[ActorInfo, ...] = ()


def walk(
    info: ActorInfo, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], ActorInfo]]:
    """Every actor with its path from the root, parents first, in start order.

    `above` is the path of the parent of `info`; it becomes part of every path.
    """
    path = (*above, info.name)
    yield path, info
    for child in info.children:
        yield from walk(child, path)


def render(info: ActorInfo) -> str:
    """The tree as text, one line per actor.

    ::

        service  running
        ├── store  running  mailbox 0/256  12 handled
        └── feed  pausing  2 restarts  last: OSError: reset
    """
    return "\n".join(_lines(info))


def _lines(info: ActorInfo) -> Iterator[str]:
    yield "  ".join(_columns(info))
    for child in info.children:
        last = child is info.children[-1]
        head, *rest = _lines(child)
        yield ("└── " if last else "├── ") + head
        yield from (("    " if last else "│   ") + line for line in rest)


def _columns(info: ActorInfo) -> Iterator[str]:
    yield info.name
    yield info.state.value
    if info.mailbox_depth is not None:
        yield f"mailbox {info.mailbox_depth}/{info.mailbox_capacity}"
        yield f"{info.handled} handled"
    if info.restarts:
        yield f"{info.restarts} restart{'s' if info.restarts > 1 else ''}"
    if info.last_error is not None:
        yield f"last: {info.last_error}"
