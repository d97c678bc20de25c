"""A connection that is open, answers pings and delivers nothing, while REST cannot show it."""

from __future__ import annotations

import httpx
import pytest
import trio
from trio.testing import MockClock

from smarttrade.feed.stall_detector import UNCONFIRMED_TIMEOUT
from tests.fakes.exchange_streams import listening, refusing
from tests.fakes.running_stream import MAIN, SPARE, running_stream, sending_updates


async def test_other_host_is_used_although_rest_does_not_answer(autojump_clock: MockClock) -> None:
    async with running_stream(sending_updates(until=10), sending_updates()) as feed:
        feed.history.before = lambda _: httpx.Response(503)
        await trio.sleep(10 + UNCONFIRMED_TIMEOUT + 60)
        hosts = [url.partition("/stream")[0] for _, url in feed.exchange.dialled]
        assert hosts == [MAIN, SPARE]
        assert feed.exchange.times[1] <= 10 + UNCONFIRMED_TIMEOUT + 30


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
