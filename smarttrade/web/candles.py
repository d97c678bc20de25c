"""`GET /candles`: a page of a series' window, encoded once for as long as it does not change.

Most of a page stays what it was when its series changes: all candles but the last are closed. They
are joined, hashed and compressed once, and each change adds its last candle to that.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cached_property, partial

from quart import Response
from werkzeug.datastructures import Headers

from actors import Mailbox

from ..market.candle import Candle
from ..market.gaps import Gap
from ..market.series import Series
from ..market.window import WINDOW_SIZE
from ..session.errors import RequestError
from ..session.requests import MAX_SECONDS, find_series
from ..session.wire import CandleTexts, encode_json
from ..store.messages import GetCatalogue, GetPage, Page, PageUnavailable, StoreMessage
from . import response_schemas
from .int_param import IntParam
from .problem import ProblemError
from .store_client import ask

DEFAULT_LIMIT = 500
CACHED_ANSWERS = 256  # of up to 110 KB each, and a fifth of that compressed
CACHED_NAMES = 1024  # spellings of series that were asked for
COMPRESS_FROM = 1024  # bytes; less is not worth a client's while
GZIP_LEVEL = 5

LIMIT = IntParam("limit", 1, WINDOW_SIZE, "How many candles at most, the newest.", DEFAULT_LIMIT)
BEFORE = IntParam(
    "before", 0, MAX_SECONDS, "Only candles that open before this, in seconds since the epoch."
)

Key = tuple[Series, int, int | None]

_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # RFC 1952, 2.3: no name, no time, any system
_RAW = -zlib.MAX_WBITS  # deflate without a head of its own


class CachedPrefix:
    """A page up to its last candle."""

    def __init__(self, candles: tuple[Candle, ...], data: bytes) -> None:
        self.candles = candles
        self.data = data

    @cached_property
    def digest(self) -> hashlib.blake2b:
        return hashlib.blake2b(self.data, digest_size=12)

    @cached_property
    def checksum(self) -> int:
        return zlib.crc32(self.data)

    @cached_property
    def deflated(self) -> bytes:
        """Whole bytes (the flush sees to it), so that more can follow."""
        deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _RAW)
        return deflate.compress(self.data) + deflate.flush(zlib.Z_SYNC_FLUSH)


class EncodedPage:
    """One page as bytes, and compressed if anybody asked for that."""

    def __init__(self, beginning: CachedPrefix, end: bytes, revision: int) -> None:
        self.beginning = beginning
        self._end = end
        self.revision = revision
        digest = beginning.digest.copy()
        digest.update(end)
        # Weak: the compressed form is the same answer (RFC 9110, 8.8.1).
        self.etag = f'W/"{digest.hexdigest()}"'

    @property
    def body(self) -> bytes:
        return self.beginning.data + self._end

    @cached_property
    def compressed(self) -> bytes:
        deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _RAW)
        size = len(self.beginning.data) + len(self._end)
        return b"".join(
            (
                _GZIP_HEAD,
                self.beginning.deflated,
                deflate.compress(self._end),
                deflate.flush(),
                struct.pack("<LL", zlib.crc32(self._end, self.beginning.checksum), size),
            )
        )

    def respond(
        self, if_none_match: str, accept_encoding: str
    ) -> tuple[int, dict[str, str], bytes]:
        """The status, headers and body for a client that says this of itself."""
        headers = {"ETag": self.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if _matches(if_none_match, self.etag):
            return 304, headers, b""
        size = len(self.beginning.data) + len(self._end)
        if size >= COMPRESS_FROM and _accepts_gzip(accept_encoding):
            headers["Content-Encoding"] = "gzip"
            body = self.compressed
        else:
            body = self.body
        headers["Content-Type"] = "application/json"
        return 200, headers, body


class CandlePages:
    """Answers to `GET /candles/{symbol}/{interval}`, the most recently used of them kept.

    `revision_of` tells, without asking the store, whether a kept answer still holds: it is None
    for a series that there is not, and grows with every change of one that there is.
    """

    def __init__(
        self,
        store: Mailbox[StoreMessage],
        texts: CandleTexts,
        revision_of: Callable[[Series], int | None],
    ) -> None:
        self._store = store
        self._texts = texts
        self._revision_of = revision_of
        self._answers: OrderedDict[Key, EncodedPage] = OrderedDict()
        self._names: dict[tuple[str, str], Series] = {}

    async def get(
        self, symbol: str, interval: str, query: Mapping[str, str], headers: Headers
    ) -> Response:
        """EncodedPage a request.

        Raises:
            ProblemError: unknown series, bad parameters, or no history yet.
        """
        answer = await self.find(symbol, interval, query)
        status, told, body = answer.respond(
            headers.get("If-None-Match", ""), headers.get("Accept-Encoding", "")
        )
        response = Response(body, status=status, headers=told)
        if status == 304:
            for name in ("Content-Type", "Content-Length"):  # of what is not sent
                response.headers.pop(name, None)
        return response

    async def find(self, symbol: str, interval: str, query: Mapping[str, str]) -> EncodedPage:
        """The page that is asked for.

        Raises:
            ProblemError: unknown series, bad parameters, or no history yet.
        """
        series = await self._series(symbol, interval)
        limit = LIMIT.read(query) or DEFAULT_LIMIT
        before = BEFORE.read(query)
        key = series, limit, None if before is None else before * 1000
        answer = self._answers.get(key)
        if answer is None or answer.revision != self._revision_of(series):
            answer = self._answers[key] = self._encoded(key, await self._page(key), answer)
            if len(self._answers) > CACHED_ANSWERS:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return answer

    async def _series(self, symbol: str, interval: str) -> Series:
        known = self._names.get((symbol, interval))
        if known is not None and self._revision_of(known) is not None:
            return known
        catalogue = await ask(self._store, GetCatalogue)
        try:
            series = find_series(symbol, interval, catalogue)
        except RequestError as error:
            raise ProblemError(404, error.code, error.message) from None
        if len(self._names) >= CACHED_NAMES:
            self._names.clear()
        self._names[symbol, interval] = series
        return series

    async def _page(self, key: Key) -> Page:
        page: Page | PageUnavailable = await ask(self._store, partial(GetPage, *key))
        if isinstance(page, PageUnavailable):
            raise ProblemError(
                503, "not_ready", f"{key[0]}: {page.value}; try again", retry_after=2
            )
        return page

    def _encoded(self, key: Key, page: Page, before: EncodedPage | None) -> EncodedPage:
        if before is not None and before.revision == page.revision:
            return before
        series, texts = key[0], self._texts
        closed, last = page.candles[:-1], page.candles[-1:]
        # Candles that have not changed are the same objects, so this takes no time.
        if before is not None and before.beginning.candles == closed:
            beginning = before.beginning
        else:
            names = encode_json({"symbol": series.symbol, "interval": series.interval.value})
            joined = texts.joined(series, closed)
            comma = b"," if closed else b""
            beginning = CachedPrefix(closed, b"".join((names[:-1], b',"candles":[', joined, comma)))
        tail = encode_json(
            {
                "closed": bool(last) and last[0].closed,
                "as_of": page.as_of,
                "has_more": page.has_more,
                "gaps": [gap_schema(gap) for gap in page.gaps],
            }
        )
        end = b"".join((texts.joined(series, last), b"],", tail[1:]))
        return EncodedPage(beginning, end, page.revision)


def gap_schema(gap: Gap) -> response_schemas.Gap:
    """In the words and seconds of the API."""
    return response_schemas.Gap(gap.first // 1000, gap.last // 1000, gap.cause)


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
