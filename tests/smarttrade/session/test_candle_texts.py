from __future__ import annotations

import json
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.candle import Candle
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.session import candle_texts
from smarttrade.session.candle_texts import CandleTexts, EncodedCandles, candle_text
from smarttrade.session.encoded_cache import EncodedCache
from tests.fakes.candles import BTC, ETH, at, candle, rows

MINUTES = 12


def plain(candles: list[Candle]) -> bytes:
    return b",".join(map(candle_text, candles))


def encoded_by(texts: CandleTexts, candles: list[Candle]) -> int:
    """How many candles are encoded to answer this."""
    with patch.object(candle_texts, "candle_text", wraps=candle_text) as encode:
        text = texts.joined(BTC, candles)
    assert text == plain(candles)
    count: int = encode.call_count
    return count


def test_texts_are_the_inside_of_a_json_array() -> None:
    texts = CandleTexts()
    read = json.loads(b"[" + texts.joined(BTC, rows(0, 9)) + b"]")
    assert [each["time"] for each in read] == [at(minute) // 1000 for minute in range(10)]
    assert texts.joined(BTC, []) == b""
    assert texts.joined(BTC, [candle(3)]) == candle_text(candle(3))


def test_closed_candles_are_encoded_once() -> None:
    texts = CandleTexts()
    assert encoded_by(texts, rows(0, 9)) == 10
    assert encoded_by(texts, rows(0, 9)) == 1, "the forming one"
    assert encoded_by(texts, rows(3, 7, closed=True)) == 0


def test_window_that_has_moved_is_encoded_where_it_is_new() -> None:
    texts = CandleTexts()
    encoded_by(texts, rows(10, 19, closed=True))
    assert encoded_by(texts, rows(12, 22, closed=True)) == 3
    assert encoded_by(texts, rows(5, 15, closed=True)) == 5
    assert encoded_by(texts, rows(5, 22, closed=True)) == 0


def test_page_before_another_is_kept_beside_it() -> None:
    texts = CandleTexts()
    encoded_by(texts, rows(10, 19, closed=True))
    assert encoded_by(texts, rows(0, 9, closed=True)) == 10
    assert encoded_by(texts, rows(0, 19, closed=True)) == 0


def test_correction_is_encoded() -> None:
    texts = CandleTexts()
    texts.joined(BTC, rows(0, 9, closed=True))
    corrected = rows(0, 9, closed=True)
    corrected[4] = candle(4, close=99.0)
    assert encoded_by(texts, corrected) == 10
    assert encoded_by(texts, corrected) == 0


def test_series_are_kept_apart() -> None:
    texts = CandleTexts()
    texts.joined(BTC, rows(0, 3, closed=True))
    others = [candle(minute, close=7.0) for minute in range(4)]
    assert texts.joined(ETH, others) == plain(others)
    assert encoded_by(texts, rows(0, 3, closed=True)) == 0


def test_at_most_a_window_of_a_series_is_kept_the_newest() -> None:
    cache = EncodedCache()
    texts = CandleTexts(cache)
    for first in range(0, 3 * WINDOW_SIZE, 500):
        texts.joined(BTC, rows(first, first + WINDOW_SIZE - 1, closed=True))
    kept = cache.get((EncodedCandles, BTC), EncodedCandles)
    assert kept is not None
    assert len(kept.candles) == len(kept.lengths) == WINDOW_SIZE
    assert kept.candles[-1].open_time == at(first + WINDOW_SIZE - 1)
    assert cache.bytes == kept.size == WINDOW_SIZE * (58 + 2) + len(kept.text)


def test_cache_that_is_too_small_costs_only_time() -> None:
    texts = CandleTexts(EncodedCache(max_bytes=1))
    for _ in range(2):
        assert encoded_by(texts, rows(0, 9, closed=True)) == 10


requests = st.lists(
    st.tuples(st.integers(0, MINUTES), st.integers(0, MINUTES), st.integers(0, 40)), max_size=12
)


@given(st.lists(st.integers(0, MINUTES), unique=True), requests)
def test_text_is_never_that_of_another_state(
    absent: list[int], asked: list[tuple[int, int, int]]
) -> None:
    """Whatever is asked for, while candles are corrected, and fill in what was absent."""
    texts = CandleTexts()
    truth = {m: candle(m) for m in range(MINUTES) if m not in absent}
    for first, count, change in asked:
        if change < MINUTES:
            truth[change] = candle(change, close=100.0 + change, closed=change % 4 != 3)
        page = [truth[m] for m in sorted(truth) if first <= m < first + count]
        assert texts.joined(BTC, page) == plain(page)
