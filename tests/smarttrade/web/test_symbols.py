"""`GET /symbols`, with and without what the listing says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from smarttrade.market.symbol_details import SymbolDetails
from smarttrade.store.messages import Catalogue
from smarttrade.web.response_schemas import SymbolInfo
from smarttrade.web.symbols import symbol_details
from tests.smarttrade.web.backend import backend


async def test_details_are_there_on_request_only() -> None:
    async with backend() as server:
        plain = await server.get("/symbols")
        detailed = await server.get("/symbols?details=1")
        bad = await server.get("/symbols?details=yes")
    assert plain.json() == {"symbols": ["BTCUSDT", "ETHUSDT"]}
    assert detailed.json()["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert detailed.json()["details"][1] == {
        "symbol": "ETHUSDT",
        "status": None,
        "tick_size": None,
        "decimals": None,
    }
    assert bad.status_code == 400
    assert bad.json()["code"] == "bad_details"


@pytest.mark.parametrize(
    ("tick_size", "decimals"),
    [("0.01000000", 2), ("0.00000001", 8), ("1.00000000", 0), ("10", 0), ("0.5", 1)],
)
def test_decimals_are_those_of_the_tick_size(tick_size: str, decimals: int) -> None:
    details = {"BTCUSDT": SymbolDetails("TRADING", Decimal(tick_size))}
    assert symbol_details(Catalogue(("BTCUSDT",), (), details)) == [
        SymbolInfo("BTCUSDT", "TRADING", float(tick_size), decimals)
    ]
