"""The client protocol: what a client asks for, and what is to be done about it.

Plain code, without I/O or clock: it is given each message with the time, and returns actions for
the session actor. See docs/client-protocol.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..market.interval import parse_interval
from ..market.series import Series, parse_symbol
from ..market.window import WINDOW_SIZE
from ..store.messages import Catalogue, Wanted
from .errors import CloseCode, RequestError
from .messages import (
    Error,
    Identifier,
    Pong,
    SessionLimitsTold,
    Subscribed,
    SubscriptionError,
    Welcome,
)
from .wire import describe, message_frame


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one session may do."""

    subscriptions: int = 1024
    """Series at the same time; every symbol and interval that is usually configured."""
    message_bytes: int = 64 * 1024
    requests_per_second: float = 10.0
    """Sustained; a page that opens may ask for much more at once, see `burst`."""
    burst: int = 200
    bad_requests: int = 20
    """Tolerated at once; one more every `FORGIVE_EVERY` seconds."""
    idle_within: float = 600.0
    """Seconds without any subscription, after which the session is closed."""


@dataclass(slots=True)
class SessionCounters:
    """What all the sessions of a process did, since it started."""

    requests: int = 0

    bad_requests: int = 0
    """Answered with an error."""

    refused_subscriptions: int = 0
    """Entries over the limit of subscriptions."""

    closed_flooding: int = 0
    """Sessions closed for too many requests."""

    closed_faulty: int = 0
    """Sessions closed for too many bad requests."""

    closed_idle: int = 0
    """Sessions closed because they were subscribed to nothing."""


FORGIVE_EVERY = 3.0


class TokenBucket:
    """Allows `burst` at once and `rate` a second after that."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._tokens = burst
        self._at: float | None = None

    def take(self, now: float, cost: float = 1) -> bool:
        """Whether one more is allowed at `now` seconds; if so, it counts, as `cost` of them."""
        passed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._tokens = min(self._burst, self._tokens + passed * self._rate)
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True


# -- Actions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send this frame."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Ask the store for these; the acknowledgement goes ahead of what they bring."""

    wanted: tuple[Wanted, ...]
    acknowledgement: bytes


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    series: tuple[Series, ...]
    acknowledgement: bytes


@dataclass(frozen=True, slots=True)
class End:
    """Close the connection."""

    code: CloseCode
    reason: str


Action = Send | Subscribe | Unsubscribe | End
"""An `End` comes last."""


# -- Requests -------------------------------------------------------------------------------

ACTIONS = ("subscribe", "unsubscribe", "list", "ping")
MOST_SECONDS = 10**11  # the year 5138; milliseconds given for seconds are beyond it

# What the schema says of a value beyond its type is checked below, where the answer can say more
# than that it is wrong.


class Entry(msgspec.Struct):
    """One series, and where to begin."""

    symbol: Annotated[
        str, Meta(description="In any case.", extra_json_schema={"examples": ["BTCUSDT"]})
    ]
    interval: Annotated[
        str,
        Meta(
            description="`1m` is a minute, `1M` a month; `1H`, `4H`, `1D`, `1W` are understood.",
            extra_json_schema={"examples": ["1m", "1D"]},
        ),
    ]
    snapshot: Annotated[
        int | None,
        Meta(
            description="How many of the newest candles to begin with.",
            extra_json_schema={"minimum": 1, "maximum": WINDOW_SIZE},
        ),
    ] = None
    since: Annotated[
        int | float | None,
        Meta(
            description="The newest candle time that the client holds, in seconds; wins over "
            "`snapshot`.",
            extra_json_schema={"minimum": 0, "exclusiveMaximum": MOST_SECONDS},
        ),
    ] = None


class Request(msgspec.Struct):
    """What a client asks. A single series may stand in the request itself, as in `Entry`."""

    action: Annotated[str, Meta(extra_json_schema={"enum": list(ACTIONS)})] = "subscribe"
    subscriptions: Annotated[
        list[Any] | None,
        Meta(extra_json_schema={"items": {"$ref": "#/components/schemas/Entry"}}),
    ] = None


