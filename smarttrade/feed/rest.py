"""A venue's REST API, within its limits, over whichever endpoint answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import httpx
import structlog
import trio

from ..market.packed_candles import PackedCandles
from ..market.series import Series
from ..market.settling import mark_unsettled
from ..store.exchange_clock import ExchangeClock
from .bodies import ACCEPTED_ENCODING, UnreadableBodyError, read_body
from .errors import ExchangeBusy, ExchangeError, ExchangeRefused, ExchangeUnavailable, Malformed
from .hints import error_hint, wrong_server_hint
from .hosts import FailureKind, Host, Hosts
from .venue import RestRequest, SymbolStatus, Venue
from .weight import Purpose, WeightBudget

logger = structlog.get_logger("feed.rest")

Answer = TypeVar("Answer")

MAX_KLINES = 1000  # candles in one page: as many as a window holds

REQUEST_TIMEOUT = 15.0
"""Seconds for a whole request. httpx's own limits are per read, so a server that sends a byte now
and then could hold one indefinitely."""

OTHERS_REPORT_INTERVAL = 600.0  # seconds between two lines about what others use

MAX_FAILURES = 5
"""In a row, until the circuit of a host opens: a single one may be chance, and costs no pause."""


class RestClient:
    """Sends requests to a venue, waiting for the weight budget and for a host that may be asked.

    `endpoints` are base URLs, tried in order; one that answered is kept until it fails. `http` is
    owned by the caller.
    """

    def __init__(
        self, venue: Venue, http: httpx.AsyncClient, endpoints: Sequence[str], budget: WeightBudget
    ) -> None:
        self.budget = budget
        self.hosts = Hosts(endpoints, failures=MAX_FAILURES)
        self.clock = ExchangeClock()
        """The exchange's, as its answers and its stream report it."""
        self._venue = venue
        self._http = http
        self._others_reported_at = float("-inf")
        self.requests = 0
        """Requests sent, whatever came back."""

    @property
    def endpoint(self) -> str:
        """The base URL that the next request goes to first: the one that answered last."""
        return self.hosts.current

    async def klines(
        self,
        series: Series,
        *,
        first: int | None = None,
        last: int | None = None,
        limit: int = MAX_KLINES,
        as_of: int = 0,
        purpose: Purpose = Purpose.GAP,
    ) -> PackedCandles:
        """Candles that open from `first` to `last` (ms, inclusive), or else the newest.

        Closed are those before the last that had closed `SETTLING_TIME` before they were read, by
        the exchange's clock. `as_of` is the latest event time known, in ms; what the exchange has
        reported of its time counts as well.

        Raises:
            ExchangeUnavailable: no endpoint gave an answer of the exchange.
            ExchangeRefused: it knows no such symbol or interval.
        """
        self.note_time(as_of)
        request = self._venue.klines_request(
            series, first=first, last=last, limit=limit, as_of=max(as_of, self.clock.latest)
        )
        rows, asked_at = await self._get(request, purpose)
        if not rows:
            return rows
        newest = rows[-1].open_time
        time = max(self.clock.estimate(asked_at), newest)
        self.note_time(newest)
        return mark_unsettled(rows, series.interval, time)

    def note_time(self, time: int) -> None:
        """The exchange's clock shows `time` (ms) or later.

        The estimate is behind after a suspend, and at an exchange whose time runs fast.
        """
        now = trio.current_time()
        if time > self.clock.estimate(now):
            self.clock.learn(time, now)

    def klines_interval(self, series: Series, purpose: Purpose) -> float:
        """Seconds between requests for klines by which a purpose uses its own share of weight."""
        request = self._venue.klines_request(series, first=None, last=None, limit=1, as_of=0)
        return self.budget.interval(request.weight, purpose)

    async def symbol_statuses(self, symbols: Sequence[str]) -> Mapping[str, SymbolStatus]:
        """What the exchange reports about each of `symbols`.

        Its limit of weight and its clock, which come with that, are taken note of.

        Raises:
            ExchangeUnavailable: no endpoint gave an answer of the exchange.
            ExchangeRefused: it does not know one of them, and may not say which.
        """
        listing, _ = await self._get(self._venue.listing_request(symbols), Purpose.CHECK)
        if listing.weight is not None and listing.weight != self.budget.allowed:
            logger.info("exchange_weight_limit", weight=listing.weight)
            self.budget.allowed = listing.weight
        if listing.time is not None:
            self.clock.learn(listing.time, trio.current_time())
        return listing.symbols

    async def server_time(self) -> int:
        """The exchange's clock, in ms since the epoch.

        Raises:
            ExchangeUnavailable: no endpoint gave an answer of the exchange.
        """
        time, _ = await self._get(self._venue.server_time_request(), Purpose.CHECK)
        return time

    async def _get(self, request: RestRequest[Answer], purpose: Purpose) -> tuple[Answer, float]:
        """Ask each host that may be asked, beginning with the one that answered last.

        Returns the answer, and when the request that it answers was sent.
        """
        failure: ExchangeUnavailable | None = None
        tried: list[str] = []
        while (host := await self._next_host(request.weight, purpose, tried)) is not None:
            tried.append(host.url)
            asked_at = trio.current_time()
            try:
                return await self._ask(host, request, purpose), asked_at
            except ExchangeBusy:
                raise  # limits are per address, whichever host is asked
            except ExchangeUnavailable as error:
                failure = error
        assert failure is not None
        raise failure

    async def _next_host(self, weight: int, purpose: Purpose, tried: Sequence[str]) -> Host | None:
        """Wait for a host and for the weight; None when those that are left must be waited for."""
        while True:
            now = trio.current_time()
            wait = self.hosts.wait(now, tried)
            if wait is None or (tried and wait):
                return None
            wait = wait or self.budget.reserve(weight, purpose, now)
            if not wait:
                return self.hosts.take(now, tried)
            await trio.sleep(wait)

    async def _ask(self, host: Host, request: RestRequest[Answer], purpose: Purpose) -> Answer:
        """One request to one host, and what it says about that host."""
        asked_at = trio.current_time()
        try:
            answer = await self._request(host.url + request.path, request, purpose)
        except ExchangeRefused:
            self.hosts.answered(host)
            raise
        except BaseException as error:
            if isinstance(error, ExchangeUnavailable) and error.kind is not None:
                self.hosts.failed(
                    host,
                    error.kind,
                    trio.current_time(),
                    asked_at=asked_at,
                    retry_after=error.retry_after,
                )
            else:
                self.hosts.abandoned(host)
            raise
        self.hosts.answered(host)
        return answer

    async def _request(self, url: str, request: RestRequest[Answer], purpose: Purpose) -> Answer:
        response, body = await self._send(url, request, purpose)
        if not response.is_success:
            raise self._failure(url, response, body)
        try:
            return request.decode(body)
        except Malformed as error:  # something else answers there
            hint = wrong_server_hint(self._venue.rest_variable)
            raise ExchangeUnavailable(
                f"{url}: not an answer of the exchange: {error}; {hint}"
            ) from error

    async def _send(
        self, url: str, request: RestRequest[Answer], purpose: Purpose
    ) -> tuple[httpx.Response, bytes]:
        self.requests += 1
        returned = self.budget.returned
        used: int | None = None
        try:
            with trio.fail_after(REQUEST_TIMEOUT):
                async with self._http.stream(
                    "GET",
                    url,
                    params=request.parameters,
                    headers={"Accept-Encoding": ACCEPTED_ENCODING},
                    follow_redirects=False,
                ) as response:
                    used = self._venue.used_weight(response.headers)
                    return response, await read_body(response)
        except trio.TooSlowError:
            raise ExchangeUnavailable(f"{url}: no answer in {REQUEST_TIMEOUT:.0f} s") from None
        except UnreadableBodyError as error:
            wrong = wrong_server_hint(self._venue.rest_variable)
            raise ExchangeUnavailable(f"{url}: unreadable answer: {error}; {wrong}") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            hint = error_hint(error, self._venue.rest_variable)
            raise ExchangeUnavailable(_joined(f"{url}: {error!r}", hint)) from error
        finally:
            now = trio.current_time()
            self.budget.answered(request.weight, purpose, used, now, returned)
            self._report_others(now)

    def _report_others(self, now: float) -> None:
        if self.budget.is_crowded and now >= self._others_reported_at + OTHERS_REPORT_INTERVAL:
            self._others_reported_at = now
            logger.warning(
                "exchange_weight_used_by_others",
                others=self.budget.others,
                allowed=self.budget.allowed,
                hint="history is read more slowly while other programs at this address ask so much",
            )

    def _failure(self, url: str, response: httpx.Response, body: bytes) -> ExchangeError:
        status = response.status_code
        failure = self._venue.failure(status, response.headers, body)
        if isinstance(failure, ExchangeRefused):
            return failure
        hint = self._venue.status_hint(status, self._venue.rest_variable)
        is_limit = failure.kind in (FailureKind.LIMITED, FailureKind.BANNED)
        kind = ExchangeBusy if is_limit else ExchangeUnavailable
        error = kind(_joined(f"{url} answers {status}", hint))
        error.kind, error.retry_after = failure.kind, failure.retry_after
        return error


def _joined(what: str, hint: str | None) -> str:
    return what if hint is None else f"{what}; {hint}"
