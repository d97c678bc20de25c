"""What `exchangeInfo` reports about the exchange and its symbols.

Source: binance-spot-api-docs, rest-api.md, "Exchange information"; filters.md. All fields that
public client libraries read are there; orders cannot be placed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .history import END_OF_TIME
from .symbols import Symbol

RAW_REQUESTS = 300_000  # of one address in five minutes; CHANGELOG.md, 2026-04

TRADING = "TRADING"
BREAK = "BREAK"


class Halt(NamedTuple):
    start: int
    """ms; `end` is exclusive."""

    end: int
    status: str


@dataclass(slots=True)
class Listing:
    """A symbol, since when and until when it trades (ms), and its status otherwise."""

    symbol: Symbol
    status: str = TRADING
    since: int = 0
    until: int = END_OF_TIME
    halts: list[Halt] = field(default_factory=list)
    """Times without trading that end: maintenance, for instance."""

    def status_at(self, time: int) -> str:
        if time >= self.until:
            return BREAK if self.status == TRADING else self.status
        halted = (halt.status for halt in self.halts if halt.start <= time < halt.end)
        return next(halted, self.status)


def exchange_info(listings: Iterable[Listing], time: int, weight_limit: int) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "serverTime": time,
        "rateLimits": [
            _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, weight_limit),
            _rate_limit("RAW_REQUESTS", "MINUTE", 5, RAW_REQUESTS),
        ],
        "exchangeFilters": [],
        "symbols": [_symbol(listing, time) for listing in listings],
    }


def _rate_limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


def _symbol(listing: Listing, time: int) -> dict[str, Any]:
    symbol, status = listing.symbol, listing.status_at(time)
    return {
        "symbol": symbol.name,
        "status": status,
        "baseAsset": symbol.base_asset,
        "baseAssetPrecision": 8,
        "quoteAsset": symbol.quote_asset,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "isSpotTradingAllowed": status == TRADING,
        "isMarginTradingAllowed": False,
        "filters": _filters(symbol),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def _filters(symbol: Symbol) -> list[dict[str, Any]]:
    tick = f"{10**-symbol.price_decimals:.8f}"
    lot = f"{10**-symbol.volume_decimals:.8f}"
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": tick,
            "maxPrice": "1000000.00000000",
            "tickSize": tick,
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": lot,
            "maxQty": "9000000.00000000",
            "stepSize": lot,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": "5.00000000",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    ]
