"""`GET /candles` answered at the edge: from the client's bytes to ours without a framework between.

For a request as browsers and programs send it: one whole head and nothing after it, with no header
that asks for something out of the ordinary. The answer is what Quart and Hypercorn would make of
the same `CandlePages`; tests/smarttrade/web/test_fast_path.py compares the two. Anything else is
left to them: `answer` returns None.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol
from urllib.parse import parse_qsl
from wsgiref.handlers import format_date_time

from .access import RequestInfo
from .candles import CandlePages
from .cors import Cors
from .problem import ProblemError
from .request_target import is_host


class Guard(Protocol):
    """What the client of a connection is allowed to do."""

    def is_allowed(self, request: RequestInfo) -> bool:
        """Whether a request may be answered; one that may not is left to the application."""

    async def take_turn(self) -> None:
        """Wait before an answer is made that takes long, so that others are served meanwhile."""


FastPath = Callable[[bytes, Guard], Awaitable[bytes | None]]
"""Answers a request, given the bytes received so far, or leaves it to the application."""

FAST_PATH = "smarttrade_fast_path"
"""Key of an application's fast path in its `extensions`."""

MAX_HEAD = 2048  # bytes; a browser's is less than half of that
MAX_PARSED = 1024  # heads kept parsed: on a kept-alive connection they are the same each time

_PREFIX = b"GET /candles/"
_REQUEST = re.compile(
    rb"GET /candles/([A-Za-z0-9._-]+)/([A-Za-z0-9]+)(?:\?([a-z0-9=&]*))? HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]+:[ \t]*[\x20-\x7e]*\r\n)+)\r\n"
)
_UNSUPPORTED = {
    "content-length",
    "expect",
    "http2-settings",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


class FastRequest(NamedTuple):
    """The parts of a request's head that its answer depends on."""

    symbol: str
    interval: str
    query: dict[str, str]
    if_none_match: str
    accept_encoding: str
    origin: str | None
    info: RequestInfo = RequestInfo(b"GET", _PREFIX)
    """For the access policy. A token in the query is not handled here."""


class CandleFastPath:
    def __init__(self, pages: CandlePages, cors: Cors) -> None:
        self._pages = pages
        self._cors = cors
        self._second = 0
        self._date = ""

    async def answer(self, data: bytes, guard: Guard) -> bytes | None:
        """A whole response, or None if the application must answer. See `FastPath`."""
        if not data.startswith(_PREFIX) or len(data) > MAX_HEAD:
            return None
        request = parse_fast_request(data)
        if request is None or not guard.is_allowed(request.info):
            return None
        try:
            page = await self._pages.find(
                request.symbol, request.interval, request.query, take_turn=guard.take_turn
            )
        except ProblemError as problem:
            status, headers, body = problem.parts()
        else:
            status, headers, body = page.respond(request.if_none_match, request.accept_encoding)
        if status != 304:
            headers["Content-Length"] = str(len(body))
        lines = [*headers.items(), *self._cors.headers(request.origin, "GET")]
        head = "".join([f"{name.lower()}: {value}\r\n" for name, value in lines])
        return f"HTTP/1.1 {status} \r\n{head}date: {self._now()}\r\n\r\n".encode() + body

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, format_date_time(second)
        return self._date


@lru_cache(MAX_PARSED)
def parse_fast_request(data: bytes) -> FastRequest | None:
    """Parse a request's head; None if it is out of the ordinary."""
    match = _REQUEST.fullmatch(data)
    if match is None:
        return None
    headers: dict[str, str] = {}
    for line in match[4].decode("ascii").splitlines():
        name, _, value = line.partition(":")
        name = name.lower()
        if name in headers or name in _UNSUPPORTED:
            return None
        headers[name] = value.strip()
    if not _is_plain(headers):
        return None
    query: dict[str, str] = {}
    for name, value in parse_qsl((match[3] or b"").decode("ascii"), keep_blank_values=True):
        query.setdefault(name, value)
    if "format" in query:
        return None
    return FastRequest(
        match[1].decode("ascii"),
        match[2].decode("ascii"),
        query,
        headers.get("if-none-match", ""),
        headers.get("accept-encoding", ""),
        headers.get("origin"),
        RequestInfo(
            b"GET",
            _PREFIX,
            authorization=headers.get("authorization", ""),
            forwarded=headers.get("x-forwarded-for", ""),
        ),
    )


def _is_plain(headers: Mapping[str, str]) -> bool:
    """Whether these ask for JSON, and for the connection to stay open."""
    return (
        is_host(headers.get("host", "?").encode())
        and "csv" not in headers.get("accept", "").lower()
        and headers.get("connection", "keep-alive").lower() == "keep-alive"
    )
