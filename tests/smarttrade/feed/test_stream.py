"""The stream actor beside an exchange that follows a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock
from wsproto.events import Ping

from smarttrade.binance.limits import CONNECTION_PERIOD
from smarttrade.binance.streams import stream_name
from smarttrade.feed.budgets import AttemptBudget
from smarttrade.feed.stream import (
    FIRST_HEALTH_INTERVAL,
    HEALTH_INTERVAL,
    LISTING_INTERVAL,
    START_TIMEOUT,
)
from smarttrade.feed.stream_connection import SUBSCRIBE_TIMEOUT
from smarttrade.feed.stream_shard import HEALTHY_AFTER, RECONNECT_BACKOFF
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.feed import Feed
from smarttrade.store.messages import FindMissing
from tests.fakes.exchange_streams import (
    BTC,
    ETH,
    MINUTE,
    SHUTDOWN,
    Behaviour,
    Peer,
    closing,
    kline,
    listening,
    refusing,
    resetting,
    sending,
    silent,
    vanishing,
)
from tests.fakes.running_stream import (
    MAIN,
    SPARE,
    sending_updates,
)
from tests.smarttrade.feed.unwatched_stream import calm, unwatched_stream

# Candles


async def test_updates_reach_the_store_in_order(autojump_clock: MockClock) -> None:
    texts = [
        kline(BTC, 0, 1.0),
        kline(ETH, 0, 5.0),
        kline(BTC, 0, 2.0, closed=True, event_time=MINUTE),
        kline(ETH, 0, 6.0, closed=True, event_time=MINUTE),
        kline(BTC, MINUTE, 3.0),
    ]
    async with unwatched_stream(sending(*texts), series=[BTC, ETH]) as feed:
        await trio.sleep(1)
    assert [(series, c.open_time, c.close) for series, c in feed.store.updates] == [
        (BTC, 0, 1.0),
        (ETH, 0, 5.0),
        (BTC, 0, 2.0),
        (ETH, 0, 6.0),
        (BTC, MINUTE, 3.0),
    ]
    assert feed.counters.updates == 5


async def test_a_burst_is_handed_over_in_few_messages(autojump_clock: MockClock) -> None:
    texts = [kline(BTC, number * MINUTE, closed=True) for number in range(200)]
    async with unwatched_stream(sending(*texts)) as feed:
        await trio.sleep(1)
    assert feed.delivered == [(BTC, number * MINUTE, True) for number in range(200)]


# What is logged of the feed


def feed_states(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [each["state"] for each in logs if each["event"] == "feed"]


async def test_states_on_the_way_to_the_first_candle_are_not_logged(
    autojump_clock: MockClock,
) -> None:
    with capture_logs() as logs:
        async with unwatched_stream(sending_updates(until=20.0), refusing(503)):
            await trio.sleep(19)
            assert feed_states(logs) == ["live"]
            await trio.sleep(20)
    assert feed_states(logs) == ["live", "stale"]


async def test_start_without_an_exchange_is_logged(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with unwatched_stream(*[refusing(503)] * 9):
            await trio.sleep(START_TIMEOUT - 0.1)
            assert feed_states(logs) == []
            await trio.sleep(0.2)
            assert feed_states(logs) == ["down"]


# Connecting


async def test_what_is_connected_to(autojump_clock: MockClock) -> None:
    async with unwatched_stream(series=[BTC, ETH], endpoints=["ws://main.test:9443/"]) as feed:
        await calm()
    assert feed.exchange.dialled == [
        (0.0, "ws://main.test:9443/stream?streams=btcusdt@kline_1m/ethusdt@kline_1m")
    ]
    assert feed.counters.connects == 1


async def test_many_series_share_few_connections(autojump_clock: MockClock) -> None:
    """And what no URL holds is asked for, at most five messages a second, pongs included."""
    series = [
        Series(f"S{number}USDT", interval)
        for number in range(500)
        for interval in list(Interval)[1:6]
    ]

    async def pinging(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            await peer.accept()
            nursery.start_soon(peer.receive)
            for number in range(60):
                await peer.send(Ping(str(number).encode()))
                await trio.sleep(20)

    async with unwatched_stream(pinging, series=series) as feed:
        await trio.sleep(60)
    assert len(feed.exchange.peers) == 3
    asked: list[str] = []
    for peer in feed.exchange.peers:
        _, _, query = peer.url.partition("/stream?streams=")
        names = unquote(query).split("/")
        for _, request in peer.requests:
            assert request["method"] == "SUBSCRIBE"
            names += request["params"]
        assert len(names) <= 1024
        assert [request["id"] for _, request in peer.requests] == list(
            range(1, len(peer.requests) + 1)
        )
        received = [at for at, _ in peer.received]
        assert all(sum(at <= other < at + 1 for other in received) <= 5 for at in received)
        asked += names
    assert sorted(asked) == sorted(stream_name(each) for each in series)
    searched = {each for search in feed.store.searches for each in search.series}
    assert searched == set(series)


async def test_full_connection_is_subscribed_within_the_rate_limit(
    autojump_clock: MockClock,
) -> None:
    """Source: web-socket-streams.md, "WebSocket Limits": 1024 streams, 5 messages a second."""
    series = [Series(f"SOMELONGNAME{number:05}USDT", Interval.MINUTE_15) for number in range(1024)]
    async with unwatched_stream(series=series) as feed:
        await trio.sleep(10)
    [peer] = feed.exchange.peers
    times = [at for at, _ in peer.requests]
    assert len(times) >= 4
    assert all(other - one >= 1 / 5 for one, other in pairwise(times))
    names = [name for _, request in peer.requests for name in request["params"]]
    assert names == [stream_name(each) for each in series[-len(names) :]]


async def test_what_is_lacking_is_looked_for_after_every_connect(
    autojump_clock: MockClock,
) -> None:
    async with unwatched_stream(resetting(5), resetting(5), listening) as feed:
        await trio.sleep(60)
    assert feed.store.searches == [FindMissing((BTC,))] * 3
    assert feed.store.times(FindMissing) == feed.exchange.times


def assert_growing_pauses(ended: Sequence[float], began: Sequence[float]) -> None:
    """Each pause between half of its longest and its longest."""
    for number, (end, begin) in enumerate(zip(ended, began, strict=True), start=1):
        longest = RECONNECT_BACKOFF.pause(number, 1.0)
        assert longest * (1 - RECONNECT_BACKOFF.jitter) <= round(begin - end, 6) <= longest


async def test_pauses_grow_while_no_host_answers(autojump_clock: MockClock) -> None:
    async with unwatched_stream() as feed:
        feed.exchange.dial_fails = ConnectionRefusedError("refused")
        await trio.sleep(600)
    times = feed.exchange.times
    assert_growing_pauses(times[:5], times[1:6])
    assert len(times) > 600 / (2 * RECONNECT_BACKOFF.max_pause)
    assert feed.counters.failures == len(times)
    assert feed.counters.connects == 0


async def test_pauses_are_left_to_chance(autojump_clock: MockClock) -> None:
    """Else many programs that failed together would come back together."""
    pauses = set()
    for _ in range(5):
        async with unwatched_stream(resetting(1)) as feed:
            await trio.sleep(2)
        pauses.add(feed.exchange.times[1] - feed.exchange.times[0])
    assert len(pauses) > 1


async def test_connection_that_was_healthy_is_replaced_at_once(autojump_clock: MockClock) -> None:
    lasting = HEALTHY_AFTER + 1
    script = [resetting(1)] * 6 + [resetting(lasting)]
    async with unwatched_stream(*script) as feed:
        await trio.sleep(300)
    times = feed.exchange.times
    last = 6 + 1
    assert 0 < times[last] - times[last - 1] - lasting <= RECONNECT_BACKOFF.first
    assert_growing_pauses([at + 1 for at in times[:6]], times[1:7])


async def test_other_endpoint_is_tried_when_one_does_not_open(autojump_clock: MockClock) -> None:
    """And once it has opened, it is kept, however it ends."""
    script = [silent, refusing(451), resetting(5), refusing(503), resetting(5), listening]
    async with unwatched_stream(*script) as feed:
        await trio.sleep(120)
    hosts = [url.partition("/stream")[0] for _, url in feed.exchange.dialled]
    assert hosts == [MAIN, SPARE, MAIN, MAIN, SPARE, SPARE]


async def test_nothing_is_sent_for_as_long_as_the_exchange_asks(autojump_clock: MockClock) -> None:
    async with unwatched_stream(refusing(429, [(b"Retry-After", b"77")]), listening) as feed:
        await trio.sleep(100)
    assert feed.exchange.times == [0.0, 77.0]


async def test_half_open_connection_is_replaced(autojump_clock: MockClock) -> None:
    async with unwatched_stream(vanishing(5), sending(kline())) as feed:
        await trio.sleep(60)
    assert len(feed.exchange.times) == 2
    assert 30 < feed.exchange.times[1] <= 30 + RECONNECT_BACKOFF.first
    assert feed.delivered == [(BTC, 0, False)]


@pytest.mark.parametrize("notice", [SHUTDOWN, '{"e":"serverShutdown","E":1770123456789}'])
async def test_announced_end_leads_to_another_connection_at_once(
    notice: str, autojump_clock: MockClock
) -> None:
    async def ending(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(7)
        await peer.send_text(kline(BTC, 0))
        await peer.send_text(notice)
        await peer.receive()

    async with unwatched_stream(ending, sending(kline(BTC, MINUTE))) as feed:
        await trio.sleep(60)
    assert feed.exchange.times == [0.0, 7.0]
    assert feed.delivered == [(BTC, 0, False), (BTC, MINUTE, False)]
    assert len(feed.store.searches) == 1  # the next one was there before this one went
    assert feed.counters.failures == 0
    assert feed.counters.rotations == 1


STORMS: dict[str, Behaviour] = {
    "shutdown": sending(SHUTDOWN),
    "closing": closing(),
    "reset": resetting(),
    "refusing": refusing(503),
}


@pytest.mark.parametrize("behaviour", STORMS.values(), ids=STORMS.keys())
async def test_attempts_stay_within_their_budget(
    behaviour: Behaviour, autojump_clock: MockClock
) -> None:
    """Whatever the exchange does to three connections, and over restarts of the actor."""
    series = [Series(f"S{number}USDT", Interval.MINUTE_1) for number in range(2500)]
    attempts = AttemptBudget(20, CONNECTION_PERIOD)
    times: list[float] = []
    for _ in range(2):
        async with unwatched_stream(behaviour, series=series, attempts=attempts) as feed:
            await trio.sleep(350)
        times += feed.exchange.times
    assert len(times) >= 20
    assert all(sum(at <= other < at + CONNECTION_PERIOD for other in times) <= 20 for at in times)


async def test_lost_connection_is_no_failure_of_the_actor(autojump_clock: MockClock) -> None:
    script = [silent, closing(), resetting(1), refusing(503), sending("{"), vanishing(0), listening]
    async with unwatched_stream(*script) as feed:
        await trio.sleep(300)
        assert len(feed.exchange.open) == 1


async def test_series_that_is_listed_later_gets_a_connection(autojump_clock: MockClock) -> None:
    async with unwatched_stream(sending(kline(BTC)), sending(kline(ETH))) as feed:
        await trio.sleep(60)
        assert len(feed.exchange.times) == 1
        feed.store.series = (BTC, ETH)
        await trio.sleep(LISTING_INTERVAL + 1)
        assert len(feed.exchange.open) == 2
    assert feed.delivered == [(BTC, 0, False), (ETH, 0, False)]


# What is not the exchange's


async def test_malformed_messages_are_counted_and_the_others_go_on(
    autojump_clock: MockClock,
) -> None:
    async def mumbling(peer: Peer) -> None:
        await peer.accept()
        for number in range(151):
            await peer.send_text("<html>")
            await peer.send_text(kline(ETH))
            await peer.send_text(kline(BTC, number * MINUTE))
            await trio.sleep(1)

    async with unwatched_stream(mumbling) as feed:
        await trio.sleep(150.5)
    assert feed.counters.malformed == 302
    assert len(feed.delivered) == feed.counters.updates == 151
    assert len(feed.exchange.times) == 1


MANY = [Series(f"SOMELONGNAME{number:05}USDT", Interval.MINUTE_15) for number in range(300)]
"""More than a URL holds."""


async def ignoring(peer: Peer) -> None:
    """Takes requests and never replies, as the exchange does with some."""
    await peer.accept()
    await peer.receive(confirm=False)


async def test_frequent_pings_delay_subscriptions_and_never_pongs(
    autojump_clock: MockClock,
) -> None:
    """Source: web-socket-streams.md, "WebSocket Limits": ping, pong and JSON each count."""

    async def pinging(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            await peer.accept()
            nursery.start_soon(peer.receive)
            for number in range(60):
                await peer.send(Ping(str(number).encode()))
                await trio.sleep(0.25)

    async with unwatched_stream(pinging, series=MANY) as feed:
        await trio.sleep(14)
    [peer] = feed.exchange.peers
    received = [at for at, _ in peer.received]
    assert all(sum(at <= other < at + 1 for other in received) <= 5 for at in received)
    assert [at for at, _ in peer.requests] == [0.0, 1.0]
    assert [at for at, _ in peer.pongs][:8] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
    assert feed.counters.connects == 1


async def test_request_without_reply_ends_the_connection(autojump_clock: MockClock) -> None:
    async with unwatched_stream(ignoring, listening, series=MANY) as feed:
        await trio.sleep(SUBSCRIBE_TIMEOUT - 0.1)
        assert feed.counters.connects == feed.counters.failures == 0
        await trio.sleep(5)
    assert (feed.counters.failures, feed.counters.connects) == (1, 1)
    assert 0 <= feed.exchange.times[1] - SUBSCRIBE_TIMEOUT <= RECONNECT_BACKOFF.first


async def test_next_request_waits_for_the_reply_to_the_one_before(
    autojump_clock: MockClock,
) -> None:
    async def slow(peer: Peer) -> None:
        await peer.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(peer.receive, confirm=False))
            for number in range(1, 10):
                await trio.sleep(3)
                await peer.send_text(f'{{"result":null,"id":{number}}}')

    async with unwatched_stream(slow, series=MANY) as feed:
        await trio.sleep(60)
    [peer] = feed.exchange.peers
    times = [at for at, _ in peer.requests]
    assert times == [3.0 * number for number in range(len(times))]
    assert len(times) == 2


async def test_updates_are_taken_while_a_reply_is_awaited(autojump_clock: MockClock) -> None:
    async def trading(peer: Peer) -> None:
        await peer.accept()
        await peer.send_text(kline(MANY[0]))
        await peer.receive()

    async with unwatched_stream(trading, series=MANY) as feed:
        await trio.sleep(60)
    assert feed.delivered == [(MANY[0], 0, False)]
    assert feed.counters.failures == 0


async def test_refused_subscription_ends_the_connection(autojump_clock: MockClock) -> None:
    refusal = '{"error":{"code":2,"msg":"Invalid request"},"id":1}'
    async with unwatched_stream(sending(refusal), sending(kline())) as feed:
        await trio.sleep(5)
    assert feed.counters.failures == 1
    assert feed.delivered == [(BTC, 0, False)]
    assert feed.counters.malformed == 0


# How the feed is


async def test_feed_is_reported_when_it_changes(autojump_clock: MockClock) -> None:
    async def live(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(3.5)
        for _ in range(5):
            await peer.send_text(kline())
            await trio.sleep(2)
        await trio.sleep(15)
        await peer.send_text(kline())
        await trio.sleep(1.6)
        peer.stream.reset()

    async with unwatched_stream(live, silent) as feed:
        await trio.sleep(60)
    # Candles came from 3.5 to 11.5 and at 28.5, the end at 30.1.
    happened = [
        (0.0, Feed.DOWN, FIRST_HEALTH_INTERVAL),
        (0.0, Feed.STALE, FIRST_HEALTH_INTERVAL),
        (3.5, Feed.LIVE, FIRST_HEALTH_INTERVAL),
        (21.5, Feed.STALE, HEALTH_INTERVAL),
        (28.5, Feed.LIVE, HEALTH_INTERVAL),
        (30.1, Feed.DOWN, HEALTH_INTERVAL),
    ]
    assert [state for _, state in feed.store.feeds] == [state for _, state, _ in happened]
    for (at, _), (since, _, within) in zip(feed.store.feeds, happened, strict=True):
        assert 0 <= at - since < within + 1e-6


async def test_feed_status_has_the_time_of_the_wall_clock(autojump_clock: MockClock) -> None:
    async with unwatched_stream(silent) as feed:
        await trio.sleep(1.5)
    [(at, message)] = [
        (at, message)
        for at, message in feed.store.messages
        if type(message).__name__ == "ReportFeed"
    ]
    assert message.status.since == 1000 + at  # type: ignore[union-attr]


async def test_one_shard_of_several_down_is_stale(autojump_clock: MockClock) -> None:
    series = [Series(f"S{number}USDT", Interval.MINUTE_1) for number in range(2000)]

    async def live(peer: Peer) -> None:
        await peer.accept()
        own = series[0] if stream_name(series[0]) in peer.url else series[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.receive)
            while True:
                await trio.sleep(2)
                await peer.send_text(kline(own))

    async with unwatched_stream(live, live, silent, series=series) as feed:
        await trio.sleep(20)
        feed.exchange.peers[0].stream.reset()
        await trio.sleep(10)
    assert [state for _, state in feed.store.feeds] == [
        Feed.DOWN,
        Feed.LIVE,
        Feed.STALE,
    ]
    times = [at for at, _ in feed.store.feeds]
    assert all(other - one >= FIRST_HEALTH_INTERVAL for one, other in pairwise(times))
