"""`/streaming/status`: every series at a glance, or those that are looked for.

With many series the answer is put together in slices, so that candles are not held up. Each slice
is of one instant; the whole is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from msgspec import UNSET, Raw, structs

from actors import Mailbox

from ..market.interval import Interval
from ..market.series import Series
from ..session.wire import encode_json
from ..store.messages import (
    GetOverview,
    GetSymbolOverviews,
    Overview,
    SeriesOverview,
    StoreMessage,
)
from ..store.shards import shard_of
from .int_param import IntParam
from .response_schemas import SeriesStatus, StreamingStatus
from .store_client import ask

SERIES_PER_QUESTION = 256
"""Series that are described at a time: about 2 ms in the store, and 2 ms here."""

PUBLIC = ("kind", "role", "since", "lag")
"""What anyone may know of where candles are stored. Errors and leaders name machines."""

MAX_SERIES = 100_000
MAX_SEARCH = 100  # characters

OFFSET = IntParam("offset", 0, MAX_SERIES, "How many of the series to leave out at first.", 0)
LIMIT = IntParam("limit", 0, MAX_SERIES, "How many series at most; all without it.")
NOT_READY = IntParam("not_ready", 0, 1, "With 1, only series that are not `ok`.", 0)


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """Which series are wanted."""

    words: tuple[str, ...] = ()
    """Each an interval, or a part of the symbol."""
    only_not_ready: bool = False
    offset: int = 0
    limit: int = MAX_SERIES

    @classmethod
    def read(cls, query: Mapping[str, str]) -> StatusQuery:
        """What the request asks for.

        Raises:
            ProblemError: 400, a parameter is not what it must be.
        """
        limit = LIMIT.read(query)
        return cls(
            tuple(query.get("search", "")[:MAX_SEARCH].split()),
            bool(NOT_READY.read(query)),
            OFFSET.read(query) or 0,
            MAX_SERIES if limit is None else limit,
        )

    def matches(self, overview: Overview) -> tuple[int, Iterator[Series]]:
        """How many series match, and those of them that are wanted."""
        named = _INTERVALS.intersection(self.words)
        intervals = [i for i in overview.intervals if not named or i.value in named]
        parts = [word.upper() for word in self.words if word not in named]
        symbols = [s for s in overview.symbols if all(part in s for part in parts)]
        page = slice(self.offset, self.offset + self.limit)
        if not self.only_not_ready:
            found = (Series(symbol, interval) for symbol in symbols for interval in intervals)
            return len(symbols) * len(intervals), islice(found, page.start, page.stop)
        places = {symbol: place for place, symbol in enumerate(symbols)}
        listed = [
            series
            for series in (*overview.not_ready, *overview.excused)
            if series.symbol in places and series.interval in intervals
        ]
        listed.sort(key=lambda series: places[series.symbol])
        return len(listed), iter(listed[page])


_INTERVALS = {interval.value for interval in Interval}


async def streaming_status(
    store: Mailbox[StoreMessage],
    query: StatusQuery,
    described: Mapping[str, Any],
    *,
    simulated: bool,
    shards: int = 1,
) -> bytes:
    """The answer, as JSON. `described` says where candles are stored.

    Raises:
        ProblemError: 503, the store does not answer.
    """
    overview = await ask(store, GetOverview)
    matching, wanted = query.matches(overview)
    parts: list[bytes] = []
    while some := list(islice(wanted, SERIES_PER_QUESTION)):
        entries = [_entry(each, shards) for each in await _overviews(store, some)]
        parts.append(encode_json(entries)[1:-1])
    status = StreamingStatus(
        symbols=list(overview.symbols),
        per_symbol=[],
        last_store_update_ts=overview.updated_at,
        feed=overview.feed.feed.value,
        feed_since=round(overview.feed.since, 3),
        store={name: described[name] for name in PUBLIC if name in described},
        simulated=simulated,
        age=None if overview.age is None else round(overview.age, 3),
        series=overview.series_count,
        not_ready=len(overview.not_ready),
        gaps_unfilled=overview.gaps.get("unfilled", 0),
        matching=matching,
        offset=query.offset,
    )
    listed = Raw(b"[" + b",".join(filter(None, parts)) + b"]")
    return encode_json(structs.asdict(status) | {"per_symbol": listed})


async def _overviews(
    store: Mailbox[StoreMessage], wanted: Sequence[Series]
) -> list[SeriesOverview]:
    symbols = tuple(dict.fromkeys(series.symbol for series in wanted))
    listed = set(wanted)
    found = await ask(store, partial(GetSymbolOverviews, symbols))
    return [each for each in found if each.series in listed]


def _entry(overview: SeriesOverview, shards: int) -> SeriesStatus:
    newest, symbol = overview.newest, overview.series.symbol
    return SeriesStatus(
        symbol=symbol,
        interval=overview.series.interval.value,
        count=overview.count,
        last_candle_time=None if newest is None else newest.open_time // 1000,
        last_open=None if newest is None else newest.open,
        last_high=None if newest is None else newest.high,
        last_low=None if newest is None else newest.low,
        last_close=None if newest is None else newest.close,
        closed=None if newest is None else newest.closed,
        age=None if overview.age is None else round(overview.age, 3),
        status=overview.not_ready_reason or "ok",
        gaps=len(overview.gaps),
        gaps_unfilled=sum(gap.cause == "unfilled" for gap in overview.gaps),
        shard=UNSET if shards == 1 else shard_of(symbol, shards),
    )
