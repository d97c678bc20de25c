"""TradingView's UDF: the same windows for charts that speak that.

A chart's resolution is an interval of ours: `1` is `1m`, `60` is `1h`, `1D` is `1d`. History ends
where the windows end; for older times the answer is that there are none. Live updates, which the
protocol leaves to polling, come sooner over the WebSocket.

Where the protocol's text is silent, these answers are those of TradingView's reference back end,
`yahoo_datafeed`: a negative `from` is a time before 1970, and `countback=0` is no countback.

Source: TradingView's Advanced Charts documentation, "UDF protocol".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from ...market.candle import Candle
from ...market.interval import DAY, HOUR, MINUTE, WEEK, Interval
from ...market.series import Series
from ...market.window import WINDOW_SIZE
from ...session.errors import RequestError
from ...session.requests import MAX_SECONDS, find_series
from ...store.messages import Catalogue, GetCatalogue, GetOverview, GetPage, Page, PageUnavailable
from ..int_param import IntParam
from ..problem import ProblemError
from ..services import Services
from ..store_client import ask
from .answers import (
    EXCHANGE,
    KIND,
    UdfConfig,
    UdfError,
    UdfHistory,
    UdfNoData,
    UdfSymbol,
    UdfSymbolMatch,
)

FROM = IntParam(
    "from",
    -MAX_SECONDS,
    MAX_SECONDS,
    "The first open time, inclusive; ignored with `countback`. Negative: before 1970.",
)
TO = IntParam(
    "to",
    -MAX_SECONDS,
    MAX_SECONDS,
    "The last open time, inclusive; may be in the future.",
    is_required=True,
    example=4_102_444_800,
)
COUNTBACK = IntParam(
    "countback", 0, 10**6, "How many candles that end with `to`; with 0, `from` decides."
)
SEARCH_LIMIT = IntParam("limit", 1, 1000, "How many at most.", 30)

PRICES_SEEN = 200  # of the newest candles, to learn how many decimals numbers have
MAX_DECIMALS = 8  # the exchange's


class Udf:
    """Answers to everything below `/udf/`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def config(self) -> UdfConfig:
        catalogue = await self._catalogue()
        return UdfConfig([RESOLUTIONS[interval] for interval in catalogue.intervals])

    async def symbols(self, query: Mapping[str, str]) -> UdfSymbol | UdfError:
        catalogue = await self._catalogue()
        shortest = min(catalogue.intervals, key=lambda each: each.typical_length)
        try:
            series = _find(query.get("symbol", ""), RESOLUTIONS[shortest], catalogue)
        except RequestError:
            return UdfError("unknown_symbol")  # a word that the charts know
        page = await ask(self._services.store, partial(GetPage, series, PRICES_SEEN, None))
        candles = () if isinstance(page, PageUnavailable) else page.candles
        return _describe(series.symbol, catalogue, candles)

    async def search(self, query: Mapping[str, str]) -> list[UdfSymbolMatch]:
        """Symbols that contain what is looked for, those that begin with it first."""
        catalogue = await self._catalogue()
        limit = SEARCH_LIMIT.read(query)
        if query.get("type", "").lower() not in ("", KIND):
            return []
        if query.get("exchange", "").lower() not in ("", EXCHANGE.lower()):
            return []
        wanted = _bare(query.get("query", "")).upper()
        found = [symbol for symbol in catalogue.symbols if wanted in symbol]
        found.sort(key=lambda symbol: not symbol.startswith(wanted))
        return [
            UdfSymbolMatch(symbol, f"{EXCHANGE.upper()}:{symbol}", symbol, symbol)
            for symbol in found[:limit]
        ]

    async def history(self, query: Mapping[str, str]) -> UdfHistory | UdfNoData | UdfError:
        catalogue = await self._catalogue()
        try:
            series = _find(query.get("symbol", ""), query.get("resolution", ""), catalogue)
            first, last, countback = FROM.read(query), TO.read(query), COUNTBACK.read(query)
        except (RequestError, ProblemError) as error:
            return UdfError(str(error))
        assert last is not None
        limit = min(countback or WINDOW_SIZE, WINDOW_SIZE)
        before = max(0, last * 1000 + 1)
        page = await ask(self._services.store, partial(GetPage, series, limit, before))
        if isinstance(page, PageUnavailable):
            return UdfError(f"{series}: {page.value}; try again")
        return _columns(page, 0 if countback else (first or 0) * 1000)

    async def time(self) -> str:
        """Seconds since the epoch, by the exchange's clock: candles end by that one."""
        overview = await ask(self._services.store, GetOverview)
        exchange = overview.exchange_time // 1000
        return str(exchange or int(self._services.wall_clock()))

    async def _catalogue(self) -> Catalogue:
        return await ask(self._services.store, GetCatalogue)


