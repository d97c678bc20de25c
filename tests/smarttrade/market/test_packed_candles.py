from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.candle import Candle
from smarttrade.market.packed_candles import SIZE, PackedCandles
from tests.fakes.candles import at, candle, minutes, rows

times = st.integers(0, 2**62)
numbers = st.floats(allow_nan=False)
candles = st.builds(
    Candle, times, *[numbers] * 5, closed=st.booleans(), event_time=times, from_rest=st.booleans()
)


@given(st.lists(candles, max_size=5))
def test_every_field_comes_back_exactly(given: list[Candle]) -> None:
    packed = PackedCandles.of(given)
    assert [*map(repr, packed)] == [*map(repr, given)]
    assert len(packed.rows) == SIZE * len(given)


def test_unpacked_candle_is_a_candle() -> None:
    packed = PackedCandles.of([candle(0), candle(1, closed=False)])
    for found in (packed[-1], list(packed)[-1]):
        assert type(found) is Candle
        assert found.closed is False
    assert packed[0].same_values(candle(0))


@given(st.integers(0, 8), st.integers(-12, 12) | st.none(), st.integers(-12, 12) | st.none())
def test_slices_are_those_of_a_list(count: int, start: int | None, stop: int | None) -> None:
    plain = [candle(minute) for minute in range(count)]
    assert list(PackedCandles.of(plain)[start:stop]) == plain[start:stop]


def test_index_out_of_range_is_an_error() -> None:
    packed = PackedCandles.of(rows(0, 2))
    for index in (3, -4):
        with pytest.raises(IndexError):
            packed[index]


def test_equal_to_any_sequence_of_equal_candles() -> None:
    packed = PackedCandles.of(rows(0, 2))
    assert packed == PackedCandles.of(tuple(rows(0, 2)))
    assert packed == tuple(rows(0, 2))
    assert rows(0, 2) == packed
    assert packed != PackedCandles.of(rows(0, 3))
    assert packed != rows(1, 3)
    assert packed != "candles"
    assert hash(packed) == hash(tuple(rows(0, 2)))
    assert PackedCandles() == ()


def test_packed_again_is_the_same() -> None:
    packed = PackedCandles.of(rows(0, 2))
    assert PackedCandles.of(packed) is packed


def test_place_of_an_open_time() -> None:
    packed = PackedCandles.of([candle(0), candle(2), candle(3)])
    assert [packed.index_of(at(minute)) for minute in range(-1, 5)] == [0, 0, 1, 1, 2, 3]
    assert minutes(packed[packed.index_of(at(1)) :]) == [2, 3]
    assert PackedCandles().index_of(0) == 0


def test_closed_candles_with_the_same_values_do_not_differ() -> None:
    ours = PackedCandles.of(rows(0, 3))
    read_again = PackedCandles.of(
        [each._replace(from_rest=True, event_time=9) for each in rows(0, 3)]
    )
    assert minutes(ours.differing_from(read_again)) == [3], "it forms"
    assert minutes(ours.differing_from(ours[:2])) == [2, 3]
    assert ours[:3].differing_from(read_again) == ()
    assert minutes(PackedCandles.of(rows(0, 4)).differing_from(ours)) == [3, 4]


@given(st.lists(candles, max_size=6), st.lists(candles, max_size=6), st.data())
def test_what_differs_is_found(one: list[Candle], two: list[Candle], data: st.DataObject) -> None:
    two += data.draw(st.lists(st.sampled_from(one), max_size=6)) if one else []
    final = {repr(each[:7]) for each in two if each.closed}
    found = PackedCandles.of(one).differing_from(PackedCandles.of(two))
    assert list(found) == [each for each in one if repr(each[:7]) not in final]


def test_candles_can_be_appended() -> None:
    together = PackedCandles.of(rows(0, 1)) + PackedCandles.of([candle(2)])
    assert together == [*rows(0, 1), candle(2)]


def test_range_of_open_times() -> None:
    packed = PackedCandles.of([candle(0), candle(2), candle(3)])
    assert minutes(packed.between(at(1), at(3))) == [2]


def test_shows_what_is_in_it() -> None:
    assert repr(PackedCandles.of([candle(0)])) == f"PackedCandles.of([{candle(0)!r}])"
