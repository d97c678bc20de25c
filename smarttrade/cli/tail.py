"""`smarttrade tail`: live candles from a running backend, a line each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from itertools import product
from math import inf
from urllib.parse import urlsplit, urlunsplit

from ..feed.network import Network
from ..settings.values import url
from .follower import FIRST_TIMEOUT, Follower
from .options import authorization, settings_from, url_of
from .signals import run_until_signal, until_stopped
from .tail_output import CsvOutput, JsonOutput, SeriesName, TableOutput

PATH = "/ws/candles"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "symbols", metavar="symbol", type=_names, help="such as BTCUSDT or BTCUSDT,ETHUSDT"
    )
    parser.add_argument("intervals", metavar="interval", type=_names, help="such as 1m or 1m,1h")
    parser.add_argument(
        "--url",
        type=endpoint,
        help="of the backend, such as ws://127.0.0.1:8000; usually where HOST and PORT say",
    )
    parser.add_argument(
        "--count", type=_positive(int, "a whole number"), metavar="N", help="end after N candles"
    )
    parser.add_argument(
        "--timeout",
        type=_positive(float, "a number of seconds"),
        metavar="SECONDS",
        help="end with status 1 after so long without a connection; usually after "
        f"{FIRST_TIMEOUT:g} when there is none at first, and never later",
    )
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="a JSON object per line")
    formats.add_argument("--csv", action="store_true", help="CSV with a header")


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments).settings
    own = url_of(settings.host, settings.port, settings.scheme)
    backend = arguments.url or endpoint(own)
    series = [SeriesName(*each) for each in product(arguments.symbols, arguments.intervals)]
    if arguments.json:
        output: JsonOutput | CsvOutput | TableOutput = JsonOutput()
    elif arguments.csv:
        output = CsvOutput()
    else:
        output = TableOutput(names_series=len(series) > 1)
    follower = Follower(
        backend,
        series,
        output,
        dial=Network.direct().dial,
        headers=authorization(settings),
        count=arguments.count,
        timeout=arguments.timeout,
    )
    return run_until_signal(partial(until_stopped, follower.follow))


def endpoint(text: str) -> str:
    """The WebSocket URL of a backend, given that or its base URL."""
    text = text if "://" in text else f"ws://{text}"
    try:
        base = url("ws", "wss", "http", "https", with_query=True)(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a ws:// or wss:// URL") from None
    parts = urlsplit(base)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, parts.path or PATH, parts.query, ""))


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("there must be one at least")
    return list(dict.fromkeys(names))


def _positive(kind: Callable[[str], float], name: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = 0
        if 0 < number < inf:
            return number
        raise argparse.ArgumentTypeError(f"{text!r} must be {name} above 0")

    return read
