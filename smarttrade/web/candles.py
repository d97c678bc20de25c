"""`GET /candles`: a page of a series' window, encoded once for as long as it does not change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import trio
from quart import Response
from werkzeug.datastructures import Headers, MIMEAccept
from werkzeug.http import parse_accept_header

from actors import Mailbox

from ..market.candle import Candle
from ..market.gaps import Gap
from ..market.series import Series
from ..market.window import WINDOW_SIZE
from ..session.candle_texts import CandleTexts
from ..session.encoded_cache import EncodedCache
from ..session.errors import RequestError
from ..session.requests import MAX_SECONDS, find_series, shown
from ..session.wire import encode_json
from ..store.messages import GetCatalogue, GetPage, Page, PageUnavailable, StoreMessage
from . import response_schemas
from .encoded_page import CachedPrefix, EncodedPage, PageFormat
from .int_param import IntParam
from .problem import ProblemError
from .store_client import ask

DEFAULT_LIMIT = 500
PAGE_OVERHEAD = 2000  # bytes that a page takes in memory besides its text and its candles
MAX_SPELLINGS = 1024  # spellings of series that are kept resolved

LIMIT = IntParam("limit", 1, WINDOW_SIZE, "How many candles at most, the newest.", DEFAULT_LIMIT)
BEFORE = IntParam(
    "before", 0, MAX_SECONDS, "Only candles that open before this, in seconds since the epoch."
)
FORMATS = {"json": PageFormat.JSON, "csv": PageFormat.CSV}

Key = tuple[Series, int, int | None, PageFormat]

_CSV_HEADER = b"time,open,high,low,close,volume\r\n"


class CandlePages:
    """Answers `GET /candles/{symbol}/{interval}`, and keeps the pages used last.

    `revision_of` shows, without asking the store, whether a kept page is still valid: it is None
    for an unknown series, and grows with every change of a known one.
    """

    def __init__(
        self,
        store: Mailbox[StoreMessage],
        texts: CandleTexts,
        revision_of: Callable[[Series], int | None],
        cache: EncodedCache,
    ) -> None:
        self._store = store
        self._texts = texts
        self._revision_of = revision_of
        self._cache = cache
        self._names: dict[tuple[str, str], Series] = {}

    async def get(
        self, symbol: str, interval: str, query: Mapping[str, str], headers: Headers
    ) -> Response:
        """Answer a request.

        Raises:
            ProblemError: unknown series, bad parameters, or no history yet.
        """
        media = requested_format(query, headers.get("Accept", ""))
        page = await self.find(symbol, interval, query, media)
        status, fields, body = page.respond(
            headers.get("If-None-Match", ""), headers.get("Accept-Encoding", "")
        )
        response = Response(body, status=status, headers=fields)
        if status == 304:
            for name in ("Content-Type", "Content-Length"):  # of what is not sent
                response.headers.pop(name, None)
        return response

    async def find(
        self,
        symbol: str,
        interval: str,
        query: Mapping[str, str],
        media: PageFormat = PageFormat.JSON,
        take_turn: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    ) -> EncodedPage:
        """The requested page. `take_turn` waits before one is made, which takes 1 to 2 ms.

        Raises:
            ProblemError: unknown series, bad parameters, or no history yet.
        """
        series = await self._series(symbol, interval)
        limit = LIMIT.read(query) or DEFAULT_LIMIT
        before = BEFORE.read(query)
        key = series, limit, None if before is None else before * 1000, media
        page = self._cache.get(key, EncodedPage)
        if page is None or page.revision != self._revision_of(series):
            await take_turn()
            page = self._encoded(key, await self._page(key), page)
            self._cache.put(key, page, PAGE_OVERHEAD + 2 * page.size)
        return page

    async def _series(self, symbol: str, interval: str) -> Series:
        known = self._names.get((symbol, interval))
        if known is not None and self._revision_of(known) is not None:
            return known
        catalogue = await ask(self._store, GetCatalogue)
        try:
            series = find_series(symbol, interval, catalogue)
        except RequestError as error:
            raise ProblemError(404, error.code, error.message) from None
        if len(self._names) >= MAX_SPELLINGS:
            self._names.clear()
        self._names[symbol, interval] = series
        return series

    async def _page(self, key: Key) -> Page:
        page: Page | PageUnavailable = await ask(self._store, partial(GetPage, *key[:3]))
        if isinstance(page, PageUnavailable):
            raise ProblemError(
                503, "not_ready", f"{key[0]}: {page.value}; try again", retry_after=2
            )
        return page

    def _encoded(self, key: Key, page: Page, cached: EncodedPage | None) -> EncodedPage:
        if cached is not None and cached.revision == page.revision:
            return cached
        series, media = key[0], key[3]
        closed, last = page.candles[:-1], page.candles[-1:]
        if cached is not None and cached.prefix.candles == closed:
            prefix = cached.prefix
        elif media is PageFormat.CSV:
            prefix = CachedPrefix(closed, _CSV_HEADER + _csv_rows(closed))
        else:
            prefix = CachedPrefix(closed, self._json_start(series, closed))
        end = _csv_rows(last) if media is PageFormat.CSV else self._json_end(series, last, page)
        return EncodedPage(prefix, end, page.revision, media)

    def _json_start(self, series: Series, candles: Sequence[Candle]) -> bytes:
        names = encode_json({"symbol": series.symbol, "interval": series.interval.value})
        joined = self._texts.joined(series, candles)
        return b"".join((names[:-1], b',"candles":[', joined, b"," if candles else b""))

    def _json_end(self, series: Series, last: Sequence[Candle], page: Page) -> bytes:
        tail = encode_json(
            {
                "closed": bool(last) and last[0].closed,
                "as_of": page.as_of,
                "has_more": page.has_more,
                "gaps": [gap_schema(gap) for gap in page.gaps],
            }
        )
        return b"".join((self._texts.joined(series, last), b"],", tail[1:]))


def requested_format(query: Mapping[str, str], accept: str) -> PageFormat:
    """What `format` asks for, else what `Accept` prefers (RFC 9110, 12.5.1), else JSON.

    Raises:
        ProblemError: there is no such format.
    """
    name = query.get("format")
    if name is None:
        offered = ("application/json", "text/csv")
        best = parse_accept_header(accept, MIMEAccept).best_match(offered)
        return PageFormat.CSV if best == "text/csv" else PageFormat.JSON
    if name not in FORMATS:
        raise ProblemError(400, "bad_format", f"format must be json or csv, not {shown(name)}")
    return FORMATS[name]


def gap_schema(gap: Gap) -> response_schemas.Gap:
    """In the seconds of the API."""
    return response_schemas.Gap(gap.first // 1000, gap.last // 1000, gap.cause)


def _csv_rows(candles: Sequence[Candle]) -> bytes:
    """Rows end in CRLF (RFC 4180, 2)."""
    return "".join(
        [
            f"{candle.open_time // 1000},{candle.open!r},{candle.high!r},{candle.low!r},"
            f"{candle.close!r},{candle.volume!r}\r\n"
            for candle in candles
        ]
    ).encode()
