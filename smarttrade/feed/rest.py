"""A venue's REST API, within its limits, over whichever endpoint answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import httpx
import trio

from ..market.candle import Candle
from ..market.series import Series
from .budgets import WeightBudget
from .errors import ExchangeBusy, ExchangeRefused, ExchangeUnavailable, Malformed
from .hints import error_hint, wrong_server_hint
from .venue import RestRequest, SymbolStatus, Venue

Answer = TypeVar("Answer")

MAX_KLINES = 1000  # candles in one page: as many as a window holds

REQUEST_TIMEOUT = 15.0
"""Seconds for a whole request. httpx's own limits are per read, so a server that sends a byte now
and then could hold one indefinitely."""

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
    """Sends requests to a venue, waiting for the weight budget first.

    `endpoints` are base URLs, tried in order; one that answered is kept until it fails. `http` is
    owned by the caller.
    """

    def __init__(
        self, venue: Venue, http: httpx.AsyncClient, endpoints: Sequence[str], budget: WeightBudget
    ) -> None:
        self.budget = budget
        self._venue = venue
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
        return await self._get(
            self._venue.klines_request(series, first=first, last=last, limit=limit, as_of=as_of)
        )

    async def symbol_statuses(self, symbols: Sequence[str]) -> Mapping[str, SymbolStatus]:
        """The trading status of each of `symbols`.

        Raises:
            ExchangeUnavailable: no endpoint gave an answer of the exchange.
            ExchangeRefused: it does not know one of them, and may not say which.
        """
        return await self._get(self._venue.symbol_statuses_request(symbols))

    async def server_time(self) -> int:
        """The exchange's clock, in ms since the epoch.

        Raises:
            ExchangeUnavailable: no endpoint gave an answer of the exchange.
        """
        return await self._get(self._venue.server_time_request())

    async def _get(self, request: RestRequest[Answer]) -> Answer:
        """Ask each endpoint in turn, beginning with the one that answered last."""
        failure: ExchangeUnavailable | None = None
        current = self._endpoints.index(self.endpoint)
        for endpoint in self._endpoints[current:] + self._endpoints[:current]:
            await self._wait_for(request.weight)
            try:
                answer = await self._request(endpoint, request)
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

    async def _request(self, endpoint: str, request: RestRequest[Answer]) -> Answer:
        url = endpoint + request.path
        response = await self._send(url, request)
        if not response.is_success:
            raise self._failure(url, response)
        try:
            return request.decode(response.content)
        except Malformed as error:  # something else answers there
            hint = wrong_server_hint(self._venue.rest_variable)
            raise ExchangeUnavailable(
                f"{url}: not an answer of the exchange: {error}; {hint}"
            ) from error

    async def _send(self, url: str, request: RestRequest[Answer]) -> httpx.Response:
        self.requests += 1
        returned = self.budget.returned
        used: int | None = None
        try:
            with trio.fail_after(REQUEST_TIMEOUT):
                response = await self._http.get(url, params=request.parameters)
            used = self._venue.used_weight(response.headers)
        except trio.TooSlowError:
            raise ExchangeUnavailable(f"{url}: no answer in {REQUEST_TIMEOUT:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            hint = error_hint(error, self._venue.rest_variable)
            raise ExchangeUnavailable(_joined(f"{url}: {error!r}", hint)) from error
        finally:
            self.budget.answered(request.weight, used, trio.current_time(), returned)
        return response

    def _failure(self, url: str, response: httpx.Response) -> Exception:
        status = response.status_code
        failure = self._venue.failure(status, response.headers, response.content)
        if isinstance(failure, ExchangeBusy):
            self.budget.block(failure.retry_after, trio.current_time())
        if failure is not None:
            return failure
        hint = self._venue.status_hint(status, self._venue.rest_variable)
        return ExchangeUnavailable(_joined(f"{url} answers {status}", hint))


def _joined(what: str, hint: str | None) -> str:
    return what if hint is None else f"{what}; {hint}"
