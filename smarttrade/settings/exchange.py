"""Variables of the exchange, and of what is read from it."""

from __future__ import annotations

from typing import Annotated

from pydantic import ValidationInfo, field_validator

from ..binance.limits import EXCHANGE_WEIGHT_LIMIT, ROTATE_AFTER
from ..feed.audit import AUDIT_ROUND
from ..market.interval import Interval, parse_interval
from ..market.series import parse_symbol
from .fields import PREFIX, Variables, number, variable
from .values import base_url, list_of, one_exchange

# MATICUSDT was renamed to POLUSDT at the exchange in 2024.
DEFAULT_SYMBOLS = (
    *("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"),
    *("LTCUSDT", "ADAUSDT", "ALGOUSDT", "ATOMUSDT", "POLUSDT"),
)
DEFAULT_INTERVALS = tuple(map(Interval, ("1m", "5m", "15m", "1h", "4h", "1d")))

# What is appended may be there already: the exchange's tables and other programs print it.
REST_URL = base_url("http", "https", endings=("/api/v3", "/api"))
STREAM_URL = base_url("ws", "wss", endings=("/stream", "/ws"))


class ExchangeSettings(Variables):
    binance_rest_url: Annotated[tuple[str, ...], list_of(REST_URL)] = variable(
        "BINANCE_REST_URL",
        ("https://api.binance.com", "https://data-api.binance.vision"),
        "the exchange's REST API, tried in order; /api/v3/... is appended",
        allowed="http:// or https:// base URLs of one exchange, separated by commas",
    )
    binance_ws_url: Annotated[tuple[str, ...], list_of(STREAM_URL)] = variable(
        "BINANCE_WS_URL",
        ("wss://stream.binance.com:9443", "wss://data-stream.binance.vision"),
        "the exchange's streams, tried in order; /stream?streams=... is appended",
        allowed="ws:// or wss:// base URLs, of BINANCE_REST_URL's exchange, separated by commas",
        validate_default=True,
    )

    @field_validator("binance_rest_url", "binance_ws_url")
    @classmethod
    def _are_of_one_exchange(cls, urls: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        one_exchange(urls, *info.data.get("binance_rest_url", ()))
        return urls

    symbols: Annotated[tuple[str, ...], list_of(parse_symbol)] = variable(
        "SMARTTRADE_SYMBOLS",
        DEFAULT_SYMBOLS,
        "symbols to serve",
        allowed="symbols of the exchange such as BTCUSDT, separated by commas",
    )
    intervals: Annotated[tuple[Interval, ...], list_of(parse_interval)] = variable(
        "SMARTTRADE_INTERVALS",
        DEFAULT_INTERVALS,
        "intervals to serve for each symbol",
        allowed=f"some of {','.join(interval.value for interval in Interval)}",
    )
    weight_ceiling: int | None = variable(
        f"{PREFIX}WEIGHT_CEILING",
        None,
        "request weight a minute that we use at most; if not set, half of what the exchange allows"
        " an address",
        allowed=f"a whole number from 200 to {EXCHANGE_WEIGHT_LIMIT} (weight)",
        ge=200,
        le=EXCHANGE_WEIGHT_LIMIT,
    )
    rotate_after: float = number(
        f"{PREFIX}ROTATE_AFTER",
        ROTATE_AFTER,
        "age at which another stream connection takes an old one's place, or up to a tenth earlier",
        *(60, 86_400, "s"),
    )
    audit_round: float = number(
        f"{PREFIX}AUDIT_ROUND",
        AUDIT_ROUND,
        "time in which each series is compared with the exchange's history once",
        *(10, 86_400, "s"),
    )

    @property
    def set_catalogue(self) -> tuple[tuple[str, ...], tuple[Interval, ...]]:
        """Symbols and intervals; those that have their default are left out."""
        is_set = self.model_fields_set
        return (
            self.symbols if "symbols" in is_set else (),
            self.intervals if "intervals" in is_set else (),
        )
