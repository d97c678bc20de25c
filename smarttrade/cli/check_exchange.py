"""Whether the exchange answers, over each endpoint, for `smarttrade check`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import httpx
import trio

from ..environment import VENUE
from ..feed.dial import Dial
from ..feed.errors import ExchangeError, ExchangeRefused, StreamDown
from ..feed.rest import RestClient
from ..feed.symbol_statuses import NOT_ANSWERED, NOT_LISTED, symbol_statuses
from ..feed.venue import SymbolStatus
from ..feed.websocket_client import WebSocket, run_connection
from ..feed.weight import WeightBudget
from ..market.series import Series
from ..settings import Settings
from ..settings.values import masked
from .check_result import CheckResult, Level
from .error_text import root_cause_text

REST_TIMEOUT = 10.0  # seconds for an endpoint to answer
FIRST_MESSAGE_TIMEOUT = 6.0  # seconds; a busy symbol's candle is sent every two seconds
MAX_STREAMS = 10  # subscribed; more than one, as a symbol may not be listed
MAX_SKEW = 1.0  # seconds of clock difference without any effect


@dataclass(frozen=True, slots=True)
class Clock:
    """The difference of the clocks, from one answer."""

    skew: float
    """Seconds that the exchange is ahead of us."""
    latency: float
    """Seconds from question to answer."""


async def check_rest(settings: Settings, http: httpx.AsyncClient) -> Sequence[CheckResult]:
    endpoints: dict[str, CheckResult] = {}
    clocks: list[Clock] = []
    series = Series(settings.symbols[0], settings.intervals[0])

    async def ask(endpoint: str) -> None:
        rest = RestClient(VENUE, http, [endpoint], WeightBudget(VENUE.limits.weight))
        try:
            with trio.fail_after(REST_TIMEOUT):
                clock = await _ask_rest(rest, series)
        except trio.TooSlowError:
            text = f"{masked(endpoint)}: no answer in {REST_TIMEOUT:g} s"
            endpoints[endpoint] = CheckResult(Level.FAIL, "rest", text)
        except ExchangeError as error:
            endpoints[endpoint] = _failure("rest", endpoint, error)
        else:
            clocks.append(clock)
            text = f"{masked(endpoint)}: answers in {clock.latency * 1000:.0f} ms"
            endpoints[endpoint] = CheckResult(Level.OK, "rest", text)

    async with trio.open_nursery() as nursery:
        for endpoint in settings.binance_rest_url:
            nursery.start_soon(ask, endpoint)
    found = one_is_enough([endpoints[endpoint] for endpoint in settings.binance_rest_url])
    if not clocks:
        return found
    best = min(clocks, key=lambda clock: clock.latency)
    return [*found, clock_result(best), *await _check_symbols(settings, http)]


async def _ask_rest(rest: RestClient, series: Series) -> Clock:
    """Ask for a candle, as the service does, then for the time, over the same connection."""
    with suppress(ExchangeRefused):  # it does not know the symbol, but it answers
        await rest.klines(series, limit=1)
    wall, began = time.time(), trio.current_time()
    server_time = await rest.server_time()
    latency = trio.current_time() - began
    return Clock(server_time / 1000 - (wall + latency / 2), latency)


def clock_result(clock: Clock) -> CheckResult:
    way = "ahead of" if clock.skew < 0 else "behind"
    text = f"this machine's is {abs(clock.skew):.2f} s {way} the exchange's"
    if abs(clock.skew) - clock.latency / 2 <= MAX_SKEW:
        return CheckResult(Level.OK, "clock", text)
    return CheckResult(
        Level.WARN, "clock", f"{text}; candles do not care, logs and certificates do"
    )


async def _check_symbols(settings: Settings, http: httpx.AsyncClient) -> Sequence[CheckResult]:
    rest = RestClient(VENUE, http, settings.binance_rest_url, WeightBudget(VENUE.limits.weight))
    try:
        with trio.fail_after(REST_TIMEOUT):
            statuses = await symbol_statuses(settings.symbols, rest)
    except trio.TooSlowError:
        return [CheckResult(Level.WARN, "symbols", f"no answer in {REST_TIMEOUT:g} s")]
    except ExchangeError as error:
        return [CheckResult(Level.WARN, "symbols", masked(str(error)))]
    found = {symbol: statuses.get(symbol, NOT_LISTED) for symbol in settings.symbols}
    good = [symbol for symbol, status in found.items() if status.is_trading]
    absent = [
        CheckResult(Level.WARN, "symbols", f"{symbol} {_what_of(status)}: {status.name}")
        for symbol, status in found.items()
        if not status.is_trading
    ]
    if not any(status is not NOT_LISTED for status in found.values()):
        return [*absent, CheckResult(Level.FAIL, "symbols", "none is left")]
    return [CheckResult(Level.OK, "symbols", f"{len(good)} are traded"), *absent]


def _what_of(status: SymbolStatus) -> str:
    if status is NOT_ANSWERED:
        return "is not known to be traded"
    return "is left out" if status is NOT_LISTED else "is served, and not traded now"


async def check_streams(settings: Settings, dial: Dial) -> Sequence[CheckResult]:
    results: dict[str, CheckResult] = {}
    symbols = settings.symbols[:MAX_STREAMS]
    path = VENUE.stream_request([Series(symbol, settings.intervals[0]) for symbol in symbols]).path

    async def listen(endpoint: str) -> None:
        results[endpoint] = await _listen(endpoint, endpoint + path, dial)

    async with trio.open_nursery() as nursery:
        for endpoint in settings.binance_ws_url:
            nursery.start_soon(listen, endpoint)
    return one_is_enough([results[endpoint] for endpoint in settings.binance_ws_url])


async def _listen(endpoint: str, url: str, dial: Dial) -> CheckResult:
    connected: list[float] = []
    received: list[float] = []
    began = trio.current_time()

    async def receive_one(websocket: WebSocket) -> None:
        connected.append(trio.current_time() - began)
        with trio.move_on_after(FIRST_MESSAGE_TIMEOUT):
            await websocket.receive()
            received.append(trio.current_time() - began)

    try:
        await run_connection(url, dial, receive_one)
    except StreamDown as error:
        return _failure("stream", endpoint, error)
    text = f"{masked(endpoint)}: connected in {connected[0] * 1000:.0f} ms"
    if received:
        return CheckResult(Level.OK, "stream", f"{text}, first message after {received[0]:.1f} s")
    return CheckResult(Level.WARN, "stream", f"{text}, no message in {FIRST_MESSAGE_TIMEOUT:g} s")


def one_is_enough(results: Sequence[CheckResult]) -> Sequence[CheckResult]:
    """Failures are warnings if one endpoint works: endpoints are tried in order."""
    if all(result.level is Level.FAIL for result in results):
        return results
    return [
        replace(result, level=Level.WARN) if result.level is Level.FAIL else result
        for result in results
    ]


def _failure(subject: str, endpoint: str, error: Exception) -> CheckResult:
    """An endpoint's, naming it once and without its password."""
    text = root_cause_text(error).replace(endpoint, "").lstrip(": ")
    return CheckResult(Level.FAIL, subject, f"{masked(endpoint)}: {text}")
