"""What the exchange says of many symbols, asked so that one bad symbol does not hide the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .errors import ExchangeRefused, ExchangeUnavailable
from .rest import RestClient
from .venue import SymbolStatus

MAX_AT_ONCE = 200  # symbols in one question, 3 KB of URL; many servers stop at 8190 for a line

NOT_LISTED = SymbolStatus("not listed", is_trading=False)

NOT_ANSWERED = SymbolStatus("questions about it fail", is_trading=False)
"""Of a symbol about which nothing is known, as only questions without it are answered."""

Statuses = Mapping[str, SymbolStatus]


async def symbol_statuses(symbols: Sequence[str], rest: RestClient) -> Statuses:
    """The status of each symbol that the exchange knows; `NOT_ANSWERED` where it does not say.

    One unknown symbol fails the whole question, and the answer does not say which: the question
    is halved until the bad ones stand alone. So is one that is too long.

    Raises:
        ExchangeUnavailable: it gave no answer, about both halves of the symbols.
    """
    if len(symbols) <= MAX_AT_ONCE:
        try:
            return await rest.symbol_statuses(symbols)
        except ExchangeRefused:
            if len(symbols) <= 1:
                return {}
        except ExchangeUnavailable as error:
            if error.kind is not None or len(symbols) <= 1:
                raise
            return await _around_failure(symbols, rest)
    first, second = _halves(symbols)
    return {**await symbol_statuses(first, rest), **await symbol_statuses(second, rest)}


async def _around_failure(symbols: Sequence[str], rest: RestClient) -> Statuses:
    """Questions about all of these fail: look for the half, and the symbol, that is to blame.

    If neither half is answered, so few requests show that it is not a symbol.
    """
    found: dict[str, SymbolStatus] = {}
    failing: Sequence[str] = ()
    for half in _halves(symbols):
        try:
            found |= await _one_question(half, rest)
        except ExchangeUnavailable as error:
            if error.kind is not None or failing:
                raise
            failing = half
    if len(failing) > 1:
        try:
            return {**found, **await _around_failure(failing, rest)}
        except ExchangeUnavailable as error:
            if error.kind is not None:
                raise
    return {**found, **dict.fromkeys(failing, NOT_ANSWERED)}


async def _one_question(symbols: Sequence[str], rest: RestClient) -> Statuses:
    """The same as `symbol_statuses`, but that a failure is not looked into."""
    try:
        return await rest.symbol_statuses(symbols)
    except ExchangeRefused:
        return await symbol_statuses(symbols, rest)


def _halves(symbols: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    middle = len(symbols) // 2
    return symbols[:middle], symbols[middle:]