@dataclass(slots=True)
class SessionProtocol:
    """One client's session: what it is subscribed to, and how well it behaves."""

    session: str
    """Its name, told to the client; helps to find it in the log."""
    server: str
    heartbeat: float
    """Seconds between two heartbeats."""
    limits: SessionLimits
    counters: SessionCounters = field(default_factory=SessionCounters)
    """Usually those of all sessions."""
    subscribed: dict[Series, None] = field(default_factory=dict)
    """In the order in which they were asked for."""
    _requests: TokenBucket = field(init=False)
    _faults: TokenBucket = field(init=False)

    def __post_init__(self) -> None:
        self._requests = TokenBucket(self.limits.burst, self.limits.requests_per_second)
        self._faults = TokenBucket(self.limits.bad_requests, 1 / FORGIVE_EVERY)

    def welcome(self) -> bytes:
        limits = SessionLimitsTold(
            subscriptions=self.limits.subscriptions,
            message_bytes=self.limits.message_bytes,
            requests_per_second=self.limits.requests_per_second,
            burst=self.limits.burst,
            snapshot=WINDOW_SIZE,
        )
        return message_frame(Welcome(self.server, self.session, self.heartbeat, limits))

    def receive(self, message: str | bytes, catalogue: Catalogue, now: float) -> list[Action]:
        """What to do about one message. `now` is in seconds of any steady clock."""
        self.counters.requests += 1
        if not self._requests.take(now):
            self.counters.closed_flooding += 1
            return [End(CloseCode.POLICY, "too many requests")]
        fields: dict[str, Any] = {}
        try:
            fields = _decode(message)
            return self._carry_out(fields, catalogue)
        except RequestError as error:
            return self._refuse(error, _identifier(fields), now)

    def _refuse(self, error: RequestError, identifier: Identifier, now: float) -> list[Action]:
        self.counters.bad_requests += 1
        refusal = message_frame(Error(identifier, error.code, error.message))
        if not self._faults.take(now):
            self.counters.closed_faulty += 1
            return [Send(refusal), End(CloseCode.POLICY, "too many bad requests")]
        return [Send(refusal)]

    def _carry_out(self, fields: dict[str, Any], catalogue: Catalogue) -> list[Action]:
        try:
            request = msgspec.convert(fields, Request)
        except msgspec.ValidationError as error:
            raise RequestError("bad_request", f"not understood: {error}") from None
        identifier = _identifier(fields, strict=True)
        match request.action:
            case "subscribe":
                return [self._subscribe(self._entries(request, fields), identifier, catalogue)]
            case "unsubscribe":
                return [self._unsubscribe(self._entries(request, fields), identifier, catalogue)]
            case "list":
                return [Send(self._subscribed_frame(identifier, []))]
            case "ping":
                return [Send(message_frame(Pong(identifier)))]
            case unknown:
                raise RequestError(
                    "unknown_action",
                    f"action must be subscribe, unsubscribe, list or ping, not {_shown(unknown)}",
                )

    def _entries(self, request: Request, fields: dict[str, Any]) -> Sequence[Any]:
        """A list under `subscriptions`, or the request itself for a single one."""
        if request.subscriptions is None:
            if "symbol" in fields or "interval" in fields:
                _entry(fields)  # alone, one that is not understood is a request that is not
                return [fields]
            raise RequestError("bad_request", "subscriptions, or symbol and interval, are missing")
        # A bad entry costs the client a few bytes and us a hundred, and an exception.
        count, most = len(request.subscriptions), self.limits.subscriptions
        if count > most:
            self.counters.refused_subscriptions += count
            raise RequestError(
                "too_many_subscriptions", f"at most {most} series in one session, not {count}"
            )
        return request.subscriptions

    def _subscribe(
        self, entries: Sequence[Any], identifier: Identifier, catalogue: Catalogue
    ) -> Action:
        wanted: dict[Series, Wanted] = {}
        errors = []
        for entry in entries:
            try:
                one = _wanted(entry, catalogue)
                self._make_room(one.series)
            except RequestError as error:
                errors.append(_entry_error(entry, error))
                continue
            self.subscribed[one.series] = None
            wanted[one.series] = one
        return Subscribe(tuple(wanted.values()), self._subscribed_frame(identifier, errors))

    def _make_room(self, series: Series) -> None:
        most = self.limits.subscriptions
        if series not in self.subscribed and len(self.subscribed) >= most:
            self.counters.refused_subscriptions += 1
            raise RequestError("too_many_subscriptions", f"at most {most} series in one session")

    def _unsubscribe(
        self, entries: Sequence[Any], identifier: Identifier, catalogue: Catalogue
    ) -> Action:
        series = []
        errors = []
        for entry in entries:
            try:
                one = _wanted(entry, catalogue).series
            except RequestError as error:
                errors.append(_entry_error(entry, error))
                continue
            self.subscribed.pop(one, None)
            series.append(one)
        return Unsubscribe(tuple(series), self._subscribed_frame(identifier, errors))

    def _subscribed_frame(self, identifier: Identifier, errors: list[SubscriptionError]) -> bytes:
        return message_frame(Subscribed(identifier, describe(self.subscribed), errors))


