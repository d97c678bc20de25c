"""Candles that grow at one end: the newest changes every two seconds, those before it seldom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import overload

from .candle import Candle
from .packed_candles import SIZE, PackedCandles, index_of, pack, pack_all, unpack, unpack_all


class CandleBuffer(Sequence[Candle]):
    """Ascending candles, each with its own open time: the newest as it is, the others packed."""

    __slots__ = ("_rows", "newest")

    def __init__(self, candles: Iterable[Candle] = ()) -> None:
        rows = bytearray(pack_all(candles))
        self.newest: Candle | None = unpack(rows, len(rows) // SIZE - 1) if rows else None
        """May be replaced by another state of the same candle."""
        del rows[-SIZE:]
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows) // SIZE + (self.newest is not None)

    def __iter__(self) -> Iterator[Candle]:
        newest = () if self.newest is None else (self.newest,)
        return chain(unpack_all(bytes(self._rows)), newest)

    @overload
    def __getitem__(self, index: int) -> Candle: ...
    @overload
    def __getitem__(self, index: slice) -> PackedCandles: ...
    def __getitem__(self, index: int | slice) -> Candle | PackedCandles:
        size = len(self)
        if isinstance(index, slice):
            start, stop, step = index.indices(size)
            assert step == 1
            return self._packed(start, stop)
        index = range(size)[index]
        if self.newest is not None and index == size - 1:
            return self.newest
        return unpack(self._rows, index)

    def _packed(self, start: int, stop: int) -> PackedCandles:
        is_up_to_newest = start < stop == len(self)
        newest = pack(self.newest) if self.newest is not None and is_up_to_newest else b""
        with memoryview(self._rows) as rows:
            return PackedCandles(b"".join((rows[start * SIZE : max(start, stop) * SIZE], newest)))

    @property
    def oldest(self) -> Candle | None:
        return unpack(self._rows, 0) if self._rows else self.newest

    def index_of(self, open_time: int) -> int:
        """Of the first candle that opens at `open_time` (ms) or later."""
        newest = self.newest
        if newest is None or open_time > newest.open_time:
            return len(self)
        return index_of(self._rows, open_time)

    def between(self, first: int, end: int) -> PackedCandles:
        """Those that open at `first` (ms) or later, and before `end`."""
        return self[self.index_of(first) : self.index_of(end)]

    def find(self, open_time: int) -> Candle | None:
        """The candle that opens at `open_time` (ms)."""
        newest = self.newest
        if newest is None or open_time >= newest.open_time:
            return newest if newest and newest.open_time == open_time else None
        found = self[self.index_of(open_time)]
        return found if found.open_time == open_time else None

    def append(self, candle: Candle) -> None:
        """Put a candle after the newest."""
        if self.newest is not None:
            self._rows += pack(self.newest)
        self.newest = candle

    def prepend(self, candles: Iterable[Candle]) -> None:
        """Put candles before the oldest of those that are here."""
        self._rows[:0] = pack_all(candles)

    def put(self, candle: Candle) -> None:
        """Put a candle where its open time belongs, in the place of one with the same."""
        newest = self.newest
        if newest is None or candle.open_time > newest.open_time:
            self.append(candle)
        elif candle.open_time == newest.open_time:
            self.newest = candle
        else:
            start = index_of(self._rows, candle.open_time) * SIZE
            is_there = self[start // SIZE].open_time == candle.open_time
            self._rows[start : start + SIZE * is_there] = pack(candle)

    def remove_oldest(self, count: int) -> None:
        """Remove the `count` oldest; there are more."""
        del self._rows[: count * SIZE]
