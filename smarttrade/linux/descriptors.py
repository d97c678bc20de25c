"""Raise the file descriptor limit to fit the allowed clients, or allow fewer clients.

A process without a free descriptor cannot even accept a client to refuse it.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import NamedTuple

import structlog

from ..web.server.sockets import BACKLOG
from ..web.server_limits import ServerLimits

log = structlog.get_logger("smarttrade.descriptors")

# For the exchange, Redis, listeners, files and the loop; 40 were measured.
RESERVED_DESCRIPTORS = 128
_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


class DescriptorPlan(NamedTuple):
    """Limits that fit each other."""

    descriptors: int
    """The soft limit to set."""
    connections: int
    """Clients that fit."""


def plan_descriptors(limits: ServerLimits, soft: int, hard: int) -> DescriptorPlan:
    """What fits into `hard` descriptors; `soft` is the current limit."""
    reserved = RESERVED_DESCRIPTORS + limits.max_refusals
    wanted = limits.max_connections + reserved
    if wanted <= soft:
        return DescriptorPlan(soft, limits.max_connections)
    descriptors = min(wanted, hard)
    return DescriptorPlan(descriptors, max(0, min(limits.max_connections, descriptors - reserved)))


def raise_descriptor_limit(limits: ServerLimits) -> int:
    """Raise this process's limit as far as needed; return how many clients fit, and warn."""
    soft, hard = (_count(limit) for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    plan = plan_descriptors(limits, soft, hard)
    if plan.descriptors > soft:
        _, unchanged = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (plan.descriptors, unchanged))
        log.info("descriptors_raised", before=soft, now=plan.descriptors)
    if plan.connections < limits.max_connections:
        log.warning(
            "few_descriptors",
            allowed=hard,
            connections=plan.connections,
            configured=limits.max_connections,
            hint="raise LimitNOFILE= (systemd) or `ulimit -Hn`, or lower"
            " SMARTTRADE_MAX_CONNECTIONS",
        )
    _check_backlog()
    return plan.connections


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
            hint=f"sysctl net.core.somaxconn={BACKLOG}, or many clients that come at once wait",
        )
