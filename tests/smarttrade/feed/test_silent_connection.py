"""A connection that is open, answers pings and delivers nothing, while REST cannot show it."""

from __future__ import annotations

import httpx
import pytest
import trio
from trio.testing import MockClock

from smarttrade.feed.rest import REQUEST_TIMEOUT
from smarttrade.feed.stall_detector import MAX_SUSPECTS, UNCONFIRMED_TIMEOUT
from smarttrade.feed.stall_watch import CONFIRM_TIMEOUT
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from tests.fakes.exchange_streams import listening, refusing
from tests.fakes.running_stream import EVERY, MAIN, SPARE, running_stream, sending_updates


async def test_other_host_is_used_although_rest_does_not_answer(autojump_clock: MockClock) -> None:
    async with running_stream(sending_updates(until=10), sending_updates()) as feed:
        feed.history.before = lambda _: httpx.Response(503)
        await trio.sleep(10 + UNCONFIRMED_TIMEOUT + 60)
        hosts = [url.partition("/stream")[0] for _, url in feed.exchange.dialled]
        assert hosts == [MAIN, SPARE]
        assert feed.exchange.times[1] <= 10 + UNCONFIRMED_TIMEOUT + 30


async def test_how_long_it_is_kept_does_not_depend_on_how_many_series_it_has(
    autojump_clock: MockClock,
) -> None:
    """Each is read over REST, whose refusals take long; all together take no longer than one."""

    async def refusing_slowly(_: httpx.Request) -> httpx.Response:
        await trio.sleep(REQUEST_TIMEOUT - 1)
        return httpx.Response(503)

    series = [Series("BTCUSDT", interval) for interval in list(Interval)[: 2 * MAX_SUSPECTS]]
    async with running_stream(
        sending_updates(*series, until=10), sending_updates(*series), series=series
    ) as feed:
        feed.history.hosts["api.exchange.test"] = refusing_slowly
        await trio.sleep(10 + UNCONFIRMED_TIMEOUT + 120)
        assert feed.exchange.times[1] <= 10 + UNCONFIRMED_TIMEOUT + CONFIRM_TIMEOUT + 2 * EVERY


async def test_it_is_kept_while_rest_shows_that_nothing_is_traded(
    autojump_clock: MockClock,
) -> None:
    async with running_stream(listening) as feed:
        await trio.sleep(600)
        assert len(feed.exchange.dialled) == 1


@pytest.mark.parametrize("status", [429, 418, 403])
async def test_refused_handshakes_without_a_pause_are_not_repeated_at_once(
    status: int, autojump_clock: MockClock
) -> None:
    """At most one a minute and host, and fewer of what each request prolongs."""
    async with running_stream(refusing(status), endpoints=[MAIN]) as feed:
        await trio.sleep(3600)
    most = {429: 61, 418: 13, 403: 6}
    assert len(feed.exchange.times) <= most[status]


async def test_other_host_is_used_when_a_proxy_asks_for_an_hour(autojump_clock: MockClock) -> None:
    """`Retry-After` belongs to 429 and 418; on another status it is bounded, for that host only."""
    refused = refusing(502, [(b"Retry-After", b"3600")])
    async with running_stream(refused, sending_updates()) as feed:
        await trio.sleep(30)
    hosts = [url.partition("/stream")[0] for _, url in feed.exchange.dialled]
    assert hosts == [MAIN, SPARE]
