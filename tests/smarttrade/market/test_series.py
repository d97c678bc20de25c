import pytest

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series, parse_symbol


@pytest.mark.parametrize("text", ["BTCUSDT", "btcusdt", "BtcUsdt", " btcusdt\n"])
def test_symbols_are_read_in_any_case(text: str) -> None:
    assert parse_symbol(text) == "BTCUSDT"


@pytest.mark.parametrize("text", ["", "  ", "BTC/USDT", "BTC USDT", "A" * 51, "BTC\0USDT", "<b>"])
def test_what_cannot_be_a_symbol_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="not a symbol") as caught:
        parse_symbol(text)
    assert repr(text) in str(caught.value)


def test_longest_symbol_is_read() -> None:
    assert parse_symbol("a" * 50) == "A" * 50


def test_series_says_its_name() -> None:
    assert str(Series("BTCUSDT", Interval.MONTH_1)) == "BTCUSDT 1M"


def test_minute_and_month_are_two_series() -> None:
    assert Series("BTCUSDT", Interval.MINUTE_1) != Series("BTCUSDT", Interval.MONTH_1)
    assert len({Series("BTCUSDT", interval) for interval in Interval}) == 16
