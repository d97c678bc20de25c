"""One connection takes another's place: when, for how long there are two, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from smarttrade.binance.venue import BINANCE
from smarttrade.feed.stream_connection import MAX_MALFORMED, ROTATE_JITTER
from smarttrade.feed.stream_shard import DELIVERY_TIMEOUT, OVERLAP, RECONNECT_BACKOFF
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.messages import FindMissing
from tests.fakes.exchange_streams import (
    BTC,
    ETH,
    SHUTDOWN,
    Behaviour,
    Peer,
    closing_before_handshake,
    kline,
    listening,
    refusing,
    sending,
    silent,
)
from tests.fakes.running_stream import (
    EVERY,
    MAIN,
    SPARE,
    RunningStream,
    running_stream,
    sending_updates,
)

AGE = 400.0  # seconds
HOUR = 3600.0
SLACK = 0.3  # seconds: how exactly the fakes look


def shutting_down(after: float, *series: Series) -> Behaviour:
    """Sends updates, and announces its end, but goes on."""

    async def announce(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sending_updates(*series), peer)
            await trio.sleep(after)
            await peer.send_text(SHUTDOWN)

    return announce


def no_gap(feed: RunningStream) -> bool:
    """Whether the store never lacked updates for longer than the exchange's cadence."""
    times = [at for at, message in feed.store.messages if type(message).__name__ == "PutUpdates"]
    return all(later - earlier <= EVERY + SLACK for earlier, later in pairwise(times))


async def test_old_connection_is_replaced_without_a_gap(autojump_clock: MockClock) -> None:
    async with running_stream(sending_updates(), rotate_after=AGE) as feed:
        await trio.sleep(3.5 * AGE)
    began = feed.exchange.times
    assert len(began) == 4
    assert all(0.9 * AGE <= later - earlier <= AGE + 10 for earlier, later in pairwise(began))
    assert no_gap(feed)
    assert feed.counters.rotations == 3
    assert feed.counters.failures == 0
    assert feed.store.got(FindMissing) == [FindMissing((BTC,))]  # of the first connection
    assert len(feed.doubled()) == 3
    assert all(OVERLAP - SLACK <= each <= EVERY + OVERLAP + SLACK for each in feed.doubled())


@pytest.mark.slow
async def test_default_is_an_hour_of_jitter_at_23_hours(autojump_clock: MockClock) -> None:
    async with running_stream(listening, watched=False) as feed:
        await trio.sleep(24 * HOUR)
    assert len(feed.exchange.times) == 2
    assert 23 * HOUR - ROTATE_JITTER <= feed.exchange.times[1] <= 23 * HOUR


async def test_many_connections_do_not_rotate_at_the_same_moment(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(BINANCE), "limits", replace(BINANCE.limits, max_streams=1))
    series = [Series(f"S{number}USDT", Interval.MINUTE_1) for number in range(6)]
    async with running_stream(
        sending_updates(*series), series=series, rotate_after=AGE, watched=False
    ) as feed:
        await trio.sleep(AGE + 60)
    begun = sorted(feed.exchange.times[6:12])
    assert len(begun) == 6
    assert begun[-1] - begun[0] > AGE / 10 / 6
    assert len({round(at) for at in begun}) == 6


async def test_announced_end_leads_to_another_connection_before_it_comes(
    autojump_clock: MockClock,
) -> None:
    async with running_stream(shutting_down(7.0), sending_updates()) as feed:
        await trio.sleep(60)
        assert len(feed.exchange.open) == 1
    assert feed.exchange.times == [0.0, 7.0]
    assert no_gap(feed)
    assert feed.doubled() == [pytest.approx(OVERLAP, abs=SLACK)]
    assert feed.counters.rotations == 1
    assert len(feed.store.got(FindMissing)) == 1


async def test_new_connection_that_delivers_nothing_is_given_up_and_the_old_one_kept(
    autojump_clock: MockClock,
) -> None:
    """Until one delivers: the old one is due all the while."""
    script = [shutting_down(7.0), listening, listening, sending_updates()]
    async with running_stream(*script) as feed:
        await trio.sleep(120)
        assert len(feed.exchange.open) == 1
    assert len(feed.exchange.times) == 4
    assert no_gap(feed)
    assert feed.counters.rotations == 1
    assert all(each <= DELIVERY_TIMEOUT + OVERLAP + SLACK for each in feed.doubled())
    assert len(feed.store.got(FindMissing)) == 1


