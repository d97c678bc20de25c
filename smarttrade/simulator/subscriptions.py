"""What one connection subscribes to, and the requests that change it.

Source: binance-spot-api-docs, web-socket-streams.md, "Live Subscribing/Unsubscribing to streams"
and "Error Messages".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from .calendar import Interval
from .push_schedule import StreamKey

MAX_STREAMS = 1024
MAX_REQUEST_SIZE = 4088
"""Bytes of a request that is answered; longer ones are ignored. Measured by others, documented
nowhere: binance-connector-rust, issue 27 (4,088 answered, 4,106 not)."""

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class TooManyStreams(Exception):
    """More than a connection may subscribe to."""


class BadRequest(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse_stream(name: str) -> StreamKey | None:
    """Symbol and interval of a kline stream; None for any other name, which is silent."""
    symbol, _, kind = name.partition("@kline_")
    try:
        interval = Interval(kind)
    except ValueError:
        return None
    return (symbol.upper(), interval) if symbol and symbol == symbol.lower() else None


class Subscriptions:
    """Stream names in the order of subscribing; names of no stream are kept and stay silent."""

    def __init__(self, names: Iterable[str], *, combined: bool) -> None:
        self.names: dict[str, StreamKey | None] = {}
        self.combined = combined
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        wanted = self.names | {name: parse_stream(name) for name in names if name}
        if len(wanted) > MAX_STREAMS:
            raise TooManyStreams
        self.names = wanted

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            self.names.pop(name, None)

    def keys(self) -> list[StreamKey]:
        return [key for key in self.names.values() if key]

    def answer(self, text: str) -> bytes | None:
        """Do what a request asks for; the JSON to reply with, or None for one that is ignored."""
        if len(text.encode(errors="replace")) > MAX_REQUEST_SIZE:
            return None
        request_id: Any = None
        try:
            request = _decode(text)
            request_id = _request_id(request)
            reply: dict[str, Any] = {"result": self._perform(request), "id": request_id}
        except BadRequest as problem:
            reply = {"error": {"code": problem.code, "msg": str(problem)}, "id": request_id}
        except TooManyStreams:
            message = f"Invalid request: more than {MAX_STREAMS} streams"
            reply = {"error": {"code": 2, "msg": message}, "id": request_id}
        return msgspec.json.encode(reply)

    def _perform(self, request: dict[str, Any]) -> Any:
        method, params = request["method"], request.get("params", [])
        if method == "LIST_SUBSCRIPTIONS":
            return list(self.names)
        if not isinstance(params, list):
            raise BadRequest(2, "Invalid request: params must be a list")
        if method == "SET_PROPERTY":
            return self._set_property(params)
        if method == "GET_PROPERTY":
            _property(params)
            return self.combined
        if not all(isinstance(name, str) for name in params):
            raise BadRequest(2, "Invalid request: stream names must be strings")
        (self.add if method == "SUBSCRIBE" else self.remove)(params)
        return None

    def _set_property(self, params: list[Any]) -> None:
        _property(params)
        if len(params) != 2 or not isinstance(params[1], bool):
            raise BadRequest(1, "Invalid value type: expected Boolean")
        self.combined = params[1]


def _property(params: list[Any]) -> None:
    if not params or not isinstance(params[0], str):
        raise BadRequest(2, "Invalid request: property name must be a string")
    if params[0] != "combined":
        raise BadRequest(0, "Unknown property")


def _decode(text: str) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise BadRequest(3, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(request, dict) or "method" not in request:
        raise BadRequest(2, "Invalid request: missing field `method` at line 1 column 1")
    if request["method"] not in METHODS:
        expected = ", ".join(f"`{method}`" for method in METHODS)
        raise BadRequest(
            2,
            f"Invalid request: unknown variant `{request['method']}`, expected one of {expected}",
        )
    return request


def _request_id(request: dict[str, Any]) -> int | str | None:
    """A whole number, an alphanumeric text of at most 36 characters, or null."""
    given = request.get("id")
    if "id" in request and not isinstance(given, bool):
        if given is None or isinstance(given, int):
            return given
        if isinstance(given, str) and len(given) <= 36:
            return given
    raise BadRequest(2, "Invalid request: request ID must be an unsigned integer")
