"""What the feed needs to know about an exchange, and everything that another one replaces.

A venue describes requests and reads answers; it neither opens connections nor waits. Connections,
their replacement, retries, budgets, backfill and audit are the feed's. `smarttrade/binance` is the
one venue so far; docs/contributing.md walks through writing a second.

Endpoints are base URLs from the settings, tried in order. The feed appends the `path` of a request
to one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

import msgspec

from ..market.candle import Candle
from ..market.packed_candles import PackedCandles
from ..market.series import Series
from .errors import ExchangeRefused
from .hosts import FailureKind

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the venue allows one IP address, or one connection."""

    weight: int
    """Request weight in `weight_period`. A venue that counts requests gives each a weight of 1."""
    weight_period: float
    """Seconds."""
    connection_attempts: int
    """Stream connections that may be attempted in `connection_period`."""
    connection_period: float
    """Seconds."""
    max_streams: int
    """Series on one stream connection."""
    max_messages: int
    """Messages that a stream connection may send in `message_period`, pongs included."""
    message_period: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class RestRequest(Generic[Answer]):
    """A GET request and how to read what comes back."""

    path: str
    parameters: Mapping[str, str]
    weight: int
    decode: Callable[[bytes], Answer]
    """Reads the body of a successful response. Raises `Malformed` when it is not the venue's."""


@dataclass(frozen=True, slots=True)
class HostFailure:
    """What a response says about the host that sent it."""

    kind: FailureKind | None
    """None when it may be this request only that failed."""
    retry_after: float | None = None
    """Seconds for which it asks to send nothing; None when it does not say."""


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """How to subscribe to the series of one connection."""

    path: str
    """Appended to the endpoint; may carry subscriptions in its query."""
    messages: Sequence[str] = ()
    """Sent on the open connection, for what the path does not carry: the next one when the one
    before is confirmed by `Subscribed`."""


@dataclass(frozen=True, slots=True)
class SymbolStatus:
    """What the venue reports about a symbol that it lists."""

    name: str
    """In the venue's own words, for logs."""
    is_trading: bool
    tick_size: Decimal | None = None
    """The smallest step of a price."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the venue reports about some symbols, and about itself on that occasion."""

    symbols: Mapping[str, SymbolStatus]
    weight: int | None = None
    """Request weight that it allows an address in `Limits.weight_period`."""
    time: int | None = None
    """Its clock, in milliseconds since the epoch."""


class CandleUpdate(msgspec.Struct, frozen=True):
    """A live candle of one of the connection's series."""

    series: Series
    candle: Candle


class ServerShutdown(msgspec.Struct, frozen=True):
    """The connection ends soon: open another at once."""


class Subscribed(msgspec.Struct, frozen=True):
    """The venue confirms one of the messages of a `StreamRequest`."""


class SubscribeFailed(msgspec.Struct, frozen=True):
    """The venue refused streams that were requested."""

    detail: str


StreamMessage = CandleUpdate | ServerShutdown | Subscribed | SubscribeFailed


class StreamDecoder(Protocol):
    """Reads the messages of one stream connection."""

    def decode(self, message: str | bytes) -> StreamMessage | None:
        """What a message means; None when it needs no reaction.

        Raises:
            Malformed: it is not a message of the venue, or of none of the connection's series.
        """


class Venue(Protocol):
    """One exchange. Stateless: every method is a function of its arguments.

    Times are in milliseconds since the epoch, by the venue's clock.
    """

    @property
    def limits(self) -> Limits: ...

    @property
    def rest_variable(self) -> str:
        """The environment variable that names the REST endpoints, for hints."""

    @property
    def stream_variable(self) -> str:
        """The environment variable that names the stream endpoints, for hints."""

    def klines_request(
        self, series: Series, *, first: int | None, last: int | None, limit: int, as_of: int
    ) -> RestRequest[PackedCandles]:
        """Candles that open from `first` to `last`, inclusive; without either, the newest.

        Oldest first, strictly ascending. At most `limit` of them, which is 1000 or less; the
        oldest ones when `first` is given. Every candle but the last is closed, and carries `as_of`
        as its event time: the latest event time that was known before the request.
        """

    def listing_request(self, symbols: Sequence[str]) -> RestRequest[Listing]:
        """The status of each of `symbols`.

        A venue may refuse the whole request because of one symbol that it does not list: the feed
        finds out which one.
        """

    def server_time_request(self) -> RestRequest[int]:
        """The venue's clock."""

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """The weight that this address has used in the current period; None if not reported.

        Header names are matched case-insensitively.
        """

    def failure(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> ExchangeRefused | HostFailure:
        """What a response other than 2xx means: for the request, or for the host."""

    def stream_request(self, series: Sequence[Series]) -> StreamRequest:
        """How to subscribe to `series`, at most `limits.max_streams`, on one connection."""

    def stream_decoder(self, series: Sequence[Series]) -> StreamDecoder:
        """Reads the messages of a connection that subscribes to `series`."""

    def status_hint(self, status: int, variable: str) -> str | None:
        """What the operator can do about an HTTP status of an endpoint in `variable`."""
