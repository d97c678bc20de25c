"""What clients ask for, as they write it; understood here, or refused with a reason.

See docs/client-protocol.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..market.interval import parse_interval
from ..market.series import Series, parse_symbol
from ..market.window import WINDOW_SIZE
from ..store.messages import Catalogue, SubscriptionSpec
from .errors import RequestError
from .messages import Identifier

ACTIONS = ("subscribe", "unsubscribe", "list", "ping")
MAX_EXACT = 2**53  # from here on, a float names several whole numbers
MAX_NAMES = 20  # symbols that the message for an unknown one lists
MAX_SECONDS = 10**11  # the year 5138; milliseconds given for seconds are beyond it

# What the schema says of a value beyond its type is checked below, where the answer can say more
# than that it is wrong.


class SubscriptionEntry(msgspec.Struct):
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
            extra_json_schema={"minimum": 0, "exclusiveMaximum": MAX_SECONDS},
        ),
    ] = None


class Request(msgspec.Struct):
    """What a client asks. A single series may stand in the request itself."""

    action: Annotated[str, Meta(extra_json_schema={"enum": list(ACTIONS)})] = "subscribe"
    subscriptions: Annotated[
        list[Any] | None,
        Meta(extra_json_schema={"items": {"$ref": "#/components/schemas/Subscription"}}),
    ] = None


def decode(message: str | bytes) -> dict[str, Any]:
    """The fields of a request. Raises `RequestError`, as all here do."""
    if isinstance(message, bytes):
        raise RequestError("binary_message", "requests are text messages, this one was binary")
    try:
        fields = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RequestError("bad_json", f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise RequestError("bad_request", "a request is a JSON object")
    return fields


def request_id(fields: dict[str, Any], *, strict: bool = False) -> Identifier:
    """The `id` of a request; None instead of an invalid one, which `strict` refuses."""
    identifier = _whole(fields.get("id"))
    if identifier is None or (
        isinstance(identifier, int | str) and not isinstance(identifier, bool)
    ):
        return identifier
    if strict:
        raise RequestError("bad_request", "id must be a whole number or a text")
    return None


def _whole(value: Any) -> Any:
    """JSON has one kind of number: `7.0` is the whole number 7 (RFC 8259, 6)."""
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_EXACT:
        return int(value)
    return value


def parse_entry(entry: Any) -> SubscriptionEntry:
    if isinstance(entry, dict) and isinstance(entry.get("snapshot"), float):
        entry = {**entry, "snapshot": _whole(entry["snapshot"])}
    try:
        return msgspec.convert(entry, SubscriptionEntry)
    except msgspec.ValidationError as error:
        raise RequestError("bad_request", f"not a subscription: {error}") from None


def parse_spec(entry: Any, catalogue: Catalogue) -> SubscriptionSpec:
    asked = parse_entry(entry)
    series = find_series(asked.symbol, asked.interval, catalogue)
    if asked.snapshot is not None and not 1 <= asked.snapshot <= WINDOW_SIZE:
        raise RequestError(
            "bad_snapshot", f"snapshot must be 1 to {WINDOW_SIZE}, not {asked.snapshot}"
        )
    if asked.since is not None and not 0 <= asked.since < MAX_SECONDS:
        raise RequestError("bad_since", f"since must be seconds since the epoch, not {asked.since}")
    since = None if asked.since is None else int(asked.since * 1000)
    return SubscriptionSpec(series, asked.snapshot, since)


# One object for all sessions that are subscribed to it.
_series = lru_cache(4096)(Series)


def _names(symbols: Sequence[str]) -> str:
    left = len(symbols) - MAX_NAMES
    return ", ".join(symbols[:MAX_NAMES]) + (f" and {left} more" if left > 0 else "")


def find_series(symbol: str, interval: str, catalogue: Catalogue) -> Series:
    """The series that a client names.

    Raises:
        RequestError: `unknown_symbol` or `unknown_interval`; the message names what there is.
    """
    try:
        known_symbol = parse_symbol(symbol)
    except ValueError:
        known_symbol = ""
    if known_symbol not in catalogue.members and known_symbol in catalogue.details:
        reason = catalogue.details[known_symbol].reason
        raise RequestError("unknown_symbol", f"{known_symbol} is left out: {reason}")
    if known_symbol not in catalogue.members:
        offered = _names(catalogue.symbols)
        raise RequestError(
            "unknown_symbol", f"unknown symbol: {shown(symbol)}; there are {offered}"
        )
    try:
        known_interval = parse_interval(interval)
    except ValueError:
        known_interval = None
    if known_interval not in catalogue.intervals:
        offered = ", ".join(each.value for each in catalogue.intervals)
        raise RequestError(
            "unknown_interval", f"unknown interval: {shown(interval)}; there are {offered}"
        )
    assert known_interval is not None
    return _series(known_symbol, known_interval)


def shown(text: str) -> str:
    """A client's own words, quoted and cut, for a message to it."""
    return repr(text if len(text) <= 50 else text[:50] + "...")
