"""The stream actor beside a store that takes long for each message."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock
from wsproto.events import Ping

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.messages import FindMissing
from tests.fakes.exchange_streams import (
    MINUTE,
    Behaviour,
    Peer,
    resetting,
)
from tests.fakes.running_stream import (
    RunningStream,
)
from tests.smarttrade.feed.unwatched_stream import state, unwatched_stream

HUNDRED = [Series(f"S{number}USDT", Interval.MINUTE_1) for number in range(100)]


def market(begin: int, end: int) -> Behaviour:
    """Every second a state of every series from `begin` to `end` (seconds), and a ping now and then."""

    async def live(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            await peer.accept()
            nursery.start_soon(peer.receive)
            while (second := int(trio.current_time())) <= end:
                if second % 20 == 0:
                    await peer.send(Ping(str(second).encode()))
                for series in HUNDRED if second >= begin else []:
                    await peer.send_text(state(series, second))
                await trio.sleep(1)

    return live


def finals(feed: RunningStream) -> set[tuple[Series, int]]:
    return {(series, open_time) for series, open_time, closed in feed.delivered if closed}


def assert_ordered(feed: RunningStream) -> None:
    newest: dict[Series, tuple[int, int]] = {}
    for series, c in feed.store.updates:
        key = (c.open_time, c.event_time)
        assert key > newest.get(series, (0, 0))
        newest[series] = key


async def test_store_that_is_busy_for_two_minutes_costs_no_final_state(
    autojump_clock: MockClock,
) -> None:
    """Nor the connection: the exchange's pings are answered meanwhile."""
    async with unwatched_stream(market(0, 190), series=HUNDRED) as feed:
        await trio.sleep(5.5)
        feed.store.pause()
        await trio.sleep(125)
        feed.store.resume()
        await trio.sleep(60)
    assert finals(feed) == {(series, m * MINUTE) for series in HUNDRED for m in (0, 1, 2)}
    assert_ordered(feed)
    assert feed.counters.updates == 191 * 100
    assert len(feed.store.updates) < feed.counters.updates  # states between were skipped
    [peer] = feed.exchange.peers
    assert [at for at, _ in peer.pongs] == [0, 20, 40, 60, 80, 100, 120, 140, 160, 180]


async def test_store_that_is_busy_while_we_connect_costs_no_final_state(
    autojump_clock: MockClock,
) -> None:
    async with unwatched_stream(resetting(5), market(0, 130), series=HUNDRED) as feed:
        await trio.sleep(1)
        feed.store.pause()
        while feed.store.mailbox.depth < feed.store.mailbox.capacity:
            await feed.store.mailbox.tell(FindMissing(()))
        await trio.sleep(75)
        feed.store.resume()
        await trio.sleep(60)
    assert finals(feed) == {(series, m * MINUTE) for series in HUNDRED for m in (0, 1)}
    assert_ordered(feed)
    assert len(feed.exchange.peers) == 2
    assert [at for at, _ in feed.exchange.peers[1].pongs][-5:] == pytest.approx(
        [40, 60, 80, 100, 120], abs=1
    )
    assert feed.store.searches[-1] == FindMissing(tuple(HUNDRED))


async def test_store_that_is_busy_after_a_burst_costs_no_final_state(
    autojump_clock: MockClock,
) -> None:
    """However many states came before it, and although some come late, as on a second connection."""

    async def live(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(10)
        for second in range(45):
            for series in HUNDRED:
                await peer.send_text(state(series, second))
        await trio.sleep(20)
        for second in (59, 58, 60, 61, 62, 63):
            for series in HUNDRED:
                await peer.send_text(state(series, second))

    async def pinging(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(live, peer)
            await trio.sleep(1)
            nursery.start_soon(peer.receive)
            for payload in (b"1", b"2", b"3"):
                await trio.sleep(19.5)
                await peer.send(Ping(payload))

    async with unwatched_stream(pinging, series=HUNDRED) as feed:
        await trio.sleep(5)
        feed.store.pause()
        while feed.store.mailbox.depth < feed.store.mailbox.capacity:
            await feed.store.mailbox.tell(FindMissing(()))
        await trio.sleep(60)
        feed.store.resume()
        await trio.sleep(5)
    assert finals(feed) == {(series, 0) for series in HUNDRED}
    newest = {series: c.event_time for series, c in feed.store.updates}
    assert newest == dict.fromkeys(HUNDRED, 63_001)
    [peer] = feed.exchange.peers
    assert peer.pongs == [(20.5, b"1"), (40.0, b"2"), (59.5, b"3")]
