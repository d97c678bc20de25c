"""Compared with a plain list, whatever is done to both."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.candle import Candle
from smarttrade.market.candle_buffer import CandleBuffer
from tests.fakes.candles import at, candle, rows

MINUTES = 8

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, MINUTES), st.integers(1, 3)),
        st.tuples(st.just("append"), st.integers(1, 2)),
        st.tuples(st.just("prepend"), st.integers(0, 2)),
        st.tuples(st.just("remove_oldest"), st.integers(0, 2)),
        st.tuples(st.just("newest"), st.integers(1, 3)),
    ),
    max_size=20,
)


def play(buffer: CandleBuffer, plain: list[Candle], step: tuple[Any, ...]) -> None:
    match step:
        case ("put", minute, volume):
            new = candle(minute, volume=volume)
            buffer.put(new)
            plain[:] = sorted([c for c in plain if c.open_time != new.open_time] + [new])
        case ("append", ahead) if plain:
            new = plain[-1]._replace(open_time=plain[-1].open_time + ahead * 60_000)
            buffer.append(new)
            plain.append(new)
        case ("prepend", count) if plain:
            first = plain[0].open_time - count * 60_000
            new_rows = [candle()._replace(open_time=first + n * 60_000) for n in range(count)]
            buffer.prepend(new_rows)
            plain[:0] = new_rows
        case ("remove_oldest", count) if len(plain) > count:
            buffer.remove_oldest(count)
            del plain[:count]
        case ("newest", volume) if plain:
            buffer.newest = plain[-1] = plain[-1]._replace(volume=float(volume), closed=False)


def check(buffer: CandleBuffer, plain: list[Candle]) -> None:
    assert (len(buffer), list(buffer)) == (len(plain), plain)
    assert buffer.newest == (plain[-1] if plain else None)
    assert buffer.oldest == (plain[0] if plain else None)
    assert [buffer[index] for index in range(-len(plain), len(plain))] == plain + plain
    times = [each.open_time for each in plain]
    for minute in range(-3, MINUTES + 3):
        index = bisect_left(times, at(minute))
        assert buffer.index_of(at(minute)) == index
        assert buffer.find(at(minute)) == next(
            (c for c in plain if c.open_time == at(minute)), None
        )
        assert buffer.between(at(minute), at(minute + 3)) == [
            c for c in plain if at(minute) <= c.open_time < at(minute + 3)
        ]


@given(st.integers(0, 4), steps)
def test_does_what_a_list_does(count: int, story: list[tuple[Any, ...]]) -> None:
    plain = [candle(minute) for minute in range(2, 2 + count)]
    buffer = CandleBuffer(plain)
    check(buffer, plain)
    for step in story:
        play(buffer, plain, step)
        check(buffer, plain)


@given(st.integers(0, 5), st.integers(-8, 8) | st.none(), st.integers(-8, 8) | st.none())
def test_slices_are_those_of_a_list(count: int, start: int | None, stop: int | None) -> None:
    plain = [candle(minute) for minute in range(count)]
    assert list(CandleBuffer(plain)[start:stop]) == plain[start:stop]


def test_slice_does_not_change_with_the_buffer() -> None:
    buffer = CandleBuffer(rows(0, 3))
    before = buffer[:]
    buffer.put(candle(1, close=7.0))
    buffer.newest = candle(3)
    buffer.remove_oldest(2)
    assert before == rows(0, 3)


def test_buffer_changes_while_it_is_read() -> None:
    buffer = CandleBuffer(rows(0, 3))
    seen = []
    for each in buffer:
        seen.append(each)
        buffer.append(candle(10 + len(seen)))
    assert seen == rows(0, 3)
