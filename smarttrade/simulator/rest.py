"""The public REST requests that klines need, and the errors of bad ones.

Sources: binance-spot-api-docs, rest-api.md, "General endpoints" and "Kline/Candlestick data";
errors.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from .calendar import Interval
from .exchange import DEFAULT_LIMIT, MAX_ROWS, Exchange
from .http import Request, Response, json_response
from .listings import exchange_info
from .refusals import refuse
from .render import Row

# Symbols may hold letters of any script, but none of a to z. The legal range is spelled as the
# exchange spells it, in Java's syntax; Python has no intersection of sets.
SYMBOL, LEGAL_SYMBOL = r"(?:(?![a-z])[\w\-.]){1,50}", r"^[\w\-._&&[^a-z]]{1,50}$"
NUMBER = r"^[0-9]{1,20}$"


class ApiError(Exception):
    """A request that the exchange answers with a code of its own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def answer_api(exchange: Exchange, request: Request, peer: str) -> Response:
    """Answer what is under `/api`, and count its weight."""
    known = ENDPOINTS.get(request.path)
    if known is None:
        return Response(404, b"<html><body><h2>404 Not found</h2></body></html>", [], "text/html")
    if request.method not in ("GET", "HEAD"):
        return json_response(405, {"code": -1000, "msg": "Request method not supported"})
    weight, endpoint = known
    budget = exchange.limits.weight(peer)
    others = exchange.faults.others_weight.value or 0
    refusal = budget.spend(weight, trio.current_time(), others)
    if refusal is not None:
        return refuse(exchange, refusal)
    used = str(budget.used + others)
    headers = [("X-MBX-USED-WEIGHT", used), ("X-MBX-USED-WEIGHT-1M", used)]
    try:
        return json_response(200, endpoint(exchange, request), headers)
    except ApiError as problem:
        return json_response(400, {"code": problem.code, "msg": str(problem)}, headers)


def _ping(exchange: Exchange, request: Request) -> Any:  # noqa: ARG001
    return {}


def _time(exchange: Exchange, request: Request) -> Any:  # noqa: ARG001
    return {"serverTime": exchange.now()}


def _exchange_info(exchange: Exchange, request: Request) -> Any:
    names = _symbols(request)
    if names is None:
        names = [name for name in exchange.listings if _is_known(exchange, name)]
    for name in names:
        _check_listed(exchange, name)
    listings = [exchange.listings[name] for name in names]
    return exchange_info(listings, exchange.now(), exchange.limits.weight_limit)


def _symbols(request: Request) -> list[str] | None:
    """The symbols that were asked for; None for all."""
    one, several = request.parameter("symbol"), request.parameter("symbols")
    if one is not None and several is not None:
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    if several is None:
        return None if one is None else [_symbol(one)]
    try:
        return msgspec.json.decode(several, type=list[str])
    except msgspec.DecodeError:
        one = LEGAL_SYMBOL.strip("^$")
        raise _illegal("symbols", rf'^\[("{one}"(,"{one}"){{0,}}){{0,1}}\]$') from None


def _klines(exchange: Exchange, request: Request) -> Any:
    symbol = _symbol(_mandatory(request, "symbol"))
    try:
        interval = Interval(_mandatory(request, "interval"))
    except ValueError:
        raise ApiError(-1120, "Invalid interval.") from None
    start, end = _number(request, "startTime"), _number(request, "endTime")
    limit = _number(request, "limit")
    if limit == 0:
        raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
    if request.parameter("timeZone") not in (None, "0", "+0:00", "0:00", "00:00"):
        raise ApiError(-1100, "Only timeZone 0 is simulated.")
    _check_listed(exchange, symbol)
    rows = min(limit or DEFAULT_LIMIT, MAX_ROWS, exchange.faults.rest_short.value or MAX_ROWS)
    at = exchange.now() - int((exchange.faults.rest_lag.value or 0.0) * 1000)
    listed = exchange.klines(symbol, interval, start, end, rows, at)
    return [_as_read(exchange, symbol, interval, row) for row in listed]


def _as_read(exchange: Exchange, symbol: str, interval: Interval, row: Row) -> Row:
    """A row, without the trades of its end while those are not in the database yet."""
    behind = int((exchange.faults.stale_rows.value or 0.0) * 1000)
    open_time, close_time = row[0], row[6]
    if not close_time < exchange.now() <= close_time + behind:
        return row
    before = max(open_time, close_time - behind)
    return exchange.kline(symbol, interval, open_time, before) or row


def _is_known(exchange: Exchange, symbol: str) -> bool:
    unknown = exchange.faults.unknown.value
    hidden = unknown is not None and (not unknown or symbol in unknown)
    return symbol in exchange.listings and not hidden


def _check_listed(exchange: Exchange, symbol: str) -> None:
    if not _is_known(exchange, symbol):
        raise ApiError(-1121, "Invalid symbol.")


def _symbol(value: str) -> str:
    if not re.fullmatch(SYMBOL, value):
        raise _illegal("symbol", LEGAL_SYMBOL)
    return value


def _mandatory(request: Request, name: str) -> str:
    value = request.parameter(name)
    if not value:
        raise ApiError(
            -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        )
    return value


def _number(request: Request, name: str) -> int | None:
    value = request.parameter(name)
    if value is None:
        return None
    if not value:
        raise ApiError(-1105, f"Parameter '{name}' was empty.")
    return int(_matching(name, value, NUMBER))


def _matching(name: str, value: str, legal: str) -> str:
    if not re.fullmatch(legal, value, re.ASCII):
        raise _illegal(name, legal)
    return value


def _illegal(name: str, legal: str) -> ApiError:
    return ApiError(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    )


# Weights as of 2026, rest-api.md.
ENDPOINTS: dict[str, tuple[int, Callable[[Exchange, Request], Any]]] = {
    "/api/v3/ping": (1, _ping),
    "/api/v3/time": (1, _time),
    "/api/v3/exchangeInfo": (20, _exchange_info),
    "/api/v3/klines": (2, _klines),
    "/api/v3/uiKlines": (2, _klines),
}
