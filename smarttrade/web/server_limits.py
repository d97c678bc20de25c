"""What the edge allows one client and all of them, and what it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..session.frame_queue import MAX_PENDING_BYTES
from ..session.outbox_counters import OutboxCounters
from ..session.session_limits import SessionLimits
from ..session.waiting_bytes import MAX_WAITING_BYTES, MAX_WAITING_BYTES_PER_ADDRESS


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Sizes are in bytes, times in seconds."""

    max_connections: int = 10_000
    """Open at a time; one more is answered with 503."""

    max_connections_per_ip: int = 200
    """The same for one IPv4 address or one IPv6 /64 network. Of a trusted proxy's clients, only
    WebSockets are counted."""

    stall_limit: float = 30.0
    """A client that takes nothing for so long while something is written to it is cut off."""

    max_pending_bytes: int = MAX_PENDING_BYTES
    """A client with more waiting for it is closed with 1013."""

    max_waiting_bytes: int = MAX_WAITING_BYTES
    """With more waiting for all clients together, those that most waits for are closed, 1013."""

    max_waiting_bytes_per_address: int = MAX_WAITING_BYTES_PER_ADDRESS
    """The same for the clients of one address."""

    session: SessionLimits = field(default_factory=SessionLimits)
    """What one connection may send, too."""

    message_size: int = 64 * 1024
    """A longer WebSocket message from a client ends its session with 1009."""

    head_size: int = 16 * 1024
    """A longer request line with its headers is refused with 431."""

    body_size: int = 8 * 1024
    """A longer request body is refused with 413; nothing that we serve needs one."""

    head_timeout: float = 10.0
    """From the first byte of a request to the end of its headers; also for a TLS handshake."""

    keep_alive: float = 75.0
    """An HTTP connection without a request is closed then; proxies keep theirs for 60 s."""

    app_queue: int = 32
    """Messages from one client that wait for the application before its socket is left unread; of
    large ones as many as take `message_size` of memory."""

    app_timeout: float = 5.0
    """An application that takes none of them for so long, or does not end so long after its client
    went, is cancelled; so long has a client to answer our close."""

    linger: float = 1.0
    """After our last byte, how long we go on reading: a socket closed with input unread is reset,
    and a reset may overtake the last bytes."""

    max_refusals: int = 256
    """Refused clients that are sent the reason at a time; more are reset without an answer."""


@dataclass(slots=True)
class ServerCounters:
    """Since the process started, but for `open`."""

    outbox: OutboxCounters = field(default_factory=OutboxCounters)

    open: int = 0
    accepted: int = 0

    waiting_bytes: Callable[[], int] = lambda: 0
    """Memory that holds what waits for clients, now."""

    refused_full: int = 0
    refused_per_ip: int = 0

    refused_rate: int = 0
    """Requests and handshakes of addresses that asked too often: 429."""

    refused_token: int = 0
    """Requests without a token, or with a wrong one: 401."""

    refused_origin: int = 0
    """WebSockets of pages from elsewhere: 403."""

    slow_heads: int = 0
    """Connections closed because a request's head, or a TLS handshake, took too long."""

    idle_closed: int = 0
    """Connections closed after `keep_alive` without a request."""

    failed: int = 0
    """Connections ended by an exception, which went no further."""

    flooding: int = 0
    """Connections closed for too many frames or small pieces, of them or of their address."""

    flooded: int = 0
    """Sessions ended because their application did not take what the client sent."""

    oversized_messages: int = 0
    oversized_heads: int = 0
    oversized_bodies: int = 0
    """Over their limit; the connection was closed."""

    accept_paused: int = 0
    """Times that no connection could be accepted, mostly for want of file descriptors."""

    cut_off: int = 0
    """Connections still open when the time for an ordered stop was up."""
