"""Variables that limit what clients may do and occupy."""

from __future__ import annotations

from ..session.session_limits import BAD_REQUEST_INTERVAL, SessionLimits
from ..web.server_limits import ServerLimits
from .fields import PREFIX, Variables, number

_SERVER = ServerLimits()
_SESSION = SessionLimits()


class ClientLimitSettings(Variables):
    max_connections: int = number(
        f"{PREFIX}MAX_CONNECTIONS",
        _SERVER.max_connections,
        "client connections at a time; beyond them new ones are refused",
        *(1, 1_000_000, ""),
    )
    max_connections_per_ip: int = number(
        f"{PREFIX}MAX_CONNECTIONS_PER_IP",
        _SERVER.max_connections_per_ip,
        "the same for one IPv4 address or IPv6 /64 network; of a trusted proxy's clients,"
        " WebSockets are counted",
        *(1, 1_000_000, ""),
    )
    stall_timeout: float = number(
        f"{PREFIX}STALL_TIMEOUT",
        _SERVER.stall_limit,
        "a client that takes nothing for so long is cut off",
        *(1, 3600, "s"),
    )
    max_pending_bytes: int = number(
        f"{PREFIX}MAX_PENDING_BYTES",
        _SERVER.max_pending_bytes,
        "a client with more waiting for it is closed with 1013",
        *(256 * 1024, 1024**3, "bytes"),
    )
    max_waiting_bytes: int = number(
        f"{PREFIX}MAX_WAITING_BYTES",
        _SERVER.max_waiting_bytes,
        "with more waiting for all clients, those that most waits for are closed with 1013",
        *(1024**2, 1024**4, "bytes"),
    )
    max_waiting_bytes_per_ip: int = number(
        f"{PREFIX}MAX_WAITING_BYTES_PER_IP",
        _SERVER.max_waiting_bytes_per_address,
        "the same for the clients of one IPv4 address or IPv6 /64 network",
        *(256 * 1024, 1024**4, "bytes"),
    )
    max_subscriptions: int = number(
        f"{PREFIX}MAX_SUBSCRIPTIONS",
        _SESSION.subscriptions,
        "series that one session may subscribe to",
        *(1, 100_000, ""),
    )
    requests_per_second: float = number(
        f"{PREFIX}REQUESTS_PER_SECOND",
        _SESSION.requests_per_second,
        "sustained requests of one session; one with more is closed with 1008",
        *(0.1, 10_000, "1/s"),
    )
    request_burst: int = number(
        f"{PREFIX}REQUEST_BURST",
        _SESSION.burst,
        "requests that one session may send at once",
        *(1, 100_000, ""),
    )
    max_bad_requests: int = number(
        f"{PREFIX}MAX_BAD_REQUESTS",
        _SESSION.bad_requests,
        "requests answered with an error that one session may send at once; one with more is closed"
        f" with 1008, and one is forgiven every {BAD_REQUEST_INTERVAL:g} s",
        *(1, 100_000, ""),
    )
    max_message_bytes: int = number(
        f"{PREFIX}MAX_MESSAGE_BYTES",
        _SESSION.message_bytes,
        "a longer message from a client ends its session with 1009",
        *(1024, 16 * 1024**2, "bytes"),
    )
    session_idle_timeout: float = number(
        f"{PREFIX}SESSION_IDLE_TIMEOUT",
        _SESSION.idle_timeout,
        "a session that is subscribed to nothing for so long is closed with 1008",
        *(1, 86_400, "s"),
    )
    head_timeout: float = number(
        f"{PREFIX}HEAD_TIMEOUT",
        _SERVER.head_timeout,
        "a request's headers, or a TLS handshake, may take so long",
        *(0.1, 600, "s"),
    )
    keep_alive_timeout: float = number(
        f"{PREFIX}KEEP_ALIVE_TIMEOUT",
        _SERVER.keep_alive,
        "an HTTP connection without a request is closed after it",
        *(1, 3600, "s"),
    )
    max_head_bytes: int = number(
        f"{PREFIX}MAX_HEAD_BYTES",
        _SERVER.head_size,
        "longer request headers are refused with 431",
        *(1024, 1024**2, "bytes"),
    )
    max_body_bytes: int = number(
        f"{PREFIX}MAX_BODY_BYTES",
        _SERVER.body_size,
        "a longer request body is refused with 413",
        *(0, 16 * 1024**2, "bytes"),
    )

    @property
    def server_limits(self) -> ServerLimits:
        return ServerLimits(
            max_connections=self.max_connections,
            max_connections_per_ip=self.max_connections_per_ip,
            stall_limit=self.stall_timeout,
            max_pending_bytes=self.max_pending_bytes,
            max_waiting_bytes=self.max_waiting_bytes,
            max_waiting_bytes_per_address=self.max_waiting_bytes_per_ip,
            session=self.session_limits,
            message_size=self.max_message_bytes,
            head_size=self.max_head_bytes,
            body_size=self.max_body_bytes,
            head_timeout=self.head_timeout,
            keep_alive=self.keep_alive_timeout,
        )

    @property
    def session_limits(self) -> SessionLimits:
        return SessionLimits(
            subscriptions=self.max_subscriptions,
            message_bytes=self.max_message_bytes,
            requests_per_second=self.requests_per_second,
            burst=self.request_burst,
            bad_requests=self.max_bad_requests,
            idle_timeout=self.session_idle_timeout,
        )
