"""Faults of the simulated exchange that the service does not handle yet.

Random menus leave them out, so that they find new bugs and not these; a fault that is handled is
removed from here.
"""

from __future__ import annotations

UNHANDLED = frozenset(
    {
        "failing",
        "firewall",
        "gzip_bomb",
        "halt",
        "halt_one",
        "hosts",
        "impossible",
        "jitter",
        "late_close",
        "others_weight",
        "overload",
        "peer_late",
        "peer_stall",
        "redirect",
        "retry_after",
        "roll_back",
        "stale_rows",
        "stall_one",
        "unknown",
        "without_b",
    }
)