async def test_new_connection_may_deliver_nothing_when_the_old_one_does_not_either(
    autojump_clock: MockClock,
) -> None:
    """Without trades, too, one that is about to end is replaced."""

    async def ending(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(7)
        await peer.send_text(SHUTDOWN)
        await peer.receive()

    async with running_stream(ending, listening) as feed:
        await trio.sleep(40)
    assert feed.counters.rotations == 1
    assert feed.doubled() == [pytest.approx(DELIVERY_TIMEOUT + OVERLAP, abs=SLACK)]


@pytest.mark.parametrize("refusal", [refusing(503), closing_before_handshake])
async def test_old_connection_is_kept_while_no_other_opens(
    refusal: Behaviour, autojump_clock: MockClock
) -> None:
    async with running_stream(shutting_down(7.0), refusal, refusal, sending_updates()) as feed:
        await trio.sleep(60)
    assert len(feed.exchange.times) == 4
    assert no_gap(feed)
    assert len(feed.store.got(FindMissing)) == 1


async def test_connection_that_ends_while_another_opens_is_a_loss(
    autojump_clock: MockClock,
) -> None:
    """Neither has received what was sent in between."""

    async def ending(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(7)
        await peer.send_text(SHUTDOWN)
        await trio.sleep(2)
        peer.stream.reset()

    async with running_stream(ending, silent, sending_updates()) as feed:
        await trio.sleep(60)
    assert len(feed.store.got(FindMissing)) == 2


# Endpoints that are no exchange


REFUSALS = {
    451: "BINANCE_WS_URL may, or a proxy in HTTPS_PROXY",
    403: "BINANCE_WS_URL",
    404: "BINANCE_WS_URL",
    200: "BINANCE_WS_URL",
}


@pytest.mark.parametrize("status", REFUSALS)
async def test_refusal_of_a_place_leads_to_the_next_host_and_is_logged_with_a_hint(
    status: int, autojump_clock: MockClock
) -> None:
    with capture_logs() as logs:
        async with running_stream(refusing(status), sending_updates()) as feed:
            await trio.sleep(10)
    hosts = [url.partition("/stream")[0] for _, url in feed.exchange.dialled]
    assert hosts == [MAIN, SPARE]
    [logged] = [log for log in logs if log["event"] == "stream_down"]
    assert REFUSALS[status] in logged["hint"]


async def test_host_that_sends_only_malformed_messages_is_left(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with running_stream(sending(*["<html>"] * 100), sending_updates()) as feed:
            await trio.sleep(10)
    hosts = [url.partition("/stream")[0] for _, url in feed.exchange.dialled]
    assert hosts == [MAIN, SPARE]
    assert feed.counters.malformed == MAX_MALFORMED
    assert feed.store.updates
    [logged] = [log for log in logs if log["event"] == "stream_down"]
    assert "BINANCE_WS_URL" in logged["hint"]


async def test_malformed_messages_among_candles_are_skipped(
    autojump_clock: MockClock,
) -> None:
    texts = ["<html>"] * (MAX_MALFORMED - 1) + [kline()] + ["<html>"] * 100
    async with running_stream(sending(*texts)) as feed:
        await trio.sleep(10)
    assert len(feed.exchange.times) == 1


async def test_ban_stops_every_connection(autojump_clock: MockClock) -> None:
    """And an actor that is restarted: the time is kept with the counters."""
    series = [Series(f"S{number}USDT", Interval.MINUTE_1) for number in range(2500)]

    async def losing(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(5)
        peer.stream.reset()

    script = [losing, losing, losing, refusing(418, [(b"Retry-After", b"100")]), sending_updates()]
    async with running_stream(*script, series=series) as feed:
        await trio.sleep(200)
    times = feed.exchange.times
    later = [at for at in times if at > times[3]]
    banned_at = times[3]
    under_way = [at for at in later if at < banned_at + 1]
    assert len(under_way) <= 2
    assert all(at >= banned_at + 100 for at in later if at not in under_way)
    assert RECONNECT_BACKOFF.max_pause < 100


async def test_two_series_share_a_connection(autojump_clock: MockClock) -> None:
    async with running_stream(
        sending_updates(BTC, ETH), series=[BTC, ETH], rotate_after=AGE
    ) as feed:
        await trio.sleep(2.5 * AGE)
        assert len(feed.exchange.open) == 1
    assert {series for series, _ in feed.store.updates} == {BTC, ETH}
