"""`GET /symbols`: the symbols, and with `details=1` what the exchange's listing says of them."""

from __future__ import annotations

from ..market.symbol_details import SymbolDetails
from ..store.messages import Catalogue
from .int_param import IntParam
from .response_schemas import SymbolInfo

DETAILS = IntParam("details", 0, 1, "1 adds what the exchange's listing says of each symbol.", 0)

_UNKNOWN = SymbolDetails()


def symbol_details(catalogue: Catalogue) -> list[SymbolInfo]:
    """In the order of the symbols."""
    return [_info(each, catalogue.details.get(each, _UNKNOWN)) for each in catalogue.symbols]


def _info(symbol: str, details: SymbolDetails) -> SymbolInfo:
    tick_size = details.tick_size
    return SymbolInfo(
        symbol,
        details.status,
        None if tick_size is None else float(tick_size),
        details.decimals,
    )
