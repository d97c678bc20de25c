"""The running tree as data, for health checks, metrics and people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Where an actor is in its life."""

    WAITING = "waiting"
    """Not started yet: those before it come first."""
    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    """Waiting to be restarted."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    """Has ended as it should."""
    FAILED = "failed"
    """Has ended with an error and is not restarted."""
    UNKILLABLE = "unkillable"
    """Still runs although it was cancelled."""


@dataclass(frozen=True, slots=True)
class ActorInfo:
    """One actor or supervisor, as it was at the moment of looking."""

    name: str
    state: State

    restarts: int = 0
    """Starts after the first, since the tree was built."""

    last_error: str | None = None
    """The last failure, which it may have recovered from: type and message."""

    mailbox_depth: int | None = None
    """Messages queued; None when no mailbox was named."""

    mailbox_capacity: int | None = None
    """Most messages that are queued at any time."""

    handled: int | None = None
    """Messages taken from the mailbox since it was made."""

    children: tuple[ActorInfo, ...] = ()


def walk(
    info: ActorInfo, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], ActorInfo]]:
    """Every actor with its path from the root, parents first, in start order.

    `above` is the path of what `info` stands below, if that is wanted in the paths.
    """
    path = (*above, info.name)
    yield path, info
    for child in info.children:
        yield from walk(child, path)


def render(info: ActorInfo) -> str:
    """The tree as text, a line per actor.

    ::

        service  running
        ├── store  running  mailbox 0/256  12 handled
        └── feed  pausing  2 restarts  last: OSError: reset
    """
    return "\n".join(_lines(info))


def _lines(info: ActorInfo) -> Iterator[str]:
    yield "  ".join(_words(info))
    for child in info.children:
        last = child is info.children[-1]
        head, *rest = _lines(child)
        yield ("└── " if last else "├── ") + head
        yield from (("    " if last else "│   ") + line for line in rest)


def _words(info: ActorInfo) -> Iterator[str]:
    yield info.name
    yield info.state.value
    if info.mailbox_depth is not None:
        yield f"mailbox {info.mailbox_depth}/{info.mailbox_capacity}"
        yield f"{info.handled} handled"
    if info.restarts:
        yield f"{info.restarts} restart{'s' if info.restarts > 1 else ''}"
    if info.last_error is not None:
        yield f"last: {info.last_error}"
