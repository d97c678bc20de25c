"""Names of variables in earlier versions. They still work, with a warning."""

from __future__ import annotations

from collections.abc import Mapping

from .fields import PREFIX

DEPRECATED: Mapping[str, str] = {
    f"{PREFIX}{old}": f"{PREFIX}{new}"
    for old, new in {
        "BAD_REQUESTS": "MAX_BAD_REQUESTS",
        "CHANGES_KEPT": "MAX_STORED_CHANGES",
        "HEAD_WITHIN": "HEAD_TIMEOUT",
        "HEARTBEAT": "HEARTBEAT_INTERVAL",
        "IDLE_SESSION": "SESSION_IDLE_TIMEOUT",
        "KEEP_ALIVE": "KEEP_ALIVE_TIMEOUT",
        "LEASE": "LEASE_TTL",
        "STALL_LIMIT": "STALL_TIMEOUT",
        "STOP_WITHIN": "STOP_TIMEOUT",
    }.items()
}
"""The name to use now, by the name of 0.1.0."""
