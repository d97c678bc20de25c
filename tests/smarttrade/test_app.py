"""The whole tree against the simulated exchange, in virtual time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from actors import Fatal
from smarttrade.binance.wire import BinanceDecoder
from smarttrade.feed.errors import NoSymbolLeft
from smarttrade.feed.rest import RestClient
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.session.hub import Hub
from smarttrade.simulator import Cut
from smarttrade.store.memory import MemoryStore
from smarttrade.web.front_end import CannotServe
from tests.fakes.memory_net import MemoryListener, websocket_over
from tests.fakes.service import FailOnce, ReconnectingClient, World, running, world

SERIES = [
    Series(symbol, interval)
    for symbol in ("BTCUSDT", "ETHUSDT")
    for interval in (Interval.MINUTE_1, Interval.MINUTE_5)
]
BTC = SERIES[0]


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Crashes on purpose are logged as what they are."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    actors_logger = logging.getLogger("actors")
    actors_logger.disabled = True
    yield
    actors_logger.disabled = False
    structlog.reset_defaults()


def faults_of(world: World, client: ReconnectingClient) -> list[str]:
    assert set(client.charts.by_series) == set(client.series)
    return [fault for one in client.series for fault in world.compare(one, client.charts)]


async def test_starts_becomes_ready_and_has_what_the_exchange_has(
    autojump_clock: MockClock,
) -> None:
    async with world() as made, trio.open_nursery() as nursery:
        await nursery.start(made.service.run)
        assert (await made.http.get("/health")).status_code == 200
        assert (await made.http.get("/ready")).status_code == 503
        assert await made.ready() < 5
        assert await made.differences() == []
        assert made.progress[-1] == (4, 4)
        tree = (await made.http.get("/system")).json()
        made.service.stop()
    assert [child["name"] for child in tree["children"]] == ["store", "hub", "feed", "web", "loop"]
    assert made.counters.server.failed == 0


async def test_minutes_close_at_clients_and_in_every_window(autojump_clock: MockClock) -> None:
    client = ReconnectingClient(SERIES)
    async with running() as made, trio.open_nursery() as nursery:
        nursery.start_soon(client.run, made)
        await made.next_minute(7)
        assert await made.differences() == []
        assert faults_of(made, client) == []
        minutes = client.charts.by_series[BTC].closes
        assert len(minutes) == 7
        assert client.charts.by_series[BTC].updates > 7 * 25  # one every two seconds
        assert client.charts.by_series[BTC].corrections == 0
        assert len(client.charts.by_series[SERIES[1]].closes) == 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["rst", "close"])
async def test_stream_that_is_cut_for_five_minutes_leaves_no_trace(
    how: Any, autojump_clock: MockClock
) -> None:
    client = ReconnectingClient(SERIES)
    async with running() as made, trio.open_nursery() as nursery:
        nursery.start_soon(client.run, made)
        await made.next_minute(2, plus=20)
        made.exchange.faults.refuse.on(True, 300)
        Cut(how, "all").apply(made.exchange)
        await trio.sleep(60)
        assert not await made.is_ready()
        await trio.sleep(240)
        assert await made.ready() < 40  # the longest pause between two attempts, and some
        await made.next_minute()
        assert await made.differences() == []
        assert faults_of(made, client) == []
        chart = client.charts.by_series[BTC]
        assert client.connects == 1
        assert chart.snapshots == 1
        assert chart.closes == list(range(chart.closes[0], chart.closes[-1] + 60, 60))
        assert len(chart.closes) >= 8
        feeds = [one["feed"] for one in client.charts.others if one["type"] == "status"]
        assert feeds[0] == feeds[-1] == "live"
        assert "down" in feeds
        nursery.cancel_scope.cancel()


async def test_stream_that_is_cut_alone_costs_nothing_while_rest_answers(
    autojump_clock: MockClock,
) -> None:
    client = ReconnectingClient(SERIES)
    async with running() as made, trio.open_nursery() as nursery:
        nursery.start_soon(client.run, made)
        await made.next_minute(1, plus=20)
        made.exchange.faults.handshake_status.on(503, 300)
        Cut("rst").apply(made.exchange)
        await trio.sleep(240)
        # Each minute is read 15 s after its end, so the last one may be on its way.
        behind = made.exchange.now() // 1000 - client.charts.by_series[BTC].newest_closed
        assert behind < 60 + 60 + 20
        await trio.sleep(60)
        await made.ready()
        await made.next_minute()
        assert await made.differences() == []
        assert faults_of(made, client) == []
        nursery.cancel_scope.cancel()


CRASHES = {
    "store": (MemoryStore, "put_updates"),
    "hub": (Hub, "steps"),
    "stream": (BinanceDecoder, "decode"),
    "backfill": (RestClient, "klines"),
    "web": (MemoryListener, "accept"),
}


def crash_once(monkeypatch: pytest.MonkeyPatch, actor: str) -> FailOnce:
    """An actor that crashes on its next work when the result `fails`."""
    owner, name = CRASHES[actor]
    original, failing = getattr(owner, name), FailOnce()

    def instead(*arguments: Any, **options: Any) -> Any:
        failing.check()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, instead)
    return failing


@pytest.mark.parametrize("actor", sorted(CRASHES))
async def test_crash_of_one_actor_is_survived_and_leaves_no_trace(
    actor: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    failing = crash_once(monkeypatch, actor)
    client = ReconnectingClient(SERIES)
    async with running() as made, trio.open_nursery() as nursery:
        nursery.start_soon(client.run, made)
        await made.next_minute(2, plus=5)
        failing.fails = True
        if actor == "backfill":
            Cut("rst").apply(made.exchange)  # so that it has something to do
        elif actor == "web":
            (await made.connect()).cut()
        await made.next_minute(3)
        assert not failing.fails
        await made.ready()
        assert made.actors[actor].restarts == 1
        assert "injected failure" in (made.actors[actor].last_error or "")
        assert made.actors["service"].state.value == "running"
        assert await made.differences() == []
        assert faults_of(made, client) == []
        assert client.connects == (2 if actor in ("store", "hub", "web") else 1)
        nursery.cancel_scope.cancel()


async def test_dial_that_fails_unexpectedly_restarts_the_stream(autojump_clock: MockClock) -> None:
    async with running() as made:
        made.dial_failure.fails = True
        Cut("rst").apply(made.exchange)
        await made.next_minute()
        assert made.actors["stream"].restarts == 1
        await made.ready()
        assert await made.differences() == []


async def test_client_that_was_away_ends_up_with_what_one_that_stayed_has(
    autojump_clock: MockClock,
) -> None:
    stayed, away = ReconnectingClient(SERIES), ReconnectingClient(SERIES)
    async with running() as made, trio.open_nursery() as nursery:
        nursery.start_soon(stayed.run, made)
        for _ in range(3):
            with trio.move_on_after(95):
                await away.run(made)
            await trio.sleep(130)
        async with trio.open_nursery() as once_more:
            once_more.start_soon(away.run, made)
            await made.next_minute()
            assert faults_of(made, stayed) == faults_of(made, away) == []
            for series in SERIES:
                one, other = stayed.charts.by_series[series], away.charts.by_series[series]
                assert one.candles == other.candles
            once_more.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


# The end


async def test_stop_is_in_order_and_within_its_limits(autojump_clock: MockClock) -> None:
    client = ReconnectingClient(SERIES)
    async with world(stop_timeout=5) as made, trio.open_nursery() as clients:
        async with trio.open_nursery() as nursery:
            await nursery.start(made.service.run)
            await made.ready()
            clients.start_soon(client.run, made)
            deaf = await made.connect()  # says half a request and then nothing
            await deaf.send_all(b"GET /health HTTP/1.1\r\n")
            await trio.sleep(5)
            began = trio.current_time()
            made.service.stop()
        assert trio.current_time() - began < 10
        assert client.codes == [1001]
        assert made.listeners[-1].is_closed
        assert {info.state.value for info in made.actors.values()} == {"stopped"}
        assert made.exchange.connections.streams == {}
        clients.cancel_scope.cancel()


async def test_stop_does_not_wait_for_clients_that_read_nothing(autojump_clock: MockClock) -> None:
    async with world(stop_timeout=5) as made, trio.open_nursery() as clients:
        async with trio.open_nursery() as nursery:
            await nursery.start(made.service.run)
            await made.ready()
            stream = await made.connect()
            async with websocket_over(lambda: _given(stream), "/ws/candles") as connection:
                stream.stop_reading()
                wanted = [
                    {"symbol": s.symbol, "interval": s.interval.value, "snapshot": 1000}
                    for s in SERIES
                ]
                await connection.send_message(str({"subscriptions": wanted}).replace("'", '"'))
                await trio.sleep(1)
                began = trio.current_time()
                made.service.stop()
                await until_stopped(made)
                assert trio.current_time() - began < 10
        clients.cancel_scope.cancel()


async def _given(stream: Any) -> Any:
    return stream


async def until_stopped(made: World) -> None:
    while made.actors["service"].state.value != "stopped":
        await trio.sleep(0.1)


async def test_stop_while_starting_is_a_stop(autojump_clock: MockClock) -> None:
    async with world() as made:
        made.exchange.faults.rest_hang.on(True)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                await nursery.start(made.service.run)
                await trio.sleep(1)
                made.service.stop()
        assert not await made.is_ready()


async def test_taken_port_is_fatal_at_once(autojump_clock: MockClock) -> None:
    async with world() as made:
        made.port_is_taken = True
        with trio.fail_after(20):
            with pytest.raises(Fatal) as caught:
                await made.service.run()
    assert isinstance(caught.value, CannotServe)
    assert "port 8000 is taken" in str(caught.value)
    assert made.actors["web"].restarts == 0


async def test_no_symbol_left_is_fatal_and_says_so(autojump_clock: MockClock) -> None:
    async with world(symbols=("NOPEUSDT", "MATICUSDT"), listed=["BTCUSDT"]) as made:
        with trio.fail_after(60):
            with pytest.raises(Fatal) as caught:
                await made.service.run()
    assert isinstance(caught.value, NoSymbolLeft)
    assert "NOPEUSDT, MATICUSDT" in str(caught.value)


async def test_symbol_that_is_not_listed_is_left_out_and_the_others_run(
    autojump_clock: MockClock,
) -> None:
    """One that is listed and does not trade is served with its history."""
    names = ("NOPEUSDT", "BTCUSDT", "MATICUSDT")
    async with running(symbols=names, listed=["BTCUSDT", "MATICUSDT"]) as made:
        symbols = (await made.http.get("/symbols")).json()["symbols"]
        missing = await made.http.get("/candles/NOPEUSDT/1m")
        halted = await made.http.get("/candles/MATICUSDT/1m")
        there = await made.http.get("/candles/BTCUSDT/1m")
        not_trading = (await made.http.get("/ready")).json()["symbols"]
    assert symbols == ["BTCUSDT", "MATICUSDT"]
    assert (missing.status_code, halted.status_code, there.status_code) == (404, 200, 200)
    assert [(one["symbol"], one["state"]) for one in not_trading] == [
        ("NOPEUSDT", "unknown"),
        ("MATICUSDT", "halted"),
    ]


async def test_exchange_that_is_away_at_the_start_is_waited_for(autojump_clock: MockClock) -> None:
    async with world() as made, trio.open_nursery() as nursery:
        made.exchange.faults.refuse.on(True, 120)
        await nursery.start(made.service.run)
        await trio.sleep(60)
        answer = await made.http.get("/candles/BTCUSDT/1m")
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
        assert await made.ready() < 120
        assert await made.differences() == []
        made.service.stop()
