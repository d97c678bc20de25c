"""`GET /candles`: a page of a series' window, encoded once for as long as it does not change."""

from __future__ import annotations

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial

from quart import Response
from werkzeug.datastructures import Headers

from actors import Mailbox

from ..market.series import Series
from ..market.window import WINDOW_SIZE, Gap
from ..session.errors import RequestError
from ..session.protocol import MOST_SECONDS, find_series
from ..session.wire import CandleTexts, encode_json
from ..store.messages import Absent, GetCatalogue, GetPage, Page, StoreMessage
from .problem import ProblemError
from .questions import ask

DEFAULT_LIMIT = 500
CACHED_ANSWERS = 256  # of up to 110 KB each, and a fifth of that compressed
COMPRESS_FROM = 1024  # bytes; less is not worth a client's while
GZIP_LEVEL = 5

Key = tuple[Series, int, int | None]


class Answer:
    """One page as bytes, and compressed if anybody asked for that."""

    __slots__ = ("_compressed", "body", "etag", "revision")

    def __init__(self, body: bytes, revision: int) -> None:
        self.body = body
        self.revision = revision
        # Weak: the compressed form is the same answer (RFC 9110, 8.8.1).
        self.etag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        self._compressed: bytes | None = None

    @property
    def compressed(self) -> bytes:
        if self._compressed is None:
            self._compressed = gzip.compress(self.body, GZIP_LEVEL, mtime=0)
        return self._compressed


class CandlePages:
    """Answers to `GET /candles/{symbol}/{interval}`, the most recently used of them kept."""

    def __init__(self, store: Mailbox[StoreMessage], texts: CandleTexts) -> None:
        self._store = store
        self._texts = texts
        self._answers: OrderedDict[Key, Answer] = OrderedDict()

    async def get(
        self,
        symbol: str,
        interval: str,
        query: Mapping[str, str],
        headers: Headers,
    ) -> Response:
        """Answer a request.

        Raises:
            ProblemError: unknown series, bad parameters, or no history yet.
        """
        series = await self._series(symbol, interval)
        limit = _whole_number(query, "limit", 1, WINDOW_SIZE) or DEFAULT_LIMIT
        before = _whole_number(query, "before", 0, MOST_SECONDS)
        before_ms = None if before is None else before * 1000
        page = await ask(self._store, partial(GetPage, series, limit, before_ms))
        if isinstance(page, Absent):
            raise ProblemError(
                503, "not_ready", f"{series}: {page.value}; try again", retry_after=2
            )
        return _respond(self._encoded((series, limit, before_ms), page), headers)

    async def _series(self, symbol: str, interval: str) -> Series:
        catalogue = await ask(self._store, GetCatalogue)
        try:
            return find_series(symbol, interval, catalogue)
        except RequestError as error:
            raise ProblemError(404, error.code, error.message) from None

    def _encoded(self, key: Key, page: Page) -> Answer:
        answer = self._answers.get(key)
        if answer is None or answer.revision != page.revision:
            answer = self._answers[key] = Answer(self._encode(key[0], page), page.revision)
            if len(self._answers) > CACHED_ANSWERS:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return answer

    def _encode(self, series: Series, page: Page) -> bytes:
        head = encode_json({"symbol": series.symbol, "interval": series.interval.value})
        tail = encode_json(
            {
                "closed": bool(page.candles) and page.candles[-1].closed,
                "as_of": page.as_of,
                "has_more": page.has_more,
                "gaps": [describe_gap(gap) for gap in page.gaps],
            }
        )
        candles = self._texts.joined(series, page.candles)
        return b"".join((head[:-1], b',"candles":[', candles, b"],", tail[1:]))


def describe_gap(gap: Gap) -> dict[str, object]:
    """In the words and seconds of the API."""
    return {"from": gap.first // 1000, "to": gap.last // 1000, "cause": gap.cause}


def _whole_number(query: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    shown = text if len(text) <= 50 else text[:50] + "..."
    raise ProblemError(
        400, f"bad_{name}", f"{name} must be a whole number from {least} to {most}, not {shown!r}"
    )


def _respond(answer: Answer, headers: Headers) -> Response:
    common = {"ETag": answer.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if _matches(headers.get("If-None-Match", ""), answer.etag):
        unchanged = Response(b"", status=304, headers=common)
        for name in ("Content-Type", "Content-Length"):  # of what is not sent
            unchanged.headers.pop(name, None)
        return unchanged
    body = answer.body
    if len(body) >= COMPRESS_FROM and _accepts_gzip(headers.get("Accept-Encoding", "")):
        body = answer.compressed
        common["Content-Encoding"] = "gzip"
    return Response(body, headers=common, content_type="application/json")


def _matches(if_none_match: str, etag: str) -> bool:
    """Weak comparison, as If-None-Match wants it (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    opaque = etag.removeprefix("W/")
    told = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return opaque in told or "*" in told


def _accepts_gzip(accept_encoding: str) -> bool:
    for each in accept_encoding.lower().split(","):
        coding, _, parameter = each.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            quality = parameter.replace(" ", "")
            return quality not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
