"""From the stream to the client: stalled series are found, quiet ones are left alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from smarttrade.feed.stall_detector import CONNECTION_TIMEOUT, DELIVERY_GRACE, SYMBOL_TIMEOUT
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from tests.fakes.exchange_rest import ReceivedRequest, candle
from tests.fakes.exchange_streams import BTC, ETH
from tests.fakes.running_stream import MAIN, SPARE, RunningStream, running_stream, sending_updates
from tests.fakes.service import ReconnectingClient, World, running

BTC_5M = Series("BTCUSDT", Interval.MINUTE_5)
CHECK = 3.0  # seconds: a little more than the interval of checks


def trading(feed: RunningStream, *series: Series) -> None:
    """The exchange's history grows with time, as it does while there are trades."""

    def grow(asked: ReceivedRequest) -> None:
        if asked.series in series:
            volume = 1.0 + trio.current_time()
            feed.history.history[asked.series] = [candle(0, closed=False)._replace(volume=volume)]

    feed.history.before = grow


def keep_quiet(feed: RunningStream, *series: Series) -> None:
    for each in series:
        feed.history.history[each] = [candle(0, closed=False)._replace(volume=1.0)]


async def test_stalled_series_leads_to_another_connection(
    autojump_clock: MockClock,
) -> None:
    series = [BTC, BTC_5M, ETH]
    async with running_stream(
        sending_updates(BTC, ETH), sending_updates(*series), series=series, watched=False
    ) as feed:
        trading(feed, *series)
        await trio.sleep(120)
        hosts = [url.partition("/stream")[0] for _, url in feed.exchange.dialled]
        assert hosts == [MAIN, SPARE]
        assert feed.exchange.times[1] < SYMBOL_TIMEOUT + DELIVERY_GRACE + 2 * CHECK
        assert len(feed.exchange.open) == 1
    assert feed.counters.stalled == 1
    assert feed.counters.rotations == 1
    times = [at for at, update in feed.store.messages if type(update).__name__ == "PutUpdates"]
    assert all(later - earlier < 2.5 for earlier, later in pairwise(times))  # the others went on


async def test_connection_that_stops_delivering_is_replaced(autojump_clock: MockClock) -> None:
    async with running_stream(
        sending_updates(BTC, until=20), sending_updates(BTC), watched=False
    ) as feed:
        trading(feed, BTC)
        await trio.sleep(120)
        assert len(feed.exchange.open) == 1
    assert len(feed.exchange.times) == 2
    assert feed.exchange.times[1] < 20 + CONNECTION_TIMEOUT + DELIVERY_GRACE + 2 * CHECK


async def test_quiet_symbol_keeps_its_connection(autojump_clock: MockClock) -> None:
    """Others trade; it does not, for an hour."""
    async with running_stream(sending_updates(BTC), series=[BTC, ETH], watched=False) as feed:
        keep_quiet(feed, ETH)
        trading(feed, BTC)
        await trio.sleep(3600)
    assert len(feed.exchange.times) == 1
    assert feed.counters.stalled == 0
    assert len(feed.history.requests_for(ETH)) < 15


async def test_night_without_any_trades(autojump_clock: MockClock) -> None:
    async with running_stream(
        sending_updates(BTC, until=10), series=[BTC, ETH], watched=False
    ) as feed:
        keep_quiet(feed, BTC, ETH)
        feed.history.history[BTC] = [candle(0, closed=False)._replace(volume=9.0)]
        await trio.sleep(3600)
    assert len(feed.exchange.times) == 1
    assert len(feed.history.requests) < 40


async def test_connections_to_an_exchange_that_does_not_deliver_become_rare(
    autojump_clock: MockClock,
) -> None:
    """REST brings what there is meanwhile, and nearly as fast."""
    async with running_stream(sending_updates(BTC), series=[BTC, BTC_5M], watched=False) as feed:
        trading(feed, BTC, BTC_5M)
        await trio.sleep(3600)
        assert len(feed.exchange.open) == 1
    assert len(feed.exchange.times) < 15
    read = [
        at
        for at, message in feed.store.messages
        if type(message).__name__ == "PutHistory" and at > 60
    ]
    assert max(later - earlier for earlier, later in pairwise(read)) < 25
    assert len(feed.history.requests_for(BTC_5M)) * 2 < 60 * 20  # weight in the hour


async def test_suspect_that_rest_does_not_confirm_keeps_its_connection(
    autojump_clock: MockClock,
) -> None:
    """While REST is away nothing is proven, so nothing is torn down."""
    async with running_stream(sending_updates(BTC), series=[BTC, BTC_5M], watched=False) as feed:
        await trio.sleep(600)
    assert len(feed.exchange.times) == 1


# The whole service


async def status_of(world: World, name: str) -> dict[str, Any]:
    answer = await world.http.get("/streaming/status")
    return next(
        each
        for each in answer.json()["per_symbol"]
        if f"{each['symbol']} {each['interval']}" == name
    )


async def test_stalled_series_is_reported_and_its_clients_still_get_every_candle(
    autojump_clock: MockClock,
) -> None:
    series = [Series("BTCUSDT", Interval.MINUTE_1), Series("BTCUSDT", Interval.MINUTE_5)]
    client = ReconnectingClient(series)
    with capture_logs():
        async with running(symbols=("BTCUSDT",)) as world, trio.open_nursery() as nursery:
            nursery.start_soon(client.run, world)
            await world.next_minute(1, plus=5)
            faults = world.exchange.faults
            faults.stall.on(frozenset({"btcusdt@kline_5m"}))
            faults.rest_status.on(503)
            await trio.sleep(40)
            assert not await world.is_ready()
            assert "says nothing" in str((await status_of(world, "BTCUSDT 5m"))["status"])
            assert (await status_of(world, "BTCUSDT 1m"))["status"] == "ok"
            faults.rest_status.off()
            await trio.sleep(40)
            assert await world.is_ready()  # read over REST
            age = (await status_of(world, "BTCUSDT 5m"))["age"]
            assert isinstance(age, float)
            assert age < 25
            faults.stall.off()
            await world.next_minute(6)
            assert [f for one in series for f in world.compare(one, client.charts)] == []
            assert [client.charts.by_series[one].corrections for one in series] == [0, 0]
            nursery.cancel_scope.cancel()


async def test_suspect_of_which_the_exchange_has_no_candle_proves_nothing(
    autojump_clock: MockClock,
) -> None:
    async with running_stream(sending_updates(BTC), series=[BTC, BTC_5M], watched=False) as feed:
        keep_quiet(feed, BTC)
        feed.history.history[BTC_5M] = []
        await trio.sleep(600)
        assert feed.history.requests_for(BTC_5M)
        assert all(put.series == BTC for put in feed.store.history)
    assert len(feed.exchange.times) == 1
    assert feed.counters.stalled == 0
