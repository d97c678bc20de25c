from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.simulator.bar import Bar, flat, merge
from smarttrade.simulator.split import partition, split


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    low = draw(st.integers(1, 10**7))
    high = low + draw(st.integers(0, 10**5))
    start, end = draw(st.integers(low, high)), draw(st.integers(low, high))
    trades = draw(st.integers(1, 5000))
    volume = trades + draw(st.integers(0, 10**12))
    taker = draw(st.integers(0, volume))
    return Bar(start, high, low, end, volume, volume * low, trades, taker, draw(st.integers(0)))


@given(bars(), st.integers(2, 60), st.integers(0, 3), st.booleans(), st.integers())
def test_parts_add_up_to_their_parent(
    parent: Bar, count: int, at_least: int, sparse: bool, seed: int
) -> None:
    parts = split(parent, count, Random(seed), at_least=at_least, sparse=sparse)
    assert len(parts) == count
    assert merge(parts) == parent


@given(bars(), st.integers(2, 60), st.booleans(), st.integers())
def test_every_part_is_a_sound_bar(parent: Bar, count: int, sparse: bool, seed: int) -> None:
    price, next_trade = parent.open, parent.first_trade
    for part in split(parent, count, Random(seed), sparse=sparse):
        assert part.open == price
        assert part.low <= min(part.open, part.close)
        assert part.high >= max(part.open, part.close)
        assert 0 <= part.taker <= part.volume
        assert part.trades <= part.volume
        assert part.first_trade == next_trade
        if part.trades == 0:
            assert part == flat(price, next_trade)
        price, next_trade = part.close, part.first_trade + part.trades


@given(bars(), st.integers(2, 60), st.integers())
def test_everyone_trades_where_there_is_enough_for_everyone(
    parent: Bar, count: int, seed: int
) -> None:
    busy = parent._replace(trades=parent.trades + count, volume=parent.volume + count)
    assert all(part.trades for part in split(busy, count, Random(seed), at_least=1))


def test_nothing_splits_into_nothing() -> None:
    nothing = flat(70, 9)
    assert split(nothing, 3, Random(0)) == [nothing] * 3


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**6), min_size=1))
def test_shares_have_the_whole_as_their_sum(total: int, weights: list[int]) -> None:
    shares = partition(total, weights)
    assert sum(shares) == (total if sum(weights) else 0)
    assert all(share >= 0 for share in shares)