def _decode(message: str | bytes) -> dict[str, Any]:
    if isinstance(message, bytes):
        raise RequestError("binary_message", "requests are text messages, this one was binary")
    try:
        fields = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RequestError("bad_json", f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise RequestError("bad_request", "a request is a JSON object")
    return fields


def _identifier(fields: dict[str, Any], *, strict: bool = False) -> Identifier:
    identifier = fields.get("id")
    if identifier is None or (
        isinstance(identifier, int | str) and not isinstance(identifier, bool)
    ):
        return identifier
    if strict:
        raise RequestError("bad_request", "id must be a number or a text")
    return None


def _entry(entry: Any) -> Entry:
    try:
        return msgspec.convert(entry, Entry)
    except msgspec.ValidationError as error:
        raise RequestError("bad_request", f"not a subscription: {error}") from None


def _wanted(entry: Any, catalogue: Catalogue) -> Wanted:
    asked = _entry(entry)
    series = find_series(asked.symbol, asked.interval, catalogue)
    if asked.snapshot is not None and not 1 <= asked.snapshot <= WINDOW_SIZE:
        raise RequestError(
            "bad_snapshot", f"snapshot must be 1 to {WINDOW_SIZE}, not {asked.snapshot}"
        )
    if asked.since is not None and not 0 <= asked.since < MOST_SECONDS:
        raise RequestError("bad_since", f"since must be seconds since the epoch, not {asked.since}")
    since = None if asked.since is None else int(asked.since * 1000)
    return Wanted(series, asked.snapshot, since)


# One object for all sessions that are subscribed to it.
_series = lru_cache(4096)(Series)


def find_series(symbol: str, interval: str, catalogue: Catalogue) -> Series:
    """The series that a client names.

    Raises:
        RequestError: `unknown_symbol` or `unknown_interval`; the message names what there is.
    """
    try:
        known_symbol = parse_symbol(symbol)
    except ValueError:
        known_symbol = ""
    if known_symbol not in catalogue.symbols:
        offered = ", ".join(catalogue.symbols)
        raise RequestError(
            "unknown_symbol", f"unknown symbol: {_shown(symbol)}; there are {offered}"
        )
    try:
        known_interval = parse_interval(interval)
    except ValueError:
        known_interval = None
    if known_interval not in catalogue.intervals:
        offered = ", ".join(each.value for each in catalogue.intervals)
        raise RequestError(
            "unknown_interval", f"unknown interval: {_shown(interval)}; there are {offered}"
        )
    assert known_interval is not None
    return _series(known_symbol, known_interval)


def _entry_error(entry: Any, error: RequestError) -> SubscriptionError:
    fields = entry if isinstance(entry, dict) else {}
    return SubscriptionError(
        _echo(fields.get("symbol")), _echo(fields.get("interval")), error.code, error.message
    )


def _echo(value: Any) -> str | None:
    return value[:50] if isinstance(value, str) else None


def _shown(text: str) -> str:
    """A client's own words, quoted and cut, for a message to it."""
    return repr(text if len(text) <= 50 else text[:50] + "...")
