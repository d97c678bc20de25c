"""Every HTTP route, with what it takes and answers: what `/openapi.json` is made from.

tests/smarttrade/web/schemas/test_openapi.py holds this against the application's own list of
routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import response_schemas
from ..candles import BEFORE, FORMATS, LIMIT
from ..int_param import IntParam
from ..metrics.exposition import CONTENT_TYPE
from ..streaming_status import LIMIT as STATUS_LIMIT
from ..streaming_status import NOT_READY, OFFSET
from ..symbols import DETAILS
from ..udf import answers as udf_answers
from ..udf.datafeed import COUNTBACK, FROM, SEARCH_LIMIT, TO

JSON = "application/json"
HTML = "text/html"
TEXT = "text/plain"


@dataclass(frozen=True, slots=True)
class Text:
    """A parameter that is a text."""

    name: str
    meaning: str
    example: str = ""
    is_required: bool = False
    choices: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        return {"type": "string"} | ({"enum": list(self.choices)} if self.choices else {})


Parameter = Text | IntParam


@dataclass(frozen=True, slots=True)
class Route:
    """One path; parameters in braces are its own, the others come in the query."""

    path: str
    group: str
    summary: str
    answer: Any = None
    """A type for `media`; None for any text."""
    media: str = JSON
    other_media: tuple[str, ...] = ()
    """In which the same can come as a text."""
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[int, ...] = ()
    """Statuses of its own problems, beside those that any request may meet."""
    unavailable: Any = response_schemas.Problem
    """What comes with 503."""
    for_operators: bool = False
    """Whether a process that has no clients answers it too."""


CANDLES, CHARTS, OPERATIONS, PAGES = "Candles", "TradingView's UDF", "Operations", "Pages"

SYMBOL = Text("symbol", "In any case.", "BTCUSDT", is_required=True)
INTERVAL = Text(
    "interval",
    "`1m` is a minute, `1M` a month; `1H`, `4H`, `1D`, `1W` are understood.",
    "1m",
    is_required=True,
)
READY_FOR = Text(
    "for",
    "`traffic`, for load balancers: whether candles can be served, also stale ones.",
    choices=("traffic",),
)
SEARCH = Text("search", "Words, each an interval or a part of the symbol.", "BTC 1m")
FORMAT = Text("format", "If not given, `Accept` decides.", choices=tuple(FORMATS))
UDF_SYMBOL = Text("symbol", "A ticker, with or without `BINANCE:`.", "BTCUSDT", is_required=True)

ROUTES = (
    Route(
        "/candles/{symbol}/{interval}",
        CANDLES,
        "The newest candles of a series, or those before a time.",
        response_schemas.CandlesPage,
        other_media=("text/csv",),
        parameters=(SYMBOL, INTERVAL, LIMIT, BEFORE, FORMAT),
        problems=(400, 404),
    ),
    Route(
        "/symbols",
        CANDLES,
        "Which symbols there are.",
        response_schemas.Symbols,
        parameters=(DETAILS,),
        problems=(400,),
    ),
    Route("/intervals", CANDLES, "Which intervals there are.", response_schemas.Intervals),
    Route(
        "/streaming/status",
        OPERATIONS,
        "Every series at a glance.",
        response_schemas.StreamingStatus,
        parameters=(SEARCH, NOT_READY, OFFSET, STATUS_LIMIT),
        problems=(400,),
        for_operators=True,
    ),
    Route(
        "/health",
        OPERATIONS,
        "Whether the process lives: liveness.",
        response_schemas.Health,
        for_operators=True,
    ),
    Route(
        "/ready",
        OPERATIONS,
        "Whether every series is complete and up to date: readiness.",
        response_schemas.Ready,
        parameters=(READY_FOR,),
        problems=(400,),
        unavailable=response_schemas.NotReady | response_schemas.Problem,
        for_operators=True,
    ),
    Route(
        "/metrics",
        OPERATIONS,
        "What is counted, for Prometheus.",
        media=CONTENT_TYPE,
        for_operators=True,
    ),
    Route(
        "/system", OPERATIONS, "The supervision tree.", response_schemas.System, for_operators=True
    ),
    Route("/udf/config", CHARTS, "What the datafeed can do.", udf_answers.UdfConfig),
    Route(
        "/udf/symbols",
        CHARTS,
        "One symbol.",
        (udf_answers.UdfSymbol, udf_answers.UdfError),
        parameters=(UDF_SYMBOL,),
    ),
    Route(
        "/udf/search",
        CHARTS,
        "Symbols that contain a text.",
        list[udf_answers.UdfSymbolMatch],
        parameters=(
            Text("query", "What is looked for.", "BTC"),
            Text("type", "`crypto`, or empty for any."),
            Text("exchange", "`Binance`, or empty for any."),
            SEARCH_LIMIT,
        ),
        problems=(400,),
    ),
    Route(
        "/udf/history",
        CHARTS,
        "Candles by columns.",
        udf_answers.UdfHistory | udf_answers.UdfNoData | udf_answers.UdfError,
        parameters=(
            UDF_SYMBOL,
            Text("resolution", "Minutes, or `1D`, `1W`, `1M`.", "60", is_required=True),
            FROM,
            TO,
            COUNTBACK,
        ),
    ),
    Route("/udf/time", CHARTS, "Seconds since the epoch, by the exchange's clock.", media=TEXT),
    Route("/", PAGES, "The chart.", media=HTML),
    Route("/inspect", PAGES, "Every series in a table.", media=HTML),
    Route("/inspect-ws", PAGES, "Live updates of one series.", media=HTML),
    Route("/docs", PAGES, "This description, to read and to try.", media=HTML, for_operators=True),
    Route("/openapi.json", PAGES, "The same for programs.", dict[str, Any], for_operators=True),
    Route(
        "/asyncapi.json",
        PAGES,
        "The messages of the WebSockets, for programs.",
        dict[str, Any],
    ),
    Route(
        "/static/{name}",
        PAGES,
        "What the pages load.",
        media="*/*",
        parameters=(Text("name", "A file.", "app.css", is_required=True),),
        problems=(404,),
    ),
)
