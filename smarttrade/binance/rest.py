"""The exchange's REST API, within its limits, over whichever endpoint answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import httpx
import trio

from ..market.candle import Candle
from ..market.series import Series
from .errors import ExchangeBusy, ExchangeRefused, ExchangeUnavailable
from .hints import REST_VARIABLE, error_hint, not_binance_hint, status_hint
from .limits import WeightBudget
from .wire import Malformed, decode_error, decode_klines, decode_symbol_statuses

A = TypeVar("A")

KLINES_WEIGHT = 2
EXCHANGE_INFO_WEIGHT = 20
MAX_KLINES = 1000
"""Source: binance-spot-api-docs, rest-api.md, "Kline/Candlestick data", "Exchange information"."""

REQUEST_TIMEOUT = 15.0
"""Seconds for a whole request. httpx's own limits are per read, so a dripping server could keep
one for ever."""

DEFAULT_RETRY_AFTER = 60.0  # seconds, for a 429 or 418 that does not say

CONNECTIONS = 20
"""Requests under way at once, each on a connection that is kept."""


def http_client(*, trust_env: bool = True) -> httpx.AsyncClient:
    """A client for one process: constructing it loads certificates, and its pool is shared."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(10.0, connect=5.0),
        limits=httpx.Limits(
            max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=30
        ),
        headers={"User-Agent": "smarttrade"},
        trust_env=trust_env,
    )


class RestClient:
    """Asks the exchange, waiting for the weight budget first.

    `endpoints` are base URLs, tried in order; one that answered is kept until it fails. `http` is
    owned by the caller.
    """

    def __init__(
        self, http: httpx.AsyncClient, endpoints: Sequence[str], budget: WeightBudget
    ) -> None:
        self.budget = budget
        self._http = http
        self._endpoints = [endpoint.rstrip("/") for endpoint in endpoints]
        self.endpoint = self._endpoints[0]
        """The base URL that the next request goes to first: the one that answered last."""
        self.requests = 0
        """Requests sent, whatever came back."""

    async def klines(
        self,
        series: Series,
        *,
        first: int | None = None,
        last: int | None = None,
        limit: int = MAX_KLINES,
        as_of: int = 0,
    ) -> list[Candle]:
        """Candles that open from `first` to `last` (ms, inclusive), or else the newest.

        Every row but the last is closed. `as_of` is the latest event time known, in ms.

        Raises:
            ExchangeUnavailable: no endpoint gave an answer of the exchange.
            ExchangeRefused: it knows no such symbol or interval.
        """
        parameters = {
            "symbol": series.symbol,
            "interval": series.interval.value,
            "limit": str(limit),
        }
        if first is not None:
            parameters["startTime"] = str(first)
        if last is not None:
            parameters["endTime"] = str(last)
        read = partial(decode_klines, as_of=as_of)
        return await self._get("/api/v3/klines", parameters, KLINES_WEIGHT, read)

    async def symbol_statuses(self, symbols: Sequence[str]) -> Mapping[str, str]:
        """The trading status of each of `symbols`.

        Raises:
            ExchangeUnavailable: no endpoint gave an answer of the exchange.
            ExchangeRefused: it does not know one of them, and does not say which.
        """
        quoted = ",".join(f'"{symbol}"' for symbol in symbols)
        parameters = {"symbols": f"[{quoted}]"}
        return await self._get(
            "/api/v3/exchangeInfo", parameters, EXCHANGE_INFO_WEIGHT, decode_symbol_statuses
        )

    async def _get(
        self, path: str, parameters: Mapping[str, str], weight: int, read: Callable[[bytes], A]
    ) -> A:
        """Ask each endpoint in turn, beginning with the one that answered last."""
        failure: ExchangeUnavailable | None = None
        current = self._endpoints.index(self.endpoint)
        for endpoint in self._endpoints[current:] + self._endpoints[:current]:
            await self._wait_for(weight)
            try:
                answer = await self._request(endpoint + path, parameters, weight, read)
            except ExchangeBusy:
                raise  # limits are per address, whichever endpoint is asked
            except ExchangeUnavailable as error:
                failure = error
            except ExchangeRefused:
                self.endpoint = endpoint
                raise
            else:
                self.endpoint = endpoint
                return answer
        assert failure is not None
        raise failure

    async def _wait_for(self, weight: int) -> None:
        while wait := self.budget.reserve(weight, trio.current_time()):
            await trio.sleep(wait)

    async def _request(
        self, url: str, parameters: Mapping[str, str], weight: int, read: Callable[[bytes], A]
    ) -> A:
        response = await self._send(url, parameters, weight)
        if not response.is_success:
            raise self._failure(url, response)
        try:
            return read(response.content)
        except Malformed as error:  # somebody else answers there
            advice = not_binance_hint(REST_VARIABLE)
            raise ExchangeUnavailable(
                f"{url}: not an answer of the exchange: {error}; {advice}"
            ) from error

    async def _send(self, url: str, parameters: Mapping[str, str], weight: int) -> httpx.Response:
        self.requests += 1
        returned = self.budget.returned
        told: int | None = None
        try:
            with trio.fail_after(REQUEST_TIMEOUT):
                response = await self._http.get(url, params=parameters)
            told = _number_in(response, "X-MBX-USED-WEIGHT-1M")
        except trio.TooSlowError:
            raise ExchangeUnavailable(f"{url}: no answer in {REQUEST_TIMEOUT:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            advice = error_hint(error, REST_VARIABLE)
            raise ExchangeUnavailable(_joined(f"{url}: {error!r}", advice)) from error
        finally:
            self.budget.answered(weight, told, trio.current_time(), returned)
        return response

    def _failure(self, url: str, response: httpx.Response) -> Exception:
        status = response.status_code
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTP_BANNED):
            told = _number_in(response, "Retry-After")
            seconds = DEFAULT_RETRY_AFTER if told is None else float(told)
            self.budget.block(seconds, trio.current_time())
            return ExchangeBusy(status, seconds)
        refusal = decode_error(response.content)
        if status == HTTPStatus.BAD_REQUEST and refusal and refusal[0] in _REQUEST_ISSUES:
            return ExchangeRefused(*refusal)
        advice = status_hint(status, REST_VARIABLE)
        return ExchangeUnavailable(_joined(f"{url} answers {status}", advice))


HTTP_BANNED = 418
"""Source: rest-api.md, "HTTP Return Codes": banned for not having backed off after 429."""

_REQUEST_ISSUES = range(-1199, -1099)
"""Codes that blame the request. Source: errors.md; those above are trouble at the exchange."""


def _joined(what: str, advice: str | None) -> str:
    return what if advice is None else f"{what}; {advice}"


def _number_in(response: httpx.Response, header: str) -> int | None:
    told = response.headers.get(header, "")
    return int(told) if told.isdecimal() and len(told) < 10 else None
