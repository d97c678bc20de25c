"""The JSON of candles, made once and shared by snapshots and REST pages."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from ..market.candle import Candle
from ..market.packed_candles import PackedCandles
from ..market.series import Series
from ..market.window import WINDOW_SIZE
from . import messages
from .encoded_cache import EncodedCache

_encode = msgspec.json.Encoder().encode


def candle_text(candle: Candle) -> bytes:
    """A candle as clients receive it: `time` in seconds, then five numbers.

    The shortest decimal that reads back as the same float64 is the exchange's own.
    """
    time, open_, high, low, close, volume = candle[:6]
    return _encode(messages.JsonCandle(time // 1000, open_, high, low, close, volume))


@dataclass(frozen=True, slots=True)
class EncodedCandles:
    """Candles in ascending order, and the JSON of each followed by a comma."""

    candles: PackedCandles
    lengths: array[int]
    """Of each text, in bytes."""
    text: bytes

    @classmethod
    def of(cls, candles: PackedCandles) -> EncodedCandles:
        texts = [candle_text(candle) + b"," for candle in candles]
        return cls(candles, array("H", map(len, texts)), b"".join(texts))

    @property
    def size(self) -> int:
        """Bytes of memory that it takes, about."""
        return len(self.candles.rows) + 2 * len(self.lengths) + len(self.text)

    def part(self, start: int, stop: int) -> EncodedCandles:
        begin = sum(self.lengths[:start])
        lengths = self.lengths[start:stop]
        text = self.text[begin : begin + sum(lengths)]
        return EncodedCandles(self.candles[start:stop], lengths, text)


NOTHING_ENCODED = EncodedCandles.of(PackedCandles())


def joined(parts: Iterable[EncodedCandles]) -> EncodedCandles:
    lengths: array[int] = array("H")
    rows, texts = [], []
    for part in parts:
        rows.append(part.candles.rows)
        texts.append(part.text)
        lengths += part.lengths
    return EncodedCandles(PackedCandles(b"".join(rows)), lengths, b"".join(texts))


class CandleTexts:
    """Encodes each closed candle once for as long as the cache keeps it.

    What is kept of a series is at most as long as a window: the newest of what was asked for.
    """

    def __init__(self, cache: EncodedCache | None = None) -> None:
        self.cache = EncodedCache() if cache is None else cache
        """Whole pages and snapshots are kept there too."""

    def joined(self, series: Series, candles: Sequence[Candle]) -> bytes:
        """The candles as the inside of a JSON array."""
        if len(candles) <= 1:
            return b"".join(map(candle_text, candles))
        last = candles[-1]
        if last.closed:
            return self._closed(series, PackedCandles.of(candles))[:-1]
        return self._closed(series, PackedCandles.of(candles[:-1])) + candle_text(last)

    def _closed(self, series: Series, candles: PackedCandles) -> bytes:
        """Each followed by a comma."""
        key = EncodedCandles, series
        known = self.cache.get(key, EncodedCandles) or NOTHING_ENCODED
        start = known.candles.index_of(candles[0].open_time)
        stop = known.candles.index_of(candles[-1].open_time + 1)
        overlap = known.part(start, stop)
        if overlap.candles == candles:
            return overlap.text
        found = _completed(overlap, candles)
        kept = joined((known.part(0, start), found, known.part(stop, len(known.candles))))
        kept = kept.part(max(0, len(kept.candles) - WINDOW_SIZE), len(kept.candles))
        self.cache.put(key, kept, kept.size)
        return found.text


def _completed(overlap: EncodedCandles, candles: PackedCandles) -> EncodedCandles:
    """All of `candles`, where `overlap` may be their first or their last ones."""
    count = len(overlap.candles)
    if overlap.candles == candles[:count]:
        return joined((overlap, EncodedCandles.of(candles[count:])))
    missing = len(candles) - count
    if missing > 0 and overlap.candles == candles[missing:]:
        return joined((EncodedCandles.of(candles[:missing]), overlap))
    return EncodedCandles.of(candles)
