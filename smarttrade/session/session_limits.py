"""The limits of one session."""

from __future__ import annotations

from dataclasses import dataclass

BAD_REQUEST_INTERVAL = 3.0  # seconds in which one more bad request is tolerated


@dataclass(frozen=True, slots=True)
class SessionLimits:
    subscriptions: int = 1024
    """Series at the same time; more than every symbol and interval that is usually configured."""
    message_bytes: int = 64 * 1024
    requests_per_second: float = 10.0
    """Sustained; a page that opens may send many more at once, see `burst`."""
    burst: int = 200
    bad_requests: int = 20
    """Tolerated at once; one more every `BAD_REQUEST_INTERVAL` seconds."""
    idle_timeout: float = 600.0
    """Seconds without any subscription, after which the session is closed."""
