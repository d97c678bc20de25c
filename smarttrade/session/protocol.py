"""The client protocol: what is to be done about each request of a client.

Plain code, without I/O or clock: it is given each message with the time, and returns actions for
the session actor. See docs/client-protocol.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..market.interval import parse_interval
from ..market.series import Series, parse_symbol
from ..market.window import WINDOW_SIZE
from ..store.messages import Catalogue, SubscriptionSpec
from ..token_bucket import TokenBucket
from .budget import ENTRY, Budget, Verdict
from .errors import CloseCode, RequestError
from .messages import (
    Error,
    Identifier,
    Pong,
    SessionLimitsInfo,
    SubscribedMessage,
    SubscriptionError,
    Welcome,
)
from .requests import Request, decode, parse_entry, parse_spec, request_id, shown
from .session_limits import BAD_REQUEST_INTERVAL, SessionLimits
from .wire import message_frame, series_names


@dataclass(frozen=True, slots=True)
class Send:
    """Send this frame."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Ask the store for these; the acknowledgement goes ahead of what they bring."""

    wanted: tuple[SubscriptionSpec, ...]
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


def flood_end(verdict: Verdict) -> End:
    """How a session ends whose budget, or that of its address, is used up."""
    if verdict is Verdict.FLOODING:
        return End(CloseCode.POLICY, "too many requests")
    return End(CloseCode.OVERLOADED, "too many requests from your address")


Action = Send | Subscribe | Unsubscribe | End
"""An `End` comes last."""


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


@dataclass(slots=True)
class SessionProtocol:
    """One client's session: what it is subscribed to, and how well it behaves."""

    session: str
    """Its name, sent to the client; helps to find it in the log."""
    server: str
    heartbeat: float
    """Seconds between two heartbeats."""
    limits: SessionLimits
    budget: Budget
    """What its client may still cause."""
    simulated: bool = False
    """Whether the prices are invented."""
    counters: SessionCounters = field(default_factory=SessionCounters)
    """Usually those of all sessions."""
    subscribed: dict[Series, None] = field(default_factory=dict)
    """In the order in which they were asked for."""
    _faults: TokenBucket = field(init=False)

    def __post_init__(self) -> None:
        self._faults = TokenBucket(self.limits.bad_requests, 1 / BAD_REQUEST_INTERVAL)

    def welcome(self) -> bytes:
        limits = SessionLimitsInfo(
            subscriptions=self.limits.subscriptions,
            message_bytes=self.limits.message_bytes,
            requests_per_second=self.limits.requests_per_second,
            burst=self.limits.burst,
            snapshot=WINDOW_SIZE,
        )
        welcome = Welcome(self.server, self.session, self.heartbeat, limits, self.simulated)
        return message_frame(welcome)

    def receive(self, message: str | bytes, catalogue: Catalogue, now: float) -> list[Action]:
        """What to do about one message. `now` is in seconds of any steady clock."""
        self.counters.requests += 1
        verdict = self.budget.spend_message(now)
        if verdict is not Verdict.PAID:
            self.counters.closed_flooding += 1
            return [flood_end(verdict)]
        fields: dict[str, Any] = {}
        try:
            fields = decode(message)
            return self._carry_out(fields, catalogue)
        except RequestError as error:
            return self._refuse(error, request_id(fields), now)

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
        identifier = request_id(fields, strict=True)
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
                    f"action must be subscribe, unsubscribe, list or ping, not {shown(unknown)}",
                )

    def _entries(self, request: Request, fields: dict[str, Any]) -> Sequence[Any]:
        """A list under `subscriptions`, or the request itself for a single one."""
        if request.subscriptions is None:
            if "symbol" in fields or "interval" in fields:
                parse_entry(fields)  # alone, an invalid entry makes the request invalid
                return [fields]
            raise RequestError("bad_request", "subscriptions, or symbol and interval, are missing")
        count, most = len(request.subscriptions), self.limits.subscriptions
        if count > most:
            self.counters.refused_subscriptions += count
            raise RequestError(
                "too_many_subscriptions", f"at most {most} series in one session, not {count}"
            )
        self.budget.debit(count * ENTRY)
        return request.subscriptions

    def _subscribe(
        self, entries: Sequence[Any], identifier: Identifier, catalogue: Catalogue
    ) -> Action:
        wanted: dict[Series, SubscriptionSpec] = {}
        errors = []
        for entry in entries:
            try:
                one = parse_spec(entry, catalogue)
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
                one = self._find_subscribed(entry) or parse_spec(entry, catalogue).series
            except RequestError as error:
                errors.append(_entry_error(entry, error))
                continue
            self.subscribed.pop(one, None)
            series.append(one)
        return Unsubscribe(tuple(series), self._subscribed_frame(identifier, errors))

    def _find_subscribed(self, entry: Any) -> Series | None:
        """The series that is meant, also when it is not served any more."""
        fields = parse_entry(entry)
        try:
            series = Series(parse_symbol(fields.symbol), parse_interval(fields.interval))
        except ValueError:
            return None
        return series if series in self.subscribed else None

    def _subscribed_frame(self, identifier: Identifier, errors: list[SubscriptionError]) -> bytes:
        return message_frame(SubscribedMessage(identifier, series_names(self.subscribed), errors))


def _entry_error(entry: Any, error: RequestError) -> SubscriptionError:
    fields = entry if isinstance(entry, dict) else {}
    return SubscriptionError(
        _echo(fields.get("symbol")), _echo(fields.get("interval")), error.code, error.message
    )


def _echo(value: Any) -> str | None:
    return value[:50] if isinstance(value, str) else None
