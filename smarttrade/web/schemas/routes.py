"""What every HTTP route takes and answers: what `/openapi.json` is made from.

Paths and methods are the application's own: a description is found by the name of the function that
answers. So an application that answers less, as one without clients, describes less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from werkzeug.routing import Map, Rule

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
class Endpoint:
    """What one function answers. Parameters that its path does not name are in the query."""

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

ENDPOINTS = {
    "candles": Endpoint(
        CANDLES,
        "The newest candles of a series, or those before a time.",
        response_schemas.CandlePage,
        other_media=("text/csv",),
        parameters=(SYMBOL, INTERVAL, LIMIT, BEFORE, FORMAT),
        problems=(400, 404),
    ),
    "symbols": Endpoint(
        CANDLES,
        "Which symbols there are.",
        response_schemas.SymbolList,
        parameters=(DETAILS,),
        problems=(400,),
    ),
    "intervals": Endpoint(CANDLES, "Which intervals there are.", response_schemas.IntervalList),
    "status": Endpoint(
        OPERATIONS,
        "Every series at a glance.",
        response_schemas.StreamingStatus,
        parameters=(SEARCH, NOT_READY, OFFSET, STATUS_LIMIT),
        problems=(400,),
    ),
    "health": Endpoint(OPERATIONS, "Whether the process lives: liveness.", response_schemas.Health),
    "ready": Endpoint(
        OPERATIONS,
        "Whether every series is complete and up to date: readiness.",
        response_schemas.Ready,
        parameters=(READY_FOR,),
        problems=(400,),
        unavailable=response_schemas.NotReady | response_schemas.Problem,
    ),
    "scrape": Endpoint(OPERATIONS, "What is counted, for Prometheus.", media=CONTENT_TYPE),
    "system": Endpoint(OPERATIONS, "The supervision tree.", response_schemas.System),
    "udf_config": Endpoint(CHARTS, "What the datafeed can do.", udf_answers.UdfConfig),
    "udf_symbols": Endpoint(
        CHARTS,
        "One symbol.",
        (udf_answers.UdfSymbol, udf_answers.UdfError),
        parameters=(UDF_SYMBOL,),
    ),
    "udf_search": Endpoint(
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
    "udf_history": Endpoint(
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
    "udf_time": Endpoint(CHARTS, "Seconds since the epoch, by the exchange's clock.", media=TEXT),
    "chart": Endpoint(PAGES, "The chart.", media=HTML),
    "inspect": Endpoint(PAGES, "Every series in a table.", media=HTML),
    "inspect_ws": Endpoint(PAGES, "Live updates of one series.", media=HTML),
    "docs": Endpoint(PAGES, "This description, to read and to try.", media=HTML),
    "rest_schema": Endpoint(PAGES, "The same for programs.", dict[str, Any]),
    "websocket_schema": Endpoint(
        PAGES,
        "The messages of the WebSockets, for programs.",
        dict[str, Any],
    ),
    "static_file": Endpoint(
        PAGES,
        "What the pages load.",
        media="text/javascript",
        other_media=("text/css", "text/plain", "image/svg+xml"),
        parameters=(Text("name", "A file.", "app.css", is_required=True),),
        problems=(404,),
    ),
}


class Route(NamedTuple):
    """One path of an application."""

    path: str
    """Its parameters are in braces."""
    methods: tuple[str, ...]
    """In lower case; without HEAD and OPTIONS, which every path answers."""
    endpoint: Endpoint


def documented_routes(url_map: Map) -> list[Route]:
    """The HTTP routes of an application, in the order of their descriptions.

    Raises:
        ValueError: one is not described.
    """
    order = list(ENDPOINTS)
    rules = [rule for rule in url_map.iter_rules() if not rule.websocket]
    rules.sort(key=lambda rule: order.index(rule.endpoint))
    return [Route(path_of(rule), tuple(_methods(rule)), ENDPOINTS[rule.endpoint]) for rule in rules]


def path_of(rule: Rule) -> str:
    """As OpenAPI and AsyncAPI write it."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def _methods(rule: Rule) -> Iterator[str]:
    for method in sorted(rule.methods or ()):
        if method not in ("HEAD", "OPTIONS"):
            yield method.lower()
