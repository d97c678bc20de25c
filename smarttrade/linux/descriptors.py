"""As many file descriptors as the clients that are allowed, or fewer clients.

A process without a free descriptor cannot even accept a client to tell it that there is no room.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import NamedTuple

import structlog

from ..web.server.sockets import BACKLOG
from ..web.server_limits import ServerLimits

log = structlog.get_logger("smarttrade.descriptors")

OTHERS = 128  # descriptors: the exchange, Redis, listeners, files, the loop's own; 40 were seen
_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


class Room(NamedTuple):
    """What to do about the number of descriptors."""

    descriptors: int
    """The soft limit to set."""
    connections: int
    """Clients that fit."""


def room_for(limits: ServerLimits, soft: int, hard: int) -> Room:
    """What fits into `hard` descriptors, of which `soft` are allowed now."""
    besides = OTHERS + limits.max_refusals
    wanted = limits.max_connections + besides
    if wanted <= soft:
        return Room(soft, limits.max_connections)
    descriptors = min(wanted, hard)
    return Room(descriptors, max(0, min(limits.max_connections, descriptors - besides)))


def make_room(limits: ServerLimits) -> int:
    """Raise this process's limit as far as needed; return how many clients fit, and warn."""
    soft, hard = (_count(limit) for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    room = room_for(limits, soft, hard)
    if room.descriptors > soft:
        _, unchanged = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (room.descriptors, unchanged))
        log.info("descriptors_raised", before=soft, now=room.descriptors)
    if room.connections < limits.max_connections:
        log.warning(
            "few_descriptors",
            allowed=hard,
            connections=room.connections,
            configured=limits.max_connections,
            advice="raise LimitNOFILE= (systemd) or `ulimit -Hn`, or lower"
            " SMARTTRADE_MAX_CONNECTIONS",
        )
    _check_backlog()
    return room.connections


def _count(limit: int) -> int:
    return 2**31 if limit == resource.RLIM_INFINITY else limit


def _check_backlog() -> None:
    try:
        most = int(_SOMAXCONN.read_text())
    except (OSError, ValueError):
        return
    if most < BACKLOG:
        log.warning(
            "short_backlog",
            wanted=BACKLOG,
            allowed=most,
            advice=f"sysctl net.core.somaxconn={BACKLOG}, or many clients that come at once wait",
        )
