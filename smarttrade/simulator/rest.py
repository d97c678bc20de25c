"""The public REST requests that candles need, and what is said to bad ones.

Sources: binance-spot-api-docs, rest-api.md, "General endpoints" and "Kline/Candlestick data";
errors.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from smarttrade.market.interval import Interval

from .exchange import DEFAULT_LIMIT, MAX_ROWS, Exchange
from .http import Headers, Request, Response, json_response
from .limits import WEIGHT_PER_MINUTE, Refusal
from .listings import exchange_info

SYMBOL = r"^[A-Z0-9-_.]{1,20}$"
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
    refusal = budget.spend(weight, trio.current_time())
    if refusal is not None:
        return refuse(refusal)
    used = str(budget.used)
    headers = [("X-MBX-USED-WEIGHT", used), ("X-MBX-USED-WEIGHT-1M", used)]
    try:
        return json_response(200, endpoint(exchange, request), headers)
    except ApiError as problem:
        return json_response(400, {"code": problem.code, "msg": str(problem)}, headers)


def refuse(refusal: Refusal) -> Response:
    """429: wait. 418: you did not."""
    if refusal.status == 418:
        message = "Way too much request weight used; IP banned. Please use WebSocket Streams."
    else:
        message = f"Too much request weight used; current limit is {WEIGHT_PER_MINUTE} a minute."
    headers: Headers = [("Retry-After", str(refusal.retry_after))]
    return json_response(refusal.status, {"code": -1003, "msg": message}, headers)


def _ping(exchange: Exchange, request: Request) -> Any:  # noqa: ARG001
    return {}


def _time(exchange: Exchange, request: Request) -> Any:  # noqa: ARG001
    return {"serverTime": exchange.now()}


def _exchange_info(exchange: Exchange, request: Request) -> Any:
    names = _symbols(request)
    if names is None:
        names = list(exchange.listings)
    for name in names:
        _check_listed(exchange, name)
    return exchange_info([exchange.listings[name] for name in names], exchange.now())


def _symbols(request: Request) -> list[str] | None:
    """What was asked about; None for everything."""
    one, several = request.parameter("symbol"), request.parameter("symbols")
    if one is not None and several is not None:
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    if several is None:
        return None if one is None else [_matching("symbol", one, SYMBOL)]
    try:
        return msgspec.json.decode(several, type=list[str])
    except msgspec.DecodeError:
        legal = r'^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$'
        raise _illegal("symbols", legal) from None


def _klines(exchange: Exchange, request: Request) -> Any:
    symbol = _matching("symbol", _mandatory(request, "symbol"), SYMBOL)
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
    return exchange.klines(symbol, interval, start, end, rows, at)


def _check_listed(exchange: Exchange, symbol: str) -> None:
    if symbol not in exchange.listings:
        raise ApiError(-1121, "Invalid symbol.")


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
