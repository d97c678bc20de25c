"""Follow series of a running backend over as many connections as it takes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import inf
from types import MappingProxyType
from typing import Any

import msgspec
import trio

from actors import Backoff

from ..feed.dial import Dial
from ..feed.errors import StreamDown
from ..feed.websocket_client import WebSocket, run_connection
from ..session.errors import CloseCode
from .candle_table import CandleRow
from .error_text import root_cause_text
from .messages import printable
from .tail_output import Output, SeriesName

RECONNECT_BACKOFF = Backoff(first=0.5, max_pause=30.0)  # seconds between two attempts to connect
MAX_PAUSE = 300.0  # seconds that a backend may ask for with Retry-After
FIRST_TIMEOUT = 15.0
"""Seconds for the first connection, when no timeout is given: longer than a backend takes to start,
and short enough to say that the address is wrong."""
PROBE_AFTER = (
    2.0  # seconds without a message until a ping, and from it until the connection is lost
)
PERMANENT_CLOSES = (CloseCode.POLICY, CloseCode.TOO_BIG)  # after which reconnecting is useless
KNOWN_TYPES = ("welcome", "candle", "snapshot", "subscribed", "error", "status")
PING = '{"action":"ping"}'
ABSENT_HINT = "; is `smarttrade serve` running there? --url names another backend"
UNAUTHORIZED_HINT = "; SMARTTRADE_TOKENS or SMARTTRADE_TOKENS_FILE must have a token of its"


class _Error(msgspec.Struct):
    message: str


class _Name(msgspec.Struct):
    symbol: str
    interval: str


class _Message(msgspec.Struct):
    """The fields of all messages that are used here; each has some of them."""

    type: str
    symbol: str = ""
    interval: str = ""
    candle: CandleRow | None = None
    candles: Sequence[CandleRow] = ()
    closed: bool = False
    corrected: bool = False
    truncated: bool = False
    subscriptions: Sequence[_Name] = ()
    errors: Sequence[_Error] = ()
    message: str = ""
    feed: str = ""
    simulated: bool = False


class _Unknown(msgspec.Struct):
    """A message of a type that a later version has added."""

    type: str


class Refused(Exception):
    """The backend will not serve this, however often it is asked."""


class Follower:
    """Prints every update of some series once, and when they are not live.

    `count` limits the lines of candles; `timeout` is in seconds without a connection, None for
    `FIRST_TIMEOUT` at first and no limit later. `headers` go with each handshake.
    """

    def __init__(
        self,
        url: str,
        series: Sequence[SeriesName],
        output: Output,
        *,
        dial: Dial,
        headers: Mapping[str, str] = MappingProxyType({}),
        count: int | None = None,
        timeout: float | None = None,
    ) -> None:
        self._url = url
        self._dial = dial
        self._headers = headers
        self._series = series
        self._output = output
        self._left = inf if count is None else count
        self._given_timeout = timeout
        self._was_connected = False
        self._newest: dict[SeriesName, tuple[CandleRow, bool]] = {}
        self._feed = "live"
        self._simulated = False
        self._failures = 0
        self._lost_at: float | None = None

    async def follow(self) -> int:
        """Print until `count` lines are printed; the exit status."""
        self._lost_at = trio.current_time()
        while True:
            try:
                await run_connection(
                    self._url, self._dial, self._run_session, headers=self._headers
                )
            except Refused as error:
                self._notice(str(error), type="error")
                return 1
            except StreamDown as error:
                if not await self._can_retry(error):
                    return 1
            else:
                return 0

    # -- Connections ---------------------------------------------------------------------------

    async def _can_retry(self, error: StreamDown) -> bool:
        """Say that nothing is live; False if another attempt is useless, else pause before it."""
        now = trio.current_time()
        if self._lost_at is None:
            self._lost_at = now
        self._failures += 1
        text = f"{self._url}: {root_cause_text(error)}"
        if _is_permanent(error):
            hint = UNAUTHORIZED_HINT if error.status == HTTPStatus.UNAUTHORIZED else ""
            self._notice(text + hint, type="connection", state="ended")
            return False
        asked = min(error.retry_after or 0.0, MAX_PAUSE)
        left = self._lost_at + self._timeout - now
        if left <= asked:
            text += f"; giving up, as --timeout is {self._timeout:g} s"
            self._notice(text, type="connection", state="ended")
            return False
        pause = min(max(asked, RECONNECT_BACKOFF.pause(self._failures, random.random())), left)
        if self._is_absent(error):
            text += ABSENT_HINT
        self._notice(f"{text}; trying again in {pause:.1f} s", type="connection", state="lost")
        await trio.sleep(pause)
        return True

    @property
    def _timeout(self) -> float:
        """Seconds without a connection until it gives up."""
        if self._given_timeout is not None:
            return self._given_timeout
        return inf if self._was_connected else FIRST_TIMEOUT

    def _is_absent(self, error: StreamDown) -> bool:
        """Whether no backend has been found at the first attempt."""
        return self._failures == 1 and error.status is None and not self._was_connected

    async def _run_session(self, websocket: WebSocket) -> None:
        """Subscribe and print; returns when enough is printed."""
        request = {"action": "subscribe", "subscriptions": [*map(self._spec, self._series)]}
        await websocket.send(msgspec.json.encode(request).decode())
        while self._left > 0:
            message = _decode(await _receive(websocket))
            if self._lost_at is not None and self._failures:
                self._notice(f"{self._url}: connected again", type="connection", state="open")
            self._failures, self._lost_at, self._was_connected = 0, None, True
            if isinstance(message, _Message):
                self._handle(message)

    def _spec(self, series: SeriesName) -> Mapping[str, Any]:
        newest = self._newest.get(series)
        since = {"snapshot": 1} if newest is None else {"since": newest[0].time}
        return {**series._asdict(), **since}

    # -- Messages ------------------------------------------------------------------------------

    def _handle(self, message: _Message) -> None:
        series = SeriesName(message.symbol, message.interval)
        match message.type:
            case "welcome" if message.simulated and not self._simulated:
                self._simulated = True
                self._notice("prices are SIMULATED", type="welcome", simulated=True)
            case "candle" if message.candle is not None:
                self._print(series, message.candle, message.closed, message.corrected)
            case "snapshot":
                self._print_snapshot(series, message)
            case "subscribed":
                self._subscribed(message)
            case "error":
                raise Refused(message.message)
            case "status" if message.feed != self._feed:
                self._feed = message.feed
                self._notice(f"the feed is {message.feed}", type="status", feed=message.feed)

    def _subscribed(self, message: _Message) -> None:
        """From now on, series are named as the backend names them."""
        if not message.subscriptions:
            raise Refused("; ".join(error.message for error in message.errors) or "not subscribed")
        for error in message.errors:
            self._notice(error.message, type="error")
        self._series = [SeriesName(each.symbol, each.interval) for each in message.subscriptions]

    def _print_snapshot(self, series: SeriesName, message: _Message) -> None:
        if message.truncated:
            text = f"{series.symbol} {series.interval}: away for too long, some candles are missing"
            self._notice(text, type="truncated", **series._asdict())
        for place, candle in enumerate(message.candles, 1):
            is_closed = message.closed or place < len(message.candles)
            self._print(series, candle, is_closed, corrected=False)

    def _print(self, series: SeriesName, candle: CandleRow, closed: bool, corrected: bool) -> None:  # noqa: FBT001
        """Print what is new: a snapshot after a reconnect begins with candles printed before."""
        if self._left == 0:
            return
        if not corrected:
            newest = self._newest.get(series)
            if newest and (candle.time < newest[0].time or (candle, closed) == newest):
                return
            self._newest[series] = candle, closed
        state = "corrected" if corrected else "closed" if closed else "forming"
        self._output.candle(series, candle, state)
        self._left -= 1

    def _notice(self, text: str, **event: Any) -> None:
        self._output.notice(text, **event)


async def _receive(websocket: WebSocket) -> str | bytes:
    """The next message; a backend that does not answer a ping in time counts as gone.

    Its heartbeats are far apart, and an old price must not be shown as live for so long.
    """
    for is_last in (False, True):
        with trio.move_on_after(PROBE_AFTER):
            return await websocket.receive()
        if not is_last:
            await websocket.send(PING)
    raise StreamDown(f"no answer for {2 * PROBE_AFTER:.0f} s")


def _decode(message: str | bytes) -> _Message | _Unknown:
    try:
        fields = printable(msgspec.json.decode(message))
        if _is_known(fields):
            return msgspec.convert(fields, _Message)
        return msgspec.convert(fields, _Unknown)
    except msgspec.MsgspecError as error:
        raise Refused(f"this is not what SmartTrade says: {error}") from error


def _is_known(fields: object) -> bool:
    return isinstance(fields, dict) and fields.get("type") in KNOWN_TYPES


def _is_permanent(error: StreamDown) -> bool:
    """Whether connecting again makes no sense."""
    if error.status is not None:
        return 400 <= error.status < 500 and error.status != 429
    return error.close_code in PERMANENT_CLOSES
