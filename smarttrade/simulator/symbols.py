"""What the exchange lists: how a symbol is priced, in which steps, and how busy it is.

Figures are of the order of the real ones, so that a chart and a log look familiar.
"""

from __future__ import annotations

from dataclasses import dataclass

QUOTE_ASSETS = ("USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB", "EUR", "TRY")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A market: base asset against quote asset."""

    name: str
    base_asset: str
    quote_asset: str

    price: float
    """Around which the synthetic price wanders, in the quote asset."""

    price_decimals: int
    """A tick is 10 to the minus this."""

    volume_decimals: int
    """A lot is 10 to the minus this."""

    daily_volume: float
    """In the base asset, on an ordinary day."""

    daily_trades: int


def _usdt(base: str, price: float, decimals: tuple[int, int], volume: float, trades: int) -> Symbol:
    return Symbol(f"{base}USDT", base, "USDT", price, *decimals, volume, trades)


_KNOWN = {
    symbol.name: symbol
    for symbol in (
        _usdt("BTC", 68_000, (2, 5), 25_000, 3_000_000),
        _usdt("ETH", 3_400, (2, 4), 350_000, 2_200_000),
        _usdt("SOL", 170, (2, 3), 3_500_000, 1_400_000),
        _usdt("BNB", 610, (2, 3), 250_000, 700_000),
        _usdt("XRP", 1.1, (4, 1), 250_000_000, 1_000_000),
        _usdt("LTC", 95, (2, 3), 450_000, 250_000),
        _usdt("ADA", 0.62, (4, 1), 120_000_000, 400_000),
        _usdt("ALGO", 0.24, (4, 0), 40_000_000, 120_000),
        _usdt("ATOM", 7.2, (3, 2), 2_500_000, 130_000),
        _usdt("POL", 0.48, (4, 1), 25_000_000, 110_000),
        _usdt("DOGE", 0.17, (5, 0), 1_500_000_000, 900_000),
        _usdt("AVAX", 31, (2, 2), 2_800_000, 400_000),
        _usdt("LINK", 16, (2, 2), 3_000_000, 350_000),
        _usdt("MATIC", 0.55, (4, 1), 60_000_000, 250_000),
    )
}

DEFAULT_SYMBOLS = tuple(_KNOWN)


def describe(name: str) -> Symbol:
    """The market called `name`; one that is not known is a middling coin of that name."""
    if name in _KNOWN:
        return _KNOWN[name]
    base, quote = _assets(name)
    return Symbol(name, base, quote, 12.5, 4, 2, 1_000_000, 150_000)


def _assets(name: str) -> tuple[str, str]:
    for quote in QUOTE_ASSETS:
        base = name.removesuffix(quote)
        if base and base != name:
            return base, quote
    return name, "USDT"
