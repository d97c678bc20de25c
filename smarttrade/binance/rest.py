"""The REST requests that the feed needs, and what the exchange's refusals mean.

Source: binance-spot-api-docs, rest-api.md and errors.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus

from ..feed.errors import ExchangeRefused
from ..feed.hosts import FailureKind
from ..feed.venue import HostFailure, Listing, RestRequest
from ..market.packed_candles import PackedCandles
from ..market.series import Series
from .limits import EXCHANGE_INFO_WEIGHT, KLINES_WEIGHT, TIME_WEIGHT
from .wire import decode_error, decode_klines, decode_listing, decode_server_time

_OVERLOADED = -1008
"""Source: errors.md: "Server is currently overloaded with other requests. Please try again in a few
minutes." """

_SERVER_ISSUES = range(-1099, -999)
"""Source: errors.md, "10xx - General Server or Network issues"."""
_FAILURE_KINDS: Mapping[int, FailureKind | None] = {
    HTTPStatus.BAD_REQUEST: None,  # of one symbol, say, while others are answered
    HTTPStatus.INTERNAL_SERVER_ERROR: None,  # the same
    HTTPStatus.FORBIDDEN: FailureKind.BLOCKED,  # the web application firewall
    HTTPStatus.TOO_MANY_REQUESTS: FailureKind.LIMITED,
    418: FailureKind.BANNED,  # for not having backed off after 429
}
"""Source: rest-api.md, "HTTP Return Codes"."""

_REQUEST_ISSUES = range(-1199, -1099)
"""Codes that blame the request. Source: errors.md, "11xx - Request issues"."""


def klines_request(
    series: Series, *, first: int | None, last: int | None, limit: int, as_of: int
) -> RestRequest[PackedCandles]:
    parameters = {
        "symbol": series.symbol,
        "interval": series.interval.value,
        "limit": str(limit),
    }
    if first is not None:
        parameters["startTime"] = str(first)
    if last is not None:
        parameters["endTime"] = str(last)
    decode = partial(decode_klines, as_of=as_of)
    return RestRequest("/api/v3/klines", parameters, KLINES_WEIGHT, decode)


def listing_request(symbols: Sequence[str]) -> RestRequest[Listing]:
    """One unknown symbol fails the whole request, and the answer does not name it."""
    quoted = ",".join(f'"{symbol}"' for symbol in symbols)
    return RestRequest(
        "/api/v3/exchangeInfo",
        {"symbols": f"[{quoted}]"},
        EXCHANGE_INFO_WEIGHT,
        decode_listing,
    )


def server_time_request() -> RestRequest[int]:
    return RestRequest("/api/v3/time", {}, TIME_WEIGHT, decode_server_time)


def used_weight(headers: Mapping[str, str]) -> int | None:
    return _number_in(headers, "X-MBX-USED-WEIGHT-1M")


def failure(status: int, headers: Mapping[str, str], body: bytes) -> ExchangeRefused | HostFailure:
    code, message = decode_error(body) or (0, "")
    if status == HTTPStatus.BAD_REQUEST and code in _REQUEST_ISSUES:
        return ExchangeRefused(code, message)
    retry_after = _number_in(headers, "Retry-After")
    return HostFailure(
        _failure_kind(status, code), None if retry_after is None else float(retry_after)
    )


def _failure_kind(status: int, code: int) -> FailureKind | None:
    if code == _OVERLOADED:
        return FailureKind.OVERLOADED
    if status == HTTPStatus.BAD_REQUEST and code in _SERVER_ISSUES:
        return FailureKind.FAILING
    return _FAILURE_KINDS.get(status, FailureKind.FAILING)


def _number_in(headers: Mapping[str, str], header: str) -> int | None:
    text = headers.get(header, "")
    return int(text) if text.isdecimal() and len(text) < 10 else None
