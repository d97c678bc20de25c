"""What the UDF routes answer.

Source: TradingView's Advanced Charts documentation, "UDF protocol" and "Symbology"; the names are
theirs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

EXCHANGE = "Binance"
KIND = "crypto"

Resolution = Annotated[
    str,
    Meta(
        description="Minutes, or `1S`, `1D`, `3D`, `1W`, `1M`.",
        extra_json_schema={"examples": ["1", "60", "1D"]},
    ),
]


class UdfError(Struct, frozen=True, tag_field="s", tag="error"):
    """The request cannot be answered. The protocol reports that here, not by HTTP's status."""

    errmsg: Annotated[str, Meta(description="A sentence for people.")]


class UdfExchange(Struct, frozen=True):
    value: str
    name: str
    desc: str


class UdfSymbolType(Struct, frozen=True):
    name: str
    value: str


class UdfConfig(Struct, frozen=True):
    """What this datafeed can do."""

    supported_resolutions: list[Resolution]
    supports_search: bool = True
    supports_group_request: bool = False
    supports_marks: bool = False
    supports_timescale_marks: bool = False
    supports_time: bool = True
    exchanges: list[UdfExchange] = field(
        default_factory=lambda: [UdfExchange(EXCHANGE, EXCHANGE, EXCHANGE)]
    )
    symbols_types: list[UdfSymbolType] = field(
        default_factory=lambda: [UdfSymbolType("Crypto", KIND)]
    )


class UdfSymbol(Struct, frozen=True):
    """All that a chart has to know of a symbol."""

    name: str
    ticker: str
    description: str
    supported_resolutions: list[Resolution]
    pricescale: Annotated[int, Meta(description="Ten to the power of the prices' decimals.", ge=1)]
    volume_precision: Annotated[int, Meta(description="The volume's decimals.", ge=0)]
    has_seconds: bool
    has_intraday: bool
    has_daily: bool
    has_weekly_and_monthly: bool
    seconds_multipliers: list[str]
    intraday_multipliers: list[str]
    daily_multipliers: list[str]
    weekly_multipliers: list[str]
    monthly_multipliers: list[str]
    type: Literal["crypto"] = "crypto"
    session: Literal["24x7"] = "24x7"
    timezone: Literal["Etc/UTC"] = "Etc/UTC"
    exchange: str = EXCHANGE
    listed_exchange: str = EXCHANGE
    exchange_traded: str = field(name="exchange-traded", default=EXCHANGE)
    exchange_listed: str = field(name="exchange-listed", default=EXCHANGE)
    minmov: int = 1
    minmov2: int = 0
    pointvalue: int = 1
    format: Literal["price"] = "price"
    visible_plots_set: Literal["ohlcv"] = "ohlcv"
    data_status: Literal["streaming"] = "streaming"


class UdfSymbolMatch(Struct, frozen=True):
    """One symbol that matches a search."""

    symbol: str
    full_name: str
    description: str
    ticker: str
    exchange: str = EXCHANGE
    type: Literal["crypto"] = "crypto"


Column = list[float]


class UdfHistory(Struct, frozen=True, tag_field="s", tag="ok"):
    """Candles by columns, oldest first."""

    t: Annotated[list[int], Meta(description="Open times, in seconds since the epoch.")]
    o: Column
    h: Column
    l: Column  # noqa: E741 - the protocol's name
    c: Column
    v: Column


class UdfNoData(Struct, frozen=True, tag_field="s", tag="no_data", omit_defaults=True):
    """There is nothing in that range."""

    next_time: Annotated[
        int | None,
        Meta(description="The newest candle before it opens then; absent when there is none."),
    ] = field(name="nextTime", default=None)
