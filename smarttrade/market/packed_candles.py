"""Candles as packed rows: 58 bytes each, where a tuple of Python numbers takes 340.

A closed candle hardly ever changes and is seldom read, so it is kept as the bytes of its fields,
and a `Candle` is made when one is asked for. Two runs of candles are equal when their bytes are,
so comparing a whole window takes microseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from struct import Struct
from typing import TypeAlias, overload

from .candle import Candle

ROW = Struct("<q5d?q?")  # the fields of a candle, in its order; exact, as prices are float64
SIZE = ROW.size
_CLOSED = Struct("<q5d").size  # the place of `closed`, behind open time, prices and volume
_FORMING = 0
_VALUES = Struct(f"{_CLOSED + 1}s{SIZE - _CLOSED - 1}x")  # a row up to `closed`
_ROWS = Struct(f"{SIZE}s")
_OPEN_TIME = Struct("<q")

Rows: TypeAlias = bytes | bytearray

_candle = partial(tuple.__new__, Candle)  # `Candle._make` without its check of the length


def pack(candle: Candle) -> bytes:
    return ROW.pack(*candle)


def pack_all(candles: Iterable[Candle]) -> bytes:
    if isinstance(candles, PackedCandles):
        return candles.rows
    return b"".join([ROW.pack(*candle) for candle in candles])


def unpack(rows: Rows, index: int) -> Candle:
    return Candle._make(ROW.unpack_from(rows, index * SIZE))


def unpack_all(rows: bytes) -> Iterator[Candle]:
    return map(_candle, ROW.iter_unpack(rows))


def index_of(rows: Rows, open_time: int) -> int:
    """Of the first candle that opens at `open_time` (ms) or later."""

    def opens(index: int) -> int:
        found: int = _OPEN_TIME.unpack_from(rows, index * SIZE)[0]
        return found

    return bisect_left(range(len(rows) // SIZE), open_time, key=opens)


class PackedCandles(Sequence[Candle]):
    """Candles in ascending order, as a value that never changes; slices are such values too.

    Equal to any sequence of equal candles.
    """

    __slots__ = ("rows",)

    def __init__(self, rows: bytes = b"") -> None:
        self.rows = rows
        """The packed candles, one after the other."""

    @classmethod
    def of(cls, candles: Iterable[Candle]) -> PackedCandles:
        return candles if isinstance(candles, PackedCandles) else cls(pack_all(candles))

    def __len__(self) -> int:
        return len(self.rows) // SIZE

    def __iter__(self) -> Iterator[Candle]:
        return unpack_all(self.rows)

    @overload
    def __getitem__(self, index: int) -> Candle: ...
    @overload
    def __getitem__(self, index: slice) -> PackedCandles: ...
    def __getitem__(self, index: int | slice) -> Candle | PackedCandles:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            assert step == 1
            return PackedCandles(self.rows[start * SIZE : max(start, stop) * SIZE])
        return unpack(self.rows, range(len(self))[index])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedCandles):
            return self.rows == other.rows
        if isinstance(other, (tuple, list)):
            return tuple(self) == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"PackedCandles.of({list(self)})"

    def __add__(self, following: Iterable[Candle]) -> PackedCandles:
        return PackedCandles(self.rows + pack_all(following))

    def index_of(self, open_time: int) -> int:
        """Of the first candle that opens at `open_time` (ms) or later."""
        return index_of(self.rows, open_time)

    def between(self, first: int, end: int) -> PackedCandles:
        """Those that open at `first` (ms) or later, and before `end`."""
        return self[self.index_of(first) : self.index_of(end)]

    def differing_from(self, other: PackedCandles) -> PackedCandles:
        """Those that `other` has not closed with the same values: compared as bytes, in 0.1 ms.

        Of a candle that forms in both, when it was known may count, so it is among them.
        """
        rows = self.rows
        theirs = set(_VALUES.iter_unpack(other.rows))
        if theirs.issuperset(_VALUES.iter_unpack(rows)) and _FORMING not in rows[_CLOSED::SIZE]:
            return PackedCandles()
        each = zip(_ROWS.iter_unpack(rows), _VALUES.iter_unpack(rows), strict=True)
        differ = [row for (row,), values in each if not row[_CLOSED] or values not in theirs]
        return PackedCandles(b"".join(differ))
