from __future__ import annotations

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from smarttrade.market.interval import Interval
from smarttrade.settings import Settings
from smarttrade.settings.values import masked, shown

SYMBOLS = st.text("ABCXYZ0123456789", min_size=1, max_size=12)
unhurried = hypothesis_settings(deadline=None)  # the machine may be busy
SPACES = st.sampled_from(["", " ", "  "])


@st.composite
def written(draw: st.DrawFn, values: st.SearchStrategy[str]) -> tuple[list[str], str]:
    """A list, and one of the ways to write it down: with spaces and with empty entries."""
    entries = draw(st.lists(values, min_size=1, max_size=20))
    parts: list[str] = []
    for entry in entries:
        parts.extend(draw(st.lists(SPACES, max_size=1)))
        parts.append(draw(SPACES) + entry + draw(SPACES))
    return entries, ",".join(parts)


@unhurried
@given(written(SYMBOLS))
def test_a_list_has_each_entry_once_where_it_was_first(case: tuple[list[str], str]) -> None:
    entries, text = case
    settings = Settings.model_validate({"SMARTTRADE_SYMBOLS": text})
    assert settings.symbols == tuple(dict.fromkeys(entries))


@unhurried
@given(written(st.sampled_from([interval.value for interval in Interval])))
def test_intervals_are_read_whatever_their_order(case: tuple[list[str], str]) -> None:
    entries, text = case
    settings = Settings.model_validate({"SMARTTRADE_INTERVALS": text})
    assert settings.intervals == tuple(map(Interval, dict.fromkeys(entries)))


@unhurried
@given(st.lists(SYMBOLS, min_size=1, unique=True))
def test_what_is_shown_can_be_read_back(symbols: list[str]) -> None:
    settings = Settings(symbols=tuple(symbols))
    again = Settings.model_validate({"SMARTTRADE_SYMBOLS": shown(settings.symbols)})
    assert again.symbols == settings.symbols


PASSWORD = st.text(min_size=1, max_size=20).map(lambda text: f"sesame{text}sesame")


@unhurried
@given(PASSWORD, st.sampled_from(["redis://user:{}@h", ":{}@h", "https://a,https://u:{}@b,x@c"]))
def test_no_password_is_shown_however_odd_it_is(password: str, url: str) -> None:
    assert "sesame" not in masked(url.format(password))


def test_the_rest_of_a_url_is_shown() -> None:
    assert masked("rediss://user:pw@host:1/2") == "rediss://***@host:1/2"
    assert masked("redis://host?password=pw&db=1") == "redis://host?password=***&db=1"
    assert masked("wss://stream.binance.com:9443") == "wss://stream.binance.com:9443"
