"""`GET /candles` answered at the edge: from the client's bytes to ours without a framework between.

For a request as browsers and programs send it: one whole head and nothing after it, with no header
that asks for something out of the ordinary. The answer is what Quart and Hypercorn would make of
the same `CandlePages`; tests/smarttrade/web/test_quick_candles.py compares the two. Whatever else
comes is left to them: `answer` returns None.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl
from wsgiref.handlers import format_date_time

from .access import RequestInfo
from .candles import CandlePages
from .cors import Cors
from .problem import ProblemError

Shortcut = Callable[[bytes, Callable[[RequestInfo], bool]], Awaitable[bytes | None]]
"""Answers a request, given all that has come of it, or leaves it to the application.

The other argument says whether a request may be answered; of one that may not, nothing is.
"""

SHORTCUT = "smarttrade_shortcut"
"""Where an application keeps its shortcut, in `extensions`."""

MAX_HEAD = 2048  # bytes; a browser's is less than half of that
REMEMBERED = 1024  # heads that have been read: on a kept connection they are the same each time

_BEGINS = b"GET /candles/"
_REQUEST = re.compile(
    rb"GET /candles/([A-Za-z0-9._-]+)/([A-Za-z0-9]+)(?:\?([a-z0-9=&]*))? HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]+:[ \t]*[\x20-\x7e]*\r\n)+)\r\n"
)
_NOT_OURS = {
    "content-length",
    "expect",
    "http2-settings",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


class Question(NamedTuple):
    """What a head asks for, as far as that makes a difference."""

    symbol: str
    interval: str
    query: dict[str, str]
    if_none_match: str
    accept_encoding: str
    origin: str | None
    asked: RequestInfo = RequestInfo(b"GET", _BEGINS)
    """For who decides whether it is answered. Tokens in queries are not for us."""


class CandleFastPath:
    def __init__(self, pages: CandlePages, cors: Cors) -> None:
        self._pages = pages
        self._cors = cors
        self._second = 0
        self._date = ""

    async def answer(self, data: bytes, may: Callable[[RequestInfo], bool]) -> bytes | None:
        """A whole response, or None when this is not for us. See `Shortcut`."""
        if not data.startswith(_BEGINS) or len(data) > MAX_HEAD:
            return None
        question = read_question(data)
        if question is None or not may(question.asked):
            return None
        try:
            page = await self._pages.find(question.symbol, question.interval, question.query)
        except ProblemError as problem:
            status, headers, body = problem.parts()
        else:
            status, headers, body = page.respond(question.if_none_match, question.accept_encoding)
        if status != 304:
            headers["Content-Length"] = str(len(body))
        lines = [*headers.items(), *self._cors.headers(question.origin, "GET")]
        head = "".join([f"{name.lower()}: {value}\r\n" for name, value in lines])
        return f"HTTP/1.1 {status} \r\n{head}date: {self._now()}\r\n\r\n".encode() + body

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, format_date_time(second)
        return self._date


@lru_cache(REMEMBERED)
def read_question(data: bytes) -> Question | None:
    """Read a request's head; None when it is not plain."""
    request = _REQUEST.fullmatch(data)
    if request is None:
        return None
    headers: dict[str, str] = {}
    for line in request[4].decode("ascii").splitlines():
        name, _, value = line.partition(":")
        name = name.lower()
        if name in headers or name in _NOT_OURS:
            return None
        headers[name] = value.strip()
    if "host" not in headers or headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    query: dict[str, str] = {}
    for name, value in parse_qsl((request[3] or b"").decode("ascii"), keep_blank_values=True):
        query.setdefault(name, value)
    return Question(
        request[1].decode("ascii"),
        request[2].decode("ascii"),
        query,
        headers.get("if-none-match", ""),
        headers.get("accept-encoding", ""),
        headers.get("origin"),
        RequestInfo(
            b"GET",
            _BEGINS,
            authorization=headers.get("authorization", ""),
            forwarded=headers.get("x-forwarded-for", ""),
        ),
    )
