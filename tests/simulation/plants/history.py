"""What may be wrong with how history is read over REST."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import trio

import smarttrade.feed.rest as rest_module
from smarttrade.feed.backfill import _Backfill
from smarttrade.feed.errors import ExchangeUnavailable
from smarttrade.market.packed_candles import PackedCandles
from smarttrade.market.published_candles import PublishedCandles
from smarttrade.store.events import CandlesMissing

Read = tuple[int | None, PackedCandles]

RETRY_PAUSE = 3.6  # seconds; 1,000 requests an hour


@contextmanager
def settling_ignored() -> Iterator[None]:
    """A row is final because a later one is listed, even if history still lacks its last trades."""
    with patch.object(rest_module, "mark_unsettled", lambda rows, *_: rows):
        yield


@contextmanager
def unsettled_inside() -> Iterator[None]:
    """A page or snapshot goes on after a candle that has ended and is not final."""
    with patch.object(PublishedCandles, "unsettled", lambda *_: None):
        yield


@contextmanager
def worker_retries() -> Iterator[None]:
    """A worker stays with its series until the exchange answers."""
    read = _Backfill._read

    async def until_answered(self: _Backfill, missing: CandlesMissing, *, is_beyond: bool) -> Read:
        while True:
            try:
                return await read(self, missing, is_beyond=is_beyond)
            except ExchangeUnavailable:
                await trio.sleep(RETRY_PAUSE)

    with patch.object(_Backfill, "_read", until_answered):
        yield


@contextmanager
def unlisted_is_asked_again() -> Iterator[None]:
    """A range is read until history lists its end, and nothing else of the series meanwhile."""
    read = _Backfill._read

    async def until_listed(self: _Backfill, missing: CandlesMissing, *, is_beyond: bool) -> Read:
        while True:
            first, rows = await read(self, missing, is_beyond=is_beyond)
            if missing.last is None or (rows and rows[-1].open_time >= missing.last):
                return first, rows
            await trio.sleep(RETRY_PAUSE)

    with patch.object(_Backfill, "_read", until_listed):
        yield
