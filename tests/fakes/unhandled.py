"""Faults of the simulated exchange that the service does not handle yet.

Random menus leave them out, so that they find new bugs and not these; a fault that is handled is
removed from here.
"""

from __future__ import annotations

UNHANDLED = frozenset(
    {
        "firewall",
        "gzip_bomb",
        "halt",
        "impossible",
        "jitter",
        "late_close",
        "others_weight",
        "overload",
        "redirect",
        "retry_after",
        "stale_rows",
        "without_b",
    }
)
