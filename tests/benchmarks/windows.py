"""Windows: resident memory of a store with many series.

Each case runs in a process of its own: a JSON job on the command line, a JSON result on standard
output, in bytes.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from functools import cache
from typing import Any

import smarttrade.app  # noqa: F401 - so that the process has all that it has without any series
from smarttrade.binance.wire import decode_klines
from smarttrade.market.interval import Interval
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import Page
from tests.benchmarks.exchange import INTERVALS, Klines
from tests.benchmarks.options import Options
from tests.benchmarks.processes import PRODUCT, load, rss_bytes
from tests.benchmarks.report import Report

NOW = 1_764_633_605_000  # ms; five seconds after the exchange's midnight
ROWS = 1000
SERIES = (60, 600, 2400)
MAX_BYTES_A_SERIES = 100_000  # encoded texts excluded


def measure(options: Options, report: Report) -> None:
    for _ in range(options.repeat):
        for series in SERIES[:2] if options.quick else SERIES:
            _measure(report, series)


def _measure(report: Report, series: int) -> None:
    """Before and after all windows are encoded."""
    found = load("windows", series=series)
    case = f"{series} series of 1000 candles in memory"
    print(f"windows, {case}: {found}", flush=True)
    each = (found["filled"] - found["before"]) / series
    limit = MAX_BYTES_A_SERIES / 1000 if series == SERIES[-1] else None
    add = report.add
    add("windows", case, "process", "MB", PRODUCT, found["filled"] / 1e6)
    add("windows", case, "each series", "KB", PRODUCT, each / 1000, limit=limit)
    add("windows", case, "process with all encoded", "MB", PRODUCT, found["encoded"] / 1e6)


@cache
def answer(interval: Interval) -> bytes:
    """The exchange's newest rows of an interval, the same for each symbol."""
    return Klines(interval.value).body(NOW, None, None, ROWS)


def fill(symbols: list[str]) -> MemoryStore:
    """A store that has read the history of each series, as the feed reads it."""
    intervals = [Interval(name) for name in INTERVALS]
    store = MemoryStore(symbols, intervals)
    store.list_symbols(symbols)
    for series in store.listed:
        store.put_history(series, decode_klines(answer(series.interval), NOW), None, 0.0, 0.0)
    return store


def encode(store: MemoryStore) -> CandleTexts:
    """Encode every window, as if clients asked for all of them."""
    texts = CandleTexts()
    for series in store.listed:
        page = store.page(series, ROWS, None)
        assert isinstance(page, Page)
        texts.joined(series, page.candles)
    return texts


def run(job: dict[str, Any]) -> dict[str, int]:
    fill(["WARMUPUSDT"])
    gc.collect()
    before = rss_bytes(os.getpid())
    store = fill([f"S{number}USDT" for number in range(job["series"] // len(INTERVALS))])
    gc.collect()
    filled = rss_bytes(os.getpid())
    texts = encode(store)
    gc.collect()
    encoded = rss_bytes(os.getpid())
    cached = texts.cache.bytes
    return {"before": before, "filled": filled, "encoded": encoded, "cached": cached}


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
