import pytest

from smarttrade.market.candle import MAX_EVENT_DELAY, Candle, supersedes
from tests.fakes.candles import candle


def test_later_event_of_a_forming_candle_wins() -> None:
    earlier, later = candle(closed=False, event=2), candle(closed=False, event=4)
    assert supersedes(later, earlier)
    assert not supersedes(earlier, later)


def test_repeated_event_is_no_news() -> None:
    assert not supersedes(candle(closed=False), candle(closed=False))


def test_closed_wins_whatever_its_event_time_and_volume() -> None:
    final = candle(closed=True, event=0, volume=0.0)
    assert supersedes(final, candle(closed=False, event=50, volume=5.0))
    assert supersedes(final, candle(closed=False, event=50, volume=5.0, from_rest=True))


@pytest.mark.parametrize("read", [False, True])
def test_closed_is_never_undone(read: bool) -> None:
    final = candle(closed=True, event=2)
    assert not supersedes(candle(closed=False, event=50, volume=99.0, from_rest=read), final)
    assert not supersedes(candle(closed=True, event=99, close=7.0, from_rest=read), final)


def test_read_state_with_more_volume_is_later_than_any_event() -> None:
    known = candle(closed=False, event=30, volume=5.0)
    assert supersedes(candle(closed=False, event=10, volume=6.0, from_rest=True), known)


@pytest.mark.parametrize("volume", [4.0, 5.0])
def test_read_state_without_more_volume_is_no_news(volume: float) -> None:
    known = candle(closed=False, event=30, volume=5.0)
    assert not supersedes(candle(closed=False, event=40, volume=volume, from_rest=True), known)


def test_event_under_way_does_not_undo_a_later_read() -> None:
    read = candle(closed=False, event=30, volume=6.0, from_rest=True)
    assert not supersedes(candle(closed=False, event=31, volume=5.0), read)


def test_event_with_as_much_volume_follows_a_read() -> None:
    read = candle(closed=False, event=30, volume=6.0, from_rest=True)
    assert supersedes(candle(closed=False, event=31, volume=6.0), read)
    assert supersedes(candle(closed=False, event=31, volume=7.0), read)


def test_event_that_was_late_still_beats_a_staler_read() -> None:
    """The exchange's database lags behind its stream, and another connection may be quicker."""
    read = candle(closed=False, event=30, volume=6.0, from_rest=True)
    assert supersedes(candle(closed=False, event=29, volume=7.0), read)
    assert not supersedes(candle(closed=False, event=29, volume=6.0), read)


def test_event_that_is_certainly_later_is_believed_with_less_volume() -> None:
    read = candle(closed=False, event=30, volume=6.0, from_rest=True)
    known = candle(closed=False, volume=5.0)
    limit = read.event_time + MAX_EVENT_DELAY
    assert not supersedes(known._replace(event_time=limit), read)
    assert supersedes(known._replace(event_time=limit + 1), read)


def test_values_are_prices_and_volume() -> None:
    one = candle(closed=True)
    assert one.same_values(candle(closed=False, event=1, volume=10.0, from_rest=True))
    assert one.same_values(candle(1))
    assert not one.same_values(one._replace(open=1.5))
    assert not one.same_values(one._replace(high=1.5))
    assert not one.same_values(one._replace(low=1.5))
    assert not one.same_values(one._replace(close=1.5))
    assert not one.same_values(one._replace(volume=1.5))


def test_volume_does_not_decide_between_events() -> None:
    current = candle(closed=False, event=4, volume=5.0)
    assert not supersedes(candle(closed=False, event=2, volume=9.0), current)
    assert supersedes(candle(closed=False, event=6, volume=3.0), current)


def test_candle_without_an_event_has_time_zero_and_was_not_read() -> None:
    known = Candle(0, 1.0, 1.0, 1.0, 1.0, 1.0, False)
    assert (known.event_time, known.from_rest) == (0, False)
