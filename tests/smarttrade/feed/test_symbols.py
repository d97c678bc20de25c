"""The life of a symbol, as requests and answers show it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from smarttrade.feed.symbols import REFUSED_AFTER, SymbolTracker
from smarttrade.feed.venue import SymbolStatus
from smarttrade.market.symbol_details import SymbolDetails, SymbolState

TRADING = SymbolStatus("TRADING", is_trading=True)


def listed() -> SymbolTracker:
    symbols = SymbolTracker(["AUSDT", "BUSDT"])
    symbols.update(symbols.configured, {"AUSDT": TRADING, "BUSDT": TRADING}, 1.0)
    return symbols


def state(symbols: SymbolTracker, symbol: str = "BUSDT") -> SymbolState:
    return symbols.details[symbol].state


def test_symbol_whose_requests_keep_failing_counts_as_refused() -> None:
    symbols = listed()
    assert not symbols.fail("BUSDT", 10.0, 2.0)
    assert not symbols.fail("BUSDT", 10.0 + REFUSED_AFTER - 1, 3.0)
    assert symbols.fail("BUSDT", 10.0 + REFUSED_AFTER, 4.0)
    assert (state(symbols), symbols.details["BUSDT"].since) == (SymbolState.REFUSED, 4.0)
    assert not symbols.fail("BUSDT", 11.0 + REFUSED_AFTER, 5.0)  # no news
    assert state(symbols, "AUSDT") is SymbolState.TRADING


def test_answer_ends_a_series_of_failures() -> None:
    symbols = listed()
    symbols.fail("BUSDT", 0.0, 0.0)
    assert not symbols.accept("BUSDT", 0.0)
    assert not symbols.fail("BUSDT", REFUSED_AFTER, 0.0)
    assert symbols.fail("BUSDT", 2 * REFUSED_AFTER, 0.0)
    assert symbols.accept("BUSDT", 7.0)
    assert (state(symbols), symbols.details["BUSDT"].since) == (SymbolState.TRADING, 7.0)


@pytest.mark.parametrize("found", [{}, {"BUSDT": SymbolStatus("BREAK", is_trading=False)}])
def test_refusal_while_it_does_not_trade_is_over_when_it_trades_again(
    found: dict[str, SymbolStatus],
) -> None:
    symbols = listed()
    assert symbols.refuse("BUSDT", 2.0)  # before the listing shows why
    symbols.fail("BUSDT", 0.0, 2.0)
    assert symbols.update(["BUSDT"], found, 3.0) == ["BUSDT"]
    assert not symbols.refuse("BUSDT", 4.0)
    assert symbols.update(["BUSDT"], {"BUSDT": TRADING}, 5.0) == ["BUSDT"]
    assert (state(symbols), symbols.details["BUSDT"].since) == (SymbolState.TRADING, 5.0)
    assert not symbols.fail("BUSDT", REFUSED_AFTER, 6.0)
    assert symbols.refuse("BUSDT", 7.0)


@pytest.mark.parametrize("is_listed_first", [True, False])
def test_refusal_that_an_earlier_process_knew_is_over_with_the_next_answer(
    *, is_listed_first: bool
) -> None:
    symbols = SymbolTracker(["BUSDT"])
    symbols.restore({"BUSDT": SymbolDetails("TRADING", None, SymbolState.REFUSED, 5.0)})
    if is_listed_first:
        symbols.update(["BUSDT"], {"BUSDT": TRADING}, 6.0)
    assert symbols.accept("BUSDT", 7.0)
    symbols.update(["BUSDT"], {"BUSDT": TRADING}, 8.0)
    assert (state(symbols), symbols.details["BUSDT"].since) == (SymbolState.TRADING, 7.0)


def test_symbol_that_an_earlier_process_knew_is_delisted_and_not_unknown() -> None:
    known = SymbolDetails("TRADING", None, SymbolState.TRADING, 5.0)
    symbols = SymbolTracker(["AUSDT", "BUSDT"])
    symbols.restore({"BUSDT": known, "OTHER": known})
    assert symbols.update(symbols.configured, {"AUSDT": TRADING}, 9.0) == ["AUSDT", "BUSDT"]
    assert (state(symbols), symbols.details["BUSDT"].since) == (SymbolState.DELISTED, 9.0)
    assert symbols.served == ["AUSDT", "BUSDT"]
    assert "OTHER" not in symbols.details


@pytest.mark.parametrize("kept", [SymbolState.DELISTED, SymbolState.REFUSED])
def test_state_that_lasts_over_a_restart_is_no_news(kept: SymbolState) -> None:
    symbols = SymbolTracker(["BUSDT"])
    symbols.restore({"BUSDT": SymbolDetails(None, None, kept, 5.0)})
    found = {} if kept is SymbolState.DELISTED else {"BUSDT": TRADING}
    assert symbols.update(symbols.configured, found, 9.0) == []
    assert (state(symbols), symbols.details["BUSDT"].since) == (kept, 5.0)


def test_what_is_known_already_is_not_restored() -> None:
    symbols = listed()
    symbols.restore({"AUSDT": SymbolDetails("BREAK", None, SymbolState.HALTED, 0.0)})
    assert state(symbols, "AUSDT") is SymbolState.TRADING


def test_tick_size_outlives_a_delisting() -> None:
    symbols = listed()
    known = SymbolStatus("TRADING", is_trading=True, tick_size=Decimal("0.01"))
    symbols.update(symbols.configured, {"AUSDT": TRADING, "BUSDT": known}, 2.0)
    symbols.update(symbols.configured, {"AUSDT": TRADING}, 3.0)
    assert state(symbols) is SymbolState.DELISTED
    assert symbols.details["BUSDT"].tick_size == Decimal("0.01")
