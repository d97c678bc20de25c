"""The three Python clients against a real server that is restarted, frozen and refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from typing import Any, TypeVar

import pytest
import trio

from smarttrade_client import (
    Candle,
    CandleEvent,
    Client,
    Event,
    RequestFailed,
    ServerUnavailable,
    Status,
    SubscriptionRefused,
    to_csv,
)
from smarttrade_client.asyncio import AsyncioClient
from smarttrade_client.trio import TrioClient
from tests.browser.processes import Exchange, Service, eventually
from tests.fakes.ports import free_port

T = TypeVar("T")
Series = list[tuple[str, str]]
Collect = Callable[[str, Series, Callable[[list[Event]], bool]], list[Event]]
LIMIT = 60  # seconds


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Exchange(free_port()) as exchange, Service(free_port(), exchange) as service:
        yield service


def collect_sync(url: str, series: Series, done: Callable[[list[Event]], bool]) -> list[Event]:
    events: list[Event] = []
    with Client(url) as client, closing(client.follow(series, snapshot=3)) as following:
        for event in following:
            events.append(event)
            if done(events):
                return events
    raise AssertionError("it ended")


async def collect(client: Any, series: Series, done: Callable[[list[Event]], bool]) -> list[Event]:
    events: list[Event] = []
    async with client, client.follow(series, snapshot=3) as following:
        async for event in following:
            events.append(event)
            if done(events):
                break
    return events


def run_asyncio(coroutine: Coroutine[Any, Any, T]) -> T:
    """In a thread of its own: where a browser is open, this one has an event loop already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def collect_asyncio(url: str, series: Series, done: Callable[[list[Event]], bool]) -> list[Event]:
    async def main() -> list[Event]:
        async with asyncio.timeout(LIMIT):
            return await collect(AsyncioClient(url), series, done)

    return run_asyncio(main())


def collect_trio(url: str, series: Series, done: Callable[[list[Event]], bool]) -> list[Event]:
    async def main() -> list[Event]:
        with trio.fail_after(LIMIT):
            return await collect(TrioClient(url), series, done)

    return trio.run(main)


COLLECTS: list[Collect] = [collect_sync, collect_asyncio, collect_trio]
STYLES = pytest.mark.parametrize("collect", COLLECTS)


def candles(events: list[Event]) -> list[Candle]:
    return [event.candle for event in events if isinstance(event, CandleEvent)]


def collect_disturbed(
    service: Service, disturb: Callable[[], None], done: Callable[[list[Event]], bool]
) -> list[list[Event]]:
    """What clients of every style receive; `disturb` is called when each has some candles."""
    have_some: set[Collect] = set()

    def collect_one(collect: Collect) -> list[Event]:
        def is_done(events: list[Event]) -> bool:
            if len(candles(events)) > 20:
                have_some.add(collect)
            return done(events)

        return collect(service.url, [("BTCUSDT", "1m")], is_done)

    with ThreadPoolExecutor(len(COLLECTS)) as pool:
        found = [pool.submit(collect_one, each) for each in COLLECTS]
        eventually(lambda: len(have_some) == len(COLLECTS), "candles of every style")
        disturb()
        return [each.result() for each in found]


def test_follows_through_a_restart_without_a_gap(service: Service) -> None:
    def restart() -> None:
        service.stop()
        service.start()

    def done(events: list[Event]) -> bool:
        lost = [
            at for at, each in enumerate(events) if isinstance(each, Status) and not each.connected
        ]
        return bool(lost) and len(candles(events[lost[-1] :])) > 150

    for events in collect_disturbed(service, restart, done):
        closed = {each.time: each for each in candles(events) if each.closed}
        assert {after - before for before, after in pairwise(sorted(closed))} == {60}
        truth = {each["time"]: each["close"] for each in service.candles("BTCUSDT", "1m")}
        assert {at: each.close for at, each in closed.items()} == {at: truth[at] for at in closed}


@STYLES
def test_series_that_is_not_there_is_an_error(service: Service, collect: Collect) -> None:
    with pytest.raises((SubscriptionRefused, ExceptionGroup)) as raised:
        collect(service.url, [("NOPE", "1m")], lambda _: False)
    error = raised.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions  # from a nursery, for Trio
    assert isinstance(error, SubscriptionRefused)
    assert error.code == "unknown_symbol"


def test_error_of_a_trio_consumer_comes_alone(service: Service) -> None:
    """The connection, which waits to hand over its snapshot meanwhile, adds none of its own."""

    async def main() -> None:
        client = TrioClient(service.url)
        async with client, client.follow([("BTCUSDT", "1m")], snapshot=500) as events:
            async for _ in events:
                await trio.sleep(0.1)
                raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        trio.run(main)
    assert [type(each) for each in raised.value.exceptions] == [ZeroDivisionError]


@STYLES
def test_server_that_is_not_there_is_a_status_not_a_wait(collect: Collect) -> None:
    began = time.monotonic()
    events = collect(
        f"http://127.0.0.1:{free_port()}", [("BTCUSDT", "1m")], lambda all_: len(all_) == 2
    )
    assert all(isinstance(each, Status) and not each.connected and each.reason for each in events)
    assert time.monotonic() - began < 10


def test_server_that_freezes_is_lost_after_its_heartbeats(service: Service) -> None:
    frozen: list[float] = []

    def freeze() -> None:
        frozen.append(time.monotonic())
        service.freeze()

    def done(events: list[Event]) -> bool:
        return bool(frozen) and isinstance(events[-1], Status) and not events[-1].connected

    try:
        found = collect_disturbed(service, freeze, done)
        assert time.monotonic() - frozen[0] < 15  # heartbeats are 1 s here
    finally:
        service.thaw()
    for events in found:
        assert events[-1].reason  # type: ignore[union-attr]


def test_candles_of_each_style_are_those_of_the_server(service: Service) -> None:
    async def asked(client: Any) -> Any:
        async with client:
            page = await client.candles("ethusdt", "1D", limit=5)
            return page, await client.symbols(), await client.intervals()

    with Client(service.url) as client:
        sync = client.candles("ETHUSDT", "1d", limit=5), client.symbols(), client.intervals()
    others = [
        run_asyncio(asked(AsyncioClient(service.url))),
        trio.run(asked, TrioClient(service.url)),
    ]
    for page, symbols, intervals in others:
        assert page[:-1] == sync[0][:-1]
        assert (symbols, intervals) == sync[1:]
    assert [each.closed for each in sync[0]] == [True] * 4 + [False]
    older = Client(service.url).candles("ETHUSDT", "1d", limit=2, before=sync[0][0].time)
    assert [each.time for each in older] == [sync[0][0].time - 172800, sync[0][0].time - 86400]


def test_refusals_and_absence_are_errors_with_a_code(service: Service) -> None:
    with Client(service.url) as client, pytest.raises(RequestFailed, match="NOPE") as raised:
        client.candles("NOPE", "1m")
    assert (raised.value.status, raised.value.code) == (404, "unknown_symbol")
    with Client(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(ServerUnavailable):
        client.symbols()


def test_csv_has_a_row_for_each_candle() -> None:
    rows = to_csv([Candle(60, 1.0, 2.0, 0.5, 1.5, 3.25, closed=True)])
    assert rows == "time,open,high,low,close,volume\n60,1.0,2.0,0.5,1.5,3.25\n"
