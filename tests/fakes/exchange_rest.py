"""The exchange's REST API in memory, with latency on the test's clock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import trio

from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series

MAIN = "https://api.exchange.test"
SPARE = "https://data.exchange.test"
LONG_AFTER = 10_000_000_000_000
"""Milliseconds: a time of the exchange at which every candle of a test has closed long ago."""

Answer = Callable[[httpx.Request], Awaitable[httpx.Response]]


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it was received."""

    at: float
    host: str
    path: str
    parameters: Mapping[str, str]

    @property
    def series(self) -> Series:
        return Series(self.parameters["symbol"], Interval(self.parameters["interval"]))

    @property
    def range(self) -> tuple[int | None, int | None]:
        first, last = self.parameters.get("startTime"), self.parameters.get("endTime")
        return first and int(first), last and int(last)  # type: ignore[return-value]


class Scripted:
    """Answers requests with one answer after the other, then with the last one."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


async def silent(request: httpx.Request) -> httpx.Response:
    await trio.sleep_forever()
    raise AssertionError


class _Drops(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await trio.sleep(0.4)
            yield b"["


async def dripping(request: httpx.Request) -> httpx.Response:
    """Sends a byte every 0.4 s indefinitely; no timeout of a single read ends it."""
    return httpx.Response(200, stream=_Drops())


def _streamed(response: httpx.Response) -> httpx.Response:
    """The same response with its body unread, as over a network."""
    if not response.is_stream_consumed:
        return response

    async def body() -> AsyncIterator[bytes]:
        yield response.content

    return httpx.Response(response.status_code, headers=response.headers, content=body())


class RestExchange:
    """Serves klines and statuses as the exchange does, and counts weight by the minute."""

    def __init__(self) -> None:
        self.requests: list[ReceivedRequest] = []
        self.history: dict[Series, list[Candle]] = {}
        self.statuses: dict[str, str] = {}
        self.latency = 0.1
        self.hosts: dict[str, Answer] = {}
        """Hosts with a behaviour of their own."""
        self.before: Callable[[ReceivedRequest], httpx.Response | None] = lambda _: None
        """May answer a request in place of the normal answer."""
        self.weights: dict[int, int] = {}
        """Weight used, by minute."""
        self.max_concurrent = 0
        self._concurrent = 0

    def client(self) -> httpx.AsyncClient:
        async def handle(request: httpx.Request) -> httpx.Response:
            return _streamed(await self._handle(request))

        return httpx.AsyncClient(transport=httpx.MockTransport(handle), trust_env=False)

    def have(self, series: Series, first: int, last: int, *, step: int | None = None) -> None:
        """Add candles of `series` that open from `first` to `last`; the last one is forming."""
        candles = []
        open_time = first
        while open_time <= last:
            candles.append(candle(open_time, closed=open_time < last))
            open_time = series.interval.next(open_time) if step is None else open_time + step
        self.history[series] = candles
        self.statuses[series.symbol] = "TRADING"

    def requests_for(self, series: Series) -> list[ReceivedRequest]:
        return [a for a in self.requests if a.path == "/api/v3/klines" and a.series == series]

    async def _handle(self, raw: httpx.Request) -> httpx.Response:
        request = ReceivedRequest(
            trio.current_time(), raw.url.host, raw.url.path, dict(raw.url.params)
        )
        self.requests.append(request)
        self._concurrent += 1
        self.max_concurrent = max(self.max_concurrent, self._concurrent)
        try:
            if (answer := self.hosts.get(raw.url.host)) is not None:
                return await answer(raw)
            await trio.sleep(self.latency)
            return self.before(request) or self._answer(request)
        finally:
            self._concurrent -= 1

    def _answer(self, request: ReceivedRequest) -> httpx.Response:
        if request.path == "/api/v3/klines":
            return self._respond(2, self._klines(request))
        assert request.path == "/api/v3/exchangeInfo", request.path
        symbols = json.loads(request.parameters["symbols"])
        if any(symbol not in self.statuses for symbol in symbols):
            return self._respond(20, None)
        found = [{"symbol": symbol, "status": self.statuses[symbol]} for symbol in symbols]
        return self._respond(20, {"timezone": "UTC", "symbols": found})

    def _klines(self, request: ReceivedRequest) -> object:
        series = request.series
        if series not in self.history:
            return None
        first, last = request.range
        limit = int(request.parameters["limit"])
        found = [
            c
            for c in self.history[series]
            if (first is None or c.open_time >= first) and (last is None or c.open_time <= last)
        ]
        found = found[-limit:] if first is None else found[:limit]
        return [_row(series, c) for c in found]

    def _respond(self, weight: int, content: object) -> httpx.Response:
        minute = int(trio.current_time() // 60)
        used = self.weights[minute] = self.weights.get(minute, 0) + weight
        headers = {"X-MBX-USED-WEIGHT-1M": str(used)}
        if content is None:
            return httpx.Response(
                HTTPStatus.BAD_REQUEST,
                headers=headers,
                json={"code": -1121, "msg": "Invalid symbol."},
            )
        return httpx.Response(HTTPStatus.OK, headers=headers, json=content)


def candle(open_time: int, *, closed: bool = True) -> Candle:
    """A candle whose close depends on its open time."""
    close = 1.0 + open_time / 1e15
    return Candle(open_time, 1.0, 2.0, 0.5, close, 10.0, closed, 0, True)


def _row(series: Series, c: Candle) -> list[object]:
    return [
        c.open_time,
        str(c.open),
        str(c.high),
        str(c.low),
        repr(c.close),
        str(c.volume),
        series.interval.close_time(c.open_time),
        "10.0",
        308,
        "5.0",
        "5.0",
        "0",
    ]
