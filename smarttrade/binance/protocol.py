"""What the stream actor decides, without any waiting: who connects to what, and how things are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from ..market.series import Series
from ..store.feed import Feed
from .wire import stream_name

MAX_STREAMS = 1024
"""Per connection. Source: binance-spot-api-docs, web-socket-streams.md, "Websocket Limits"."""

MAX_URL_NAMES = 4096  # characters of stream names in a URL; many servers stop at 8190 for a line

NAMES_PER_REQUEST = 200  # streams in one SUBSCRIBE, about 4 KB
REQUEST_EVERY = 0.25
"""Seconds between two SUBSCRIBEs: at most 5 incoming messages a second are allowed, pongs
included. Source: web-socket-streams.md, "Websocket Limits"."""

STALE_AFTER = 10.0
"""Seconds without any candle after which a connected feed is called stale: five times the
exchange's cadence of 2 s."""


def plan_connections(series: Sequence[Series]) -> list[Sequence[Series]]:
    """Which series share a connection: as few connections as allowed, evenly filled."""
    connections = -(-len(series) // MAX_STREAMS)
    return [series[index::connections] for index in range(connections)]


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """How to ask for a connection's streams."""

    path: str
    """To append to the endpoint."""
    later: tuple[tuple[str, ...], ...]
    """Names for SUBSCRIBE requests on the open connection: what no URL would hold."""


def stream_request(series: Sequence[Series]) -> StreamRequest:
    """Put as many streams into the URL as is safe, and the rest into requests."""
    names = [stream_name(each) for each in series]
    length = 0
    in_url = []
    for name in names:
        quoted = quote(name, safe="@")  # some symbols are not ASCII
        length += len(quoted) + 1
        if length > MAX_URL_NAMES:
            break
        in_url.append(quoted)
    rest = names[len(in_url) :]
    later = tuple(
        tuple(rest[start : start + NAMES_PER_REQUEST])
        for start in range(0, len(rest), NAMES_PER_REQUEST)
    )
    return StreamRequest(f"/stream?streams={'/'.join(in_url)}", later)


@dataclass(slots=True)
class FeedHealth:
    """How the feed as a whole is doing, judged from its connections."""

    connections: int
    """How many there should be."""
    connected: set[int] = field(default_factory=set)
    """The numbers of those that are open."""
    heard_at: float = float("-inf")
    """When the last candle came, in seconds of the loop's time."""

    def feed(self, now: float) -> Feed:
        if not self.connected:
            return Feed.DOWN
        if len(self.connected) < self.connections or now > self.heard_at + STALE_AFTER:
            return Feed.STALE
        return Feed.LIVE
