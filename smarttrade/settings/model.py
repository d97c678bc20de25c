"""What can be configured: every variable, once.

Sources of values are in `sources.py`. Each field has all that the message for a bad value and
`smarttrade serve --help` say about its variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from ..binance.limits import EXCHANGE_WEIGHT_LIMIT, ROTATE_AFTER
from ..feed.audit import AUDIT_ROUND
from ..feed.subtree import FeedOptions
from ..market.interval import Interval, parse_interval
from ..market.series import parse_symbol
from ..session.encoded_cache import MAX_CACHED_BYTES
from ..session.session_limits import BAD_REQUEST_INTERVAL, SessionLimits
from ..store.shards import MAX_SHARDS, shard_of
from ..web.access import Access
from ..web.server_limits import ServerLimits
from .redis_url import ALLOWED as REDIS_URL_ALLOWED
from .redis_url import read_redis_url
from .values import (
    Explained,
    base_url,
    host_name,
    list_of,
    lower,
    namespace,
    network,
    one_exchange,
    or_none,
    origin,
    shown,
    token,
)

PREFIX = "SMARTTRADE_"

DEFAULT_REDIS_URL = "redis://localhost:6379"
"""Where a Redis may answer when neither `REDIS_URL` nor `USE_MEMORY_STORE` is set."""

# MATICUSDT was renamed to POLUSDT at the exchange in 2024.
DEFAULT_SYMBOLS = (
    *("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"),
    *("LTCUSDT", "ADAUSDT", "ALGOUSDT", "ATOMUSDT", "POLUSDT"),
)
DEFAULT_INTERVALS = tuple(map(Interval, ("1m", "5m", "15m", "1h", "4h", "1d")))

# What is appended may be there already: the exchange's tables and other programs print it.
REST_URL = base_url("http", "https", endings=("/api/v3", "/api"))
STREAM_URL = base_url("ws", "wss", endings=("/stream", "/ws"))

_SERVER = ServerLimits()
_SESSION = SessionLimits()
_ACCESS = Access()


def _variable(name: str, default: Any, meaning: str, *, allowed: str, **limits: Any) -> Any:
    return Field(
        default,
        validation_alias=name,
        description=meaning,
        json_schema_extra={"allowed": allowed},
        **limits,
    )


def _number(name: str, default: float, meaning: str, low: float, high: float, unit: str) -> Any:
    kind = "a whole number" if isinstance(default, int) else "a number"
    allowed = f"{kind} from {low} to {high}" + (f" ({unit})" if unit else "")
    return _variable(name, default, meaning, allowed=allowed, ge=low, le=high)


class Settings(BaseModel):
    """The configuration of one process. Built from nothing, it is the default one."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )

    redis_url: Annotated[str | None, BeforeValidator(or_none(read_redis_url))] = _variable(
        "REDIS_URL",
        None,
        f"Redis to keep candles in; if not set, the one at {DEFAULT_REDIS_URL} if it answers",
        allowed=REDIS_URL_ALLOWED,
    )
    use_memory_store: Annotated[bool, BeforeValidator(lower)] = _variable(
        "USE_MEMORY_STORE",
        False,
        "keep candles in memory only, use no Redis",
        allowed="1, true, yes, 0, false or no",
    )
    redis_namespace: Annotated[str, AfterValidator(namespace)] = _variable(
        f"{PREFIX}REDIS_NAMESPACE",
        "smarttrade",
        "what our keys in Redis begin with; processes that belong together have the same",
        allowed="up to 50 letters, digits and any of _ - . :",
    )
    shards: int = _number(
        f"{PREFIX}SHARDS",
        1,
        "parts into which the symbols are divided, for several processes to feed; all processes"
        " have the same",
        *(1, MAX_SHARDS, ""),
    )
    shard: int | None = _variable(
        f"{PREFIX}SHARD",
        None,
        "the part that this process feeds; for ingest only; if not set, all of them",
        allowed=f"a whole number from 0 to {MAX_SHARDS - 1}, less than SMARTTRADE_SHARDS",
        ge=0,
        le=MAX_SHARDS - 1,
    )

    @field_validator("shard")
    @classmethod
    def _is_one_of_the_shards(cls, shard: int | None, info: ValidationInfo) -> int | None:
        count = info.data.get("shards")
        if shard is not None and count is not None and shard >= count:
            raise Explained(f"SMARTTRADE_SHARDS is {count}")
        return shard

    redis_timeout: float = _number(
        f"{PREFIX}REDIS_TIMEOUT", 1.0, "Redis has so long to answer", 0.1, 10, "s"
    )
    lease_ttl: float = _number(
        f"{PREFIX}LEASE_TTL",
        3.0,
        "after so much silence of the process that writes to Redis, another takes over",
        *(1, 60, "s"),
    )
    max_stored_changes: int = _number(
        f"{PREFIX}MAX_STORED_CHANGES",
        10_000,
        "batches of changes in Redis, for gateways that are behind",
        *(100, 1_000_000, ""),
    )
    stale_after: float = _number(
        f"{PREFIX}STALE_AFTER",
        3.0,
        "a gateway without news for so long reports a stale feed to its clients",
        *(2, 3600, "s"),
    )
    binance_rest_url: Annotated[tuple[str, ...], list_of(REST_URL)] = _variable(
        "BINANCE_REST_URL",
        ("https://api.binance.com", "https://data-api.binance.vision"),
        "the exchange's REST API, tried in order; /api/v3/... is appended",
        allowed="http:// or https:// base URLs of one exchange, separated by commas",
    )
    binance_ws_url: Annotated[tuple[str, ...], list_of(STREAM_URL)] = _variable(
        "BINANCE_WS_URL",
        ("wss://stream.binance.com:9443", "wss://data-stream.binance.vision"),
        "the exchange's streams, tried in order; /stream?streams=... is appended",
        allowed="ws:// or wss:// base URLs, of BINANCE_REST_URL's exchange, separated by commas",
        validate_default=True,
    )

    @field_validator("binance_rest_url", "binance_ws_url")
    @classmethod
    def _are_of_one_exchange(cls, urls: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        one_exchange(urls, *info.data.get("binance_rest_url", ()))
        return urls

    host: Annotated[str, BeforeValidator(host_name)] = _variable(
        "HOST",
        "127.0.0.1",
        "where to serve; 0.0.0.0 is every network of this machine",
        allowed="a host name or an address, without scheme and port",
    )
    port: int = _number("PORT", 8000, "where to serve; 0 takes a free port", 0, 65535, "")
    reuse_port: Annotated[bool, BeforeValidator(lower)] = _variable(
        f"{PREFIX}REUSE_PORT",
        False,
        "several processes of this machine may serve at the same port, and share its clients",
        allowed="1, true, yes, 0, false or no",
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(lower)
    ] = _variable(
        "LOG_LEVEL",
        "info",
        "the least important log lines to write",
        allowed="debug, info, warning, error or critical",
    )
    log_format: Annotated[Literal["auto", "text", "json"], BeforeValidator(lower)] = _variable(
        "LOG_FORMAT",
        "auto",
        "auto is text on a terminal and JSON lines elsewhere",
        allowed="auto, text or json",
    )
    symbols: Annotated[tuple[str, ...], list_of(parse_symbol)] = _variable(
        "SMARTTRADE_SYMBOLS",
        DEFAULT_SYMBOLS,
        "symbols to serve",
        allowed="symbols of the exchange such as BTCUSDT, separated by commas",
    )
    intervals: Annotated[tuple[Interval, ...], list_of(parse_interval)] = _variable(
        "SMARTTRADE_INTERVALS",
        DEFAULT_INTERVALS,
        "intervals to serve for each symbol",
        allowed=f"some of {','.join(interval.value for interval in Interval)}",
    )
    max_connections: int = _number(
        f"{PREFIX}MAX_CONNECTIONS",
        _SERVER.max_connections,
        "client connections at a time; beyond them new ones are refused",
        *(1, 1_000_000, ""),
    )
    max_connections_per_ip: int = _number(
        f"{PREFIX}MAX_CONNECTIONS_PER_IP",
        _SERVER.max_connections_per_ip,
        "the same for one IPv4 address or IPv6 /64 network; of a trusted proxy's clients,"
        " WebSockets are counted",
        *(1, 1_000_000, ""),
    )
    heartbeat_interval: float = _number(
        f"{PREFIX}HEARTBEAT_INTERVAL", 25.0, "time between two heartbeats to a client", 1, 3600, "s"
    )
    stall_timeout: float = _number(
        f"{PREFIX}STALL_TIMEOUT",
        _SERVER.stall_limit,
        "a client that takes nothing for so long is cut off",
        *(1, 3600, "s"),
    )
    max_pending_bytes: int = _number(
        f"{PREFIX}MAX_PENDING_BYTES",
        _SERVER.max_pending_bytes,
        "a client with more waiting for it is closed with 1013",
        *(256 * 1024, 1024**3, "bytes"),
    )
    max_series_metrics: int = _number(
        f"{PREFIX}MAX_SERIES_METRICS",
        1000,
        "with more series, /metrics says how many are ready and has nothing of each",
        *(0, 100_000, ""),
    )
    max_cached_bytes: int = _number(
        f"{PREFIX}MAX_CACHED_BYTES",
        MAX_CACHED_BYTES,
        "memory for encoded candles, pages and snapshots, all together; the last used are kept",
        *(0, 1024**4, "bytes"),
    )
    max_waiting_bytes: int = _number(
        f"{PREFIX}MAX_WAITING_BYTES",
        _SERVER.max_waiting_bytes,
        "with more waiting for all clients, those that most waits for are closed with 1013",
        *(1024**2, 1024**4, "bytes"),
    )
    max_waiting_bytes_per_ip: int = _number(
        f"{PREFIX}MAX_WAITING_BYTES_PER_IP",
        _SERVER.max_waiting_bytes_per_address,
        "the same for the clients of one IPv4 address or IPv6 /64 network",
        *(256 * 1024, 1024**4, "bytes"),
    )
    max_subscriptions: int = _number(
        f"{PREFIX}MAX_SUBSCRIPTIONS",
        _SESSION.subscriptions,
        "series that one session may subscribe to",
        *(1, 100_000, ""),
    )
    requests_per_second: float = _number(
        f"{PREFIX}REQUESTS_PER_SECOND",
        _SESSION.requests_per_second,
        "sustained requests of one session; one with more is closed with 1008",
        *(0.1, 10_000, "1/s"),
    )
    request_burst: int = _number(
        f"{PREFIX}REQUEST_BURST",
        _SESSION.burst,
        "requests that one session may send at once",
        *(1, 100_000, ""),
    )
    max_bad_requests: int = _number(
        f"{PREFIX}MAX_BAD_REQUESTS",
        _SESSION.bad_requests,
        "requests answered with an error that one session may send at once; one with more is closed"
        f" with 1008, and one is forgiven every {BAD_REQUEST_INTERVAL:g} s",
        *(1, 100_000, ""),
    )
    max_message_bytes: int = _number(
        f"{PREFIX}MAX_MESSAGE_BYTES",
        _SESSION.message_bytes,
        "a longer message from a client ends its session with 1009",
        *(1024, 16 * 1024**2, "bytes"),
    )
    session_idle_timeout: float = _number(
        f"{PREFIX}SESSION_IDLE_TIMEOUT",
        _SESSION.idle_timeout,
        "a session that is subscribed to nothing for so long is closed with 1008",
        *(1, 86_400, "s"),
    )
    requests_per_second_per_ip: float | None = _variable(
        f"{PREFIX}REQUESTS_PER_SECOND_PER_IP",
        None,
        "sustained requests and handshakes of one address or IPv6 /64 network, answered with 429"
        f" beyond; if not set, {_ACCESS.requests_per_second:g}, and this machine has no such limit",
        allowed="a number from 0.1 to 1000000 (1/s)",
        ge=0.1,
        le=1_000_000,
    )
    request_burst_per_ip: int = _number(
        f"{PREFIX}REQUEST_BURST_PER_IP",
        _ACCESS.burst,
        "requests that one address may send at once",
        *(1, 1_000_000, ""),
    )
    head_timeout: float = _number(
        f"{PREFIX}HEAD_TIMEOUT",
        _SERVER.head_timeout,
        "a request's headers, or a TLS handshake, may take so long",
        *(0.1, 600, "s"),
    )
    keep_alive_timeout: float = _number(
        f"{PREFIX}KEEP_ALIVE_TIMEOUT",
        _SERVER.keep_alive,
        "an HTTP connection without a request is closed after it",
        *(1, 3600, "s"),
    )
    max_head_bytes: int = _number(
        f"{PREFIX}MAX_HEAD_BYTES",
        _SERVER.head_size,
        "longer request headers are refused with 431",
        *(1024, 1024**2, "bytes"),
    )
    max_body_bytes: int = _number(
        f"{PREFIX}MAX_BODY_BYTES",
        _SERVER.body_size,
        "a longer request body is refused with 413",
        *(0, 16 * 1024**2, "bytes"),
    )
    stop_timeout: float = _number(
        f"{PREFIX}STOP_TIMEOUT", 6.0, "clients have so long to leave when we stop", 0, 9, "s"
    )
    drain_delay: float = _number(
        f"{PREFIX}DRAIN_DELAY",
        0.0,
        "after a signal to stop, time in which the service is not ready but still accepts clients,"
        " for load balancers to notice",
        *(0, 300, "s"),
    )
    weight_ceiling: int | None = _variable(
        f"{PREFIX}WEIGHT_CEILING",
        None,
        "request weight a minute that we use at most; if not set, half of what the exchange allows"
        " an address",
        allowed=f"a whole number from 200 to {EXCHANGE_WEIGHT_LIMIT} (weight)",
        ge=200,
        le=EXCHANGE_WEIGHT_LIMIT,
    )
    rotate_after: float = _number(
        f"{PREFIX}ROTATE_AFTER",
        ROTATE_AFTER,
        "age at which another stream connection takes an old one's place, or up to a tenth earlier",
        *(60, 86_400, "s"),
    )
    audit_round: float = _number(
        f"{PREFIX}AUDIT_ROUND",
        AUDIT_ROUND,
        "time in which each series is compared with the exchange's history once",
        *(10, 86_400, "s"),
    )
    cors_origins: Annotated[tuple[str, ...], list_of(origin)] = _variable(
        f"{PREFIX}CORS_ORIGINS",
        ("*",),
        "origins whose pages may read our answers",
        allowed="* or origins such as https://charts.example.com, separated by commas",
    )
    origins: Annotated[tuple[str, ...] | None, list_of(origin)] = _variable(
        f"{PREFIX}ORIGINS",
        None,
        f"origins whose pages may open WebSockets; if not set, those of {PREFIX}CORS_ORIGINS",
        allowed="* or origins such as https://charts.example.com, separated by commas",
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], list_of(network)] = _variable(
        f"{PREFIX}TRUSTED_PROXIES",
        (),
        "proxies whose X-Forwarded-For says who the client is",
        allowed="addresses and networks such as 127.0.0.1,10.0.0.0/8, separated by commas",
    )
    tokens: Annotated[tuple[SecretStr, ...], list_of(token)] = _variable(
        f"{PREFIX}TOKENS",
        (),
        "tokens of which clients need one; better kept in a file",
        allowed="tokens of 16 or more letters, digits and any of - . _ ~ + /, separated by commas",
    )
    tokens_file: Path | None = _variable(
        f"{PREFIX}TOKENS_FILE",
        None,
        "file with such tokens, one a line; # begins a remark",
        allowed="a file that can be read",
    )
    tls_cert: Path | None = _variable(
        f"{PREFIX}TLS_CERT",
        None,
        "certificate chain to serve TLS with",
        allowed="a PEM file that can be read",
    )
    tls_key: Path | None = _variable(
        f"{PREFIX}TLS_KEY",
        None,
        "private key of the certificate",
        allowed="a PEM file that can be read, without a password",
    )

    def access(self, tokens: Iterable[str]) -> Access:
        """What is asked of clients, with the tokens that were found."""
        rate = self.requests_per_second_per_ip
        return Access(
            tokens=tuple(tokens),
            origins=self.cors_origins if self.origins is None else self.origins,
            cors_origins=self.cors_origins,
            trusted_proxies=self.trusted_proxies,
            requests_per_second=_ACCESS.requests_per_second if rate is None else rate,
            burst=self.request_burst_per_ip,
            exempts_loopback=rate is None,
        )

    @property
    def scheme(self) -> str:
        """Of the URLs that we serve."""
        return "http" if self.tls_cert is None else "https"

    @property
    def own_shards(self) -> range:
        """Those that this process feeds, or follows."""
        return range(self.shards) if self.shard is None else range(self.shard, self.shard + 1)

    @property
    def own_symbols(self) -> tuple[str, ...]:
        """Those of `symbols` that belong to one of its shards."""
        if self.shard is None:
            return self.symbols
        return tuple(s for s in self.symbols if shard_of(s, self.shards) == self.shard)

    @property
    def set_catalogue(self) -> tuple[tuple[str, ...], tuple[Interval, ...]]:
        """Symbols and intervals; those that have their default are left out."""
        is_set = self.model_fields_set
        return (
            self.symbols if "symbols" in is_set else (),
            self.intervals if "intervals" in is_set else (),
        )

    @property
    def feed_options(self) -> FeedOptions:
        return FeedOptions(
            symbols=self.own_symbols,
            weight_ceiling=self.weight_ceiling,
            rotate_after=self.rotate_after,
            audit_round=self.audit_round,
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

    def __repr_args__(self) -> Iterator[tuple[str, str]]:
        """What logs and tracebacks show has no passwords."""
        for name in type(self).model_fields:
            yield name, shown(getattr(self, name))

    __str__ = BaseModel.__repr__
