"""`smarttrade tail`: live candles of one series from a running backend, a line each."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import msgspec
import trio

from actors import Backoff

from ..feed.connection import Connection, run_connection
from ..feed.dial import Dial, dial
from ..feed.errors import StreamDown
from ..session.errors import CloseCode
from ..settings.values import url
from .candle_table import Candle, Table
from .error_text import root_cause_text
from .messages import print_message
from .options import settings_from, url_of
from .signals import run_until_signal, until_stopped

PATH = "/ws/candles"
PAUSE = Backoff(first=0.5, max_pause=30.0)  # seconds between two attempts to connect
PERMANENT_CLOSES = (
    CloseCode.POLICY,
    CloseCode.TOO_BIG,
)  # close codes after which one should not reconnect


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("symbol", help="such as BTCUSDT")
    parser.add_argument("interval", help="such as 1m")
    parser.add_argument(
        "--url",
        type=endpoint,
        help="of the backend, such as ws://127.0.0.1:8000; usually where HOST and PORT say",
    )
    parser.add_argument("--count", type=_count, metavar="N", help="end after N lines")


def run(arguments: argparse.Namespace) -> int:
    backend = arguments.url
    if backend is None:
        settings = settings_from(arguments).settings
        backend = endpoint(url_of(settings.host, settings.port))
    tail = Tail(backend, arguments.symbol, arguments.interval, arguments.count)
    return run_until_signal(partial(until_stopped, tail.follow))


# -- What the backend says ----------------------------------------------------------------------


class _Error(msgspec.Struct):
    message: str


class _Message(msgspec.Struct):
    """Any of them; each has some of these."""

    type: str
    candle: Candle | None = None
    candles: Sequence[Candle] = ()
    closed: bool = False
    corrected: bool = False
    truncated: bool = False
    errors: Sequence[_Error] = ()
    message: str = ""
    feed: str = ""


class Refused(Exception):
    """The backend will not tell us, however often we ask."""


# -- Following ----------------------------------------------------------------------------------


class Tail:
    """One series, over as many connections as it takes."""

    def __init__(
        self, url: str, symbol: str, interval: str, count: int | None, *, dial: Dial = dial
    ) -> None:
        self._url = url
        self._dial = dial
        self._wanted: dict[str, str | int] = {"symbol": symbol, "interval": interval}
        self._left = count
        self._table = Table()
        self._newest: tuple[Candle, bool] | None = None
        self._feed = "live"
        self._failures = 0

    async def follow(self) -> int:
        """Print until `count` lines are printed; the exit status."""
        while True:
            try:
                await run_connection(self._url, self._dial, self._session)
            except Refused as error:
                _print_notice(str(error))
                return 1
            except StreamDown as error:
                if _is_permanent(error):
                    _print_notice(f"{self._url}: {root_cause_text(error)}")
                    return 1
                await self._pause(error)
            else:
                return 0

    async def _pause(self, error: StreamDown) -> None:
        self._failures += 1
        pause = max(error.retry_after or 0.0, PAUSE.pause(self._failures, random.random()))
        _print_notice(f"{self._url}: {root_cause_text(error)}; trying again in {pause:.1f} s")
        await trio.sleep(pause)

    async def _session(self, connection: Connection) -> None:
        """Subscribe and print; returns when enough is printed."""
        place = {"since": self._newest[0].time} if self._newest else {"snapshot": 1}
        request = {"action": "subscribe", "subscriptions": [{**self._wanted, **place}]}
        await connection.send(msgspec.json.encode(request).decode())
        while self._left is None or self._left > 0:
            self._handle(_decode(await connection.receive()))
            self._failures = 0

    def _handle(self, message: _Message) -> None:
        match message.type:
            case "candle" if message.candle is not None:
                self._print(message.candle, message.closed, message.corrected)
            case "snapshot":
                if message.truncated:
                    _print_notice("away for too long: some candles are missing here")
                for place, candle in enumerate(message.candles, 1):
                    self._print(candle, message.closed or place < len(message.candles), False)
            case "subscribed" if message.errors:
                raise Refused(message.errors[0].message)
            case "error":
                raise Refused(message.message)
            case "status" if message.feed != self._feed:
                self._feed = message.feed
                _print_notice(f"the feed is {message.feed}")

    def _print(self, candle: Candle, closed: bool, corrected: bool) -> None:  # noqa: FBT001
        """Print what is news: a snapshot after a reconnect begins with what we have."""
        if self._left == 0:
            return
        if not corrected:
            if self._newest is not None:
                newest, was_closed = self._newest
                if candle.time < newest.time or (candle, closed) == (newest, was_closed):
                    return
            self._newest = candle, closed
        state = "corrected" if corrected else "closed" if closed else "forming"
        print(self._table.row(candle, state), flush=True)
        if self._left is not None:
            self._left -= 1


def _decode(message: str | bytes) -> _Message:
    try:
        return msgspec.json.decode(message, type=_Message)
    except msgspec.MsgspecError as error:
        raise Refused(f"this is not what SmartTrade says: {error}") from error


def _is_permanent(error: StreamDown) -> bool:
    """Whether connecting again makes no sense."""
    if error.status is not None:
        return 400 <= error.status < 500 and error.status != 429
    return error.close_code in PERMANENT_CLOSES


def _print_notice(text: str) -> None:
    print_message(text, level="warning")


# -- Arguments ----------------------------------------------------------------------------------


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


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 1 or more")
