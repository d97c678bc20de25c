"""Access control: tokens, allowed origins, trusted proxies, and request rates by address.

Checked at the edge, before anything is built for a request, so that it holds for every route and
for what is answered without the application. docs/security.md describes how to use it.

* Where tokens are configured a request needs one, except `/health`, pages and their files, which
  hold no data, and a browser's OPTIONS, which carries none (Fetch standard, "CORS protocol").
* A token comes in `Authorization: Bearer TOKEN` (RFC 6750, 2.1); from a browser's WebSocket, which
  can send no header, as `?access_token=TOKEN` (2.3). It is never logged, and compared in a time
  that does not depend on how much of it is right.
* A WebSocket of a page from elsewhere is refused unless its origin is allowed: the same-origin
  policy of browsers does not cover WebSockets (RFC 6455, 10.2).
* The client is the peer of the connection, unless that is a trusted proxy: then it is the address
  that the proxy reports.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import parse_qsl

from ..token_bucket import TokenBucket
from .addresses import network_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PUBLIC_PATHS = frozenset(
    (
        *(b"/", b"/health", b"/inspect", b"/inspect-ws", b"/favicon.ico"),
        *(b"/docs", b"/openapi.json", b"/asyncapi.json"),
    )
)
PUBLIC_PREFIX = b"/static/"
QUERY_TOKEN = "access_token"  # noqa: S105 - its name, from RFC 6750
MAX_ADDRESSES = 16_384  # whose rates are known at a time; some 400 bytes each
MAX_HOPS = 16  # proxies between a client and us; anything before them may be made up


@dataclass(frozen=True, slots=True)
class Access:
    """What is required of clients; by default nothing but a moderate rate."""

    tokens: tuple[str, ...] = field(default=(), repr=False)
    """Each is valid; with none, no token is required."""

    origins: tuple[str, ...] = ("*",)
    """Whose pages may open WebSockets; `*` is any. Our own pages always may."""

    cors_origins: tuple[str, ...] = ("*",)
    """Whose pages may read the refusals."""

    trusted_proxies: tuple[Network, ...] = ()
    """Peers whose `X-Forwarded-For` is used."""

    requests_per_second: float = 200.0
    """Sustained, of one address. More are answered with 429."""

    burst: int = 1000
    """How many at once; as WebSocket handshakes, a fifth of it."""

    exempts_loopback: bool = True
    """Whether loopback addresses are free of this limit."""


class RequestInfo(NamedTuple):
    """What a request reveals about its sender."""

    method: bytes
    target: bytes
    authorization: str = ""
    origin: str | None = None
    host: str = ""
    forwarded: str = ""
    """`X-Forwarded-For`, all of them joined by commas."""


class AccessPolicy:
    """Applies `Access`, and keeps the request rate of each address."""

    def __init__(self, access: Access) -> None:
        self._digests = [sha256(token.encode()).digest() for token in access.tokens]
        self._origins = frozenset(access.origins)
        self._proxies = access.trusted_proxies
        self._rates = Rates(access.requests_per_second, access.burst)
        self._exempts_loopback = access.exempts_loopback

    def is_proxy(self, address: str) -> bool:
        """Whether it is a trusted proxy; those have no limits of their own."""
        return bool(self._proxies) and _is_in(address, self._proxies)

    def client_of(self, peer: str, forwarded: str) -> str:
        """The address of the client.

        From the right, the first that is not a trusted proxy: it may have made up anything to the
        left of itself. At an entry that is not an address, the last valid one.
        """
        client = peer
        if not self.is_proxy(peer):
            return client
        for entry in reversed(forwarded.split(",")[-MAX_HOPS:]):
            address = _address_in(entry)
            if address is None:
                return client
            client = address
            if not self.is_proxy(client):
                return client
        return client

    def bucket_of(self, client: str) -> TokenBucket | None:
        """What the address may still ask for; None when it has no limit."""
        if self._exempts_loopback and is_loopback(client):
            return None
        return self._rates.bucket(network_of(client))

    def is_authorized(self, request: RequestInfo) -> bool:
        """Whether the request carries a valid token, or needs none."""
        return not self._digests or self._is_open(request) or self._is_token(_token_in(request))

    def allows_origin(self, request: RequestInfo) -> bool:
        """Whether a WebSocket may be opened; programs that are no browsers send no origin."""
        origin = request.origin
        if origin is None or "*" in self._origins:
            return True
        origin = origin.lower()
        return origin in self._origins or origin.partition("://")[2] == request.host.lower() != ""

    def _is_open(self, request: RequestInfo) -> bool:
        path = request.target.partition(b"?")[0]
        return (
            request.method == b"OPTIONS" or path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX)
        )

    def _is_token(self, token: str) -> bool:
        digest = sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = [hmac.compare_digest(digest, known) for known in self._digests]  # all of them
        return any(found)


class Rates:
    """A token bucket for each of the most recent addresses."""

    def __init__(self, rate: float, burst: float, most: int = MAX_ADDRESSES) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def bucket(self, network: str) -> TokenBucket:
        bucket = self._buckets.get(network)
        if bucket is None:
            bucket = self._buckets[network] = TokenBucket(self._burst, self._rate)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(network)
        return bucket


def _token_in(request: RequestInfo) -> str:
    scheme, _, token = request.authorization.partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    query = request.target.partition(b"?")[2].decode("latin-1")
    try:
        return dict(parse_qsl(query, max_num_fields=100)).get(QUERY_TOKEN, "")
    except ValueError:  # more fields than that
        return ""


def request_info(
    method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> RequestInfo:
    """Read a request's head; header names are in lower case."""
    found: dict[bytes, str] = {}
    forwarded: list[str] = []
    for name, value in headers:
        if name == b"x-forwarded-for":
            forwarded.append(value.decode("latin-1"))
        elif name in (b"authorization", b"origin", b"host"):
            found[name] = value.decode("latin-1")
    return RequestInfo(
        method,
        target,
        found.get(b"authorization", ""),
        found.get(b"origin"),
        found.get(b"host", ""),
        ",".join(forwarded),
    )


@lru_cache(4096)
def is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


@lru_cache(4096)
def _address_in(entry: str) -> str | None:
    """An entry of `X-Forwarded-For`, without the port that some proxies add."""
    entry = entry.strip()
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        address = ipaddress.ip_address(entry.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None
    return str(mapped or address)


@lru_cache(4096)
def _is_in(address: str, networks: Sequence[Network]) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    return any(ip in network for network in networks if network.version == ip.version)