# -- names --------------------------------------------------------------------------------------


def _resolution(interval: Interval) -> str:
    length = interval.length
    if length is None or length >= DAY:
        return interval.value.upper()
    return f"{length // MINUTE}" if length >= MINUTE else f"{length // 1000}S"


RESOLUTIONS = {interval: _resolution(interval) for interval in Interval}

_INTERVALS = {
    **{resolution: interval for interval, resolution in RESOLUTIONS.items()},
    "S": Interval.SECOND_1,
    "D": Interval.DAY_1,
    "W": Interval.WEEK_1,
    "M": Interval.MONTH_1,
}


def _bare(symbol: str) -> str:
    """Without the exchange's name before it."""
    exchange, colon, rest = symbol.partition(":")
    return rest if colon and exchange.lower() == EXCHANGE.lower() else symbol


def _find(symbol: str, resolution: str, catalogue: Catalogue) -> Series:
    interval = _INTERVALS.get(resolution)
    if interval not in catalogue.intervals:
        offered = ", ".join(RESOLUTIONS[each] for each in catalogue.intervals)
        shown = resolution[:20]
        raise RequestError(
            "unknown_interval", f"unknown resolution: {shown!r}; there are {offered}"
        )
    assert interval is not None
    return find_series(_bare(symbol), interval.value, catalogue)


# -- answers ------------------------------------------------------------------------------------


def _columns(page: Page, first: int) -> UdfHistory | UdfNoData:
    candles = [candle for candle in page.candles if candle.open_time >= first]
    if not candles:
        older = page.candles[-1].open_time // 1000 if page.candles else None
        return UdfNoData(older)
    return UdfHistory(
        t=[candle.open_time // 1000 for candle in candles],
        o=[candle.open for candle in candles],
        h=[candle.high for candle in candles],
        l=[candle.low for candle in candles],
        c=[candle.close for candle in candles],
        v=[candle.volume for candle in candles],
    )


def _describe(symbol: str, catalogue: Catalogue, candles: Sequence[Candle]) -> UdfSymbol:
    intervals = catalogue.intervals
    lengths = {interval: interval.typical_length for interval in intervals}
    resolutions = {interval: RESOLUTIONS[interval] for interval in intervals}

    def between(least: int, below: float) -> list[str]:
        return [
            resolutions[interval].rstrip("SDWM")
            for interval, length in lengths.items()
            if least <= length < below
        ]

    seconds, intraday = between(0, MINUTE), between(MINUTE, 24 * HOUR)
    days, weeks, months = between(DAY, WEEK), between(WEEK, 4 * WEEK), between(4 * WEEK, 1e15)
    return UdfSymbol(
        name=symbol,
        ticker=symbol,
        description=symbol,
        supported_resolutions=list(resolutions.values()),
        pricescale=10 ** _price_decimals(symbol, catalogue, candles),
        volume_precision=_decimals(candle.volume for candle in candles)
        if candles
        else MAX_DECIMALS,
        has_seconds=bool(seconds),
        has_intraday=bool(intraday or seconds),
        has_daily=bool(days),
        has_weekly_and_monthly=bool(weeks or months),
        seconds_multipliers=seconds,
        intraday_multipliers=intraday,
        daily_multipliers=days,
        weekly_multipliers=weeks,
        monthly_multipliers=months,
    )


def _price_decimals(symbol: str, catalogue: Catalogue, candles: Sequence[Candle]) -> int:
    """The tick size's; while that is unknown, those of candles; before both, all that can be."""
    details = catalogue.details.get(symbol)
    if details is not None and details.decimals is not None:
        return details.decimals
    if not candles:
        return MAX_DECIMALS
    return _decimals(price for candle in candles for price in candle[1:5])


def _decimals(numbers: Iterable[float]) -> int:
    """How many the shortest texts of these numbers have at most."""
    most = 0
    for number in numbers:
        mantissa, _, exponent = repr(number).partition("e")
        fraction = mantissa.partition(".")[2].rstrip("0")
        most = max(most, len(fraction) - int(exponent or 0))
    return min(most, MAX_DECIMALS)
