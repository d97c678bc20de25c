"""Whether the exchange answers, over each endpoint, for `smarttrade check`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import httpx
import trio

from ..environment import VENUE
from ..feed.budgets import WeightBudget
from ..feed.connection import Connection, run_connection
from ..feed.dial import dial
from ..feed.errors import ExchangeError, ExchangeRefused, StreamDown
from ..feed.listing import NOT_LISTED, symbol_statuses
from ..feed.rest import RestClient
from ..market.series import Series
from ..settings import Settings
from ..settings.values import masked
from .check_result import Finding, Level
from .error_text import root_of

REST_TIMEOUT = 10.0  # seconds for an endpoint to answer
FIRST_MESSAGE_TIMEOUT = 6.0  # seconds; a busy symbol's candle is told every two seconds
MAX_STREAMS = 10  # to listen to; more than one, as it may be of a symbol that is not listed
GOOD_SKEW = 1.0  # seconds between the exchange's clock and ours that nobody need care about


@dataclass(frozen=True, slots=True)
class Clock:
    """What one answer told about the time."""

    skew: float
    """Seconds that the exchange is ahead of us."""
    latency: float
    """Seconds from question to answer."""


async def look_at_rest(settings: Settings, http: httpx.AsyncClient) -> Sequence[Finding]:
    endpoints: dict[str, Finding] = {}
    clocks: list[Clock] = []
    series = Series(settings.symbols[0], settings.intervals[0])

    async def ask(endpoint: str) -> None:
        rest = RestClient(VENUE, http, [endpoint], WeightBudget(settings.weight_ceiling))
        try:
            with trio.fail_after(REST_TIMEOUT):
                clock = await _ask_rest(rest, series)
        except trio.TooSlowError:
            text = f"{masked(endpoint)}: no answer in {REST_TIMEOUT:g} s"
            endpoints[endpoint] = Finding(Level.FAIL, "rest", text)
        except ExchangeError as error:
            endpoints[endpoint] = _failure("rest", endpoint, error)
        else:
            clocks.append(clock)
            text = f"{masked(endpoint)}: answers in {clock.latency * 1000:.0f} ms"
            endpoints[endpoint] = Finding(Level.OK, "rest", text)

    async with trio.open_nursery() as nursery:
        for endpoint in settings.binance_rest_url:
            nursery.start_soon(ask, endpoint)
    found = one_is_enough([endpoints[endpoint] for endpoint in settings.binance_rest_url])
    if not clocks:
        return found
    best = min(clocks, key=lambda clock: clock.latency)
    return [*found, clock_finding(best), *await _look_at_symbols(settings, http)]


async def _ask_rest(rest: RestClient, series: Series) -> Clock:
    """Ask for a candle, as the service does, then for the time, over the same connection."""
    with suppress(ExchangeRefused):  # it does not know the symbol, but it answers
        await rest.klines(series, limit=1)
    wall, began = time.time(), trio.current_time()
    server_time = await rest.server_time()
    latency = trio.current_time() - began
    return Clock(server_time / 1000 - (wall + latency / 2), latency)


def clock_finding(clock: Clock) -> Finding:
    way = "ahead of" if clock.skew < 0 else "behind"
    text = f"this machine's is {abs(clock.skew):.2f} s {way} the exchange's"
    if abs(clock.skew) - clock.latency / 2 <= GOOD_SKEW:
        return Finding(Level.OK, "clock", text)
    return Finding(Level.WARN, "clock", f"{text}; candles do not care, logs and certificates do")


async def _look_at_symbols(settings: Settings, http: httpx.AsyncClient) -> Sequence[Finding]:
    rest = RestClient(VENUE, http, settings.binance_rest_url, WeightBudget(settings.weight_ceiling))
    try:
        with trio.fail_after(REST_TIMEOUT):
            statuses = await symbol_statuses(settings.symbols, rest)
    except trio.TooSlowError:
        return [Finding(Level.WARN, "symbols", f"no answer in {REST_TIMEOUT:g} s")]
    except ExchangeError as error:
        return [Finding(Level.WARN, "symbols", masked(str(error)))]
    found = {symbol: statuses.get(symbol, NOT_LISTED) for symbol in settings.symbols}
    good = [symbol for symbol, status in found.items() if status.is_trading]
    missing = [
        Finding(Level.WARN, "symbols", f"{symbol} is left out: {status.name}")
        for symbol, status in found.items()
        if not status.is_trading
    ]
    if not good:
        return [*missing, Finding(Level.FAIL, "symbols", "none is left")]
    return [Finding(Level.OK, "symbols", f"{len(good)} are traded"), *missing]


async def look_at_streams(settings: Settings) -> Sequence[Finding]:
    findings: dict[str, Finding] = {}
    symbols = settings.symbols[:MAX_STREAMS]
    path = VENUE.stream_request([Series(symbol, settings.intervals[0]) for symbol in symbols]).path

    async def listen(endpoint: str) -> None:
        findings[endpoint] = await _listen(endpoint, endpoint + path)

    async with trio.open_nursery() as nursery:
        for endpoint in settings.binance_ws_url:
            nursery.start_soon(listen, endpoint)
    return one_is_enough([findings[endpoint] for endpoint in settings.binance_ws_url])


async def _listen(endpoint: str, url: str) -> Finding:
    connected: list[float] = []
    heard: list[float] = []
    began = trio.current_time()

    async def talk(connection: Connection) -> None:
        connected.append(trio.current_time() - began)
        with trio.move_on_after(FIRST_MESSAGE_TIMEOUT):
            await connection.receive()
            heard.append(trio.current_time() - began)

    try:
        await run_connection(url, dial, talk)
    except StreamDown as error:
        return _failure("stream", endpoint, error)
    text = f"{masked(endpoint)}: connected in {connected[0] * 1000:.0f} ms"
    if heard:
        return Finding(Level.OK, "stream", f"{text}, first message after {heard[0]:.1f} s")
    return Finding(Level.WARN, "stream", f"{text}, no message in {FIRST_MESSAGE_TIMEOUT:g} s")


def one_is_enough(findings: Sequence[Finding]) -> Sequence[Finding]:
    """Endpoints are tried in order: one that fails is no more than a pity if another does not."""
    if all(finding.level is Level.FAIL for finding in findings):
        return findings
    return [
        replace(finding, level=Level.WARN) if finding.level is Level.FAIL else finding
        for finding in findings
    ]


def _failure(subject: str, endpoint: str, error: Exception) -> Finding:
    """An endpoint's, naming it once and without its password."""
    text = root_of(error).replace(endpoint, "").lstrip(": ")
    return Finding(Level.FAIL, subject, f"{masked(endpoint)}: {text}")
