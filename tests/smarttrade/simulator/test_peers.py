"""Is the simulator like the exchange? Public clients of Binance say so, unmodified but for the URL.

    pip install -e ".[test,peers]"

Over loopback and in real time, each client in a thread of its own. `binance-connector` and
`python-binance` have the same import name, so only one of them can be installed at a time; the
first one's successor, `binance-sdk-spot`, is in the extra.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, TypeVar

import pytest
import trio

from smarttrade.simulator import Exchange, serve_exchange
from smarttrade.simulator.calendar import Interval

# What these libraries warn of, and leave open, is theirs.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

T = TypeVar("T")
PATIENCE = 30.0  # seconds; a stream sends something every two


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that a client leaves open is found by a later test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def needs(package: str) -> pytest.MarkDecorator:
    """Skip where the client is not installed; asking for it by import would take its time."""
    try:
        version(package)
    except PackageNotFoundError:
        return pytest.mark.skipif(True, reason=f"{package} is not installed")
    return pytest.mark.skipif(False, reason="")


def module(name: str) -> Any:
    return import_module(name)


@dataclass
class Venue:
    exchange: Exchange
    port: int

    @property
    def rest(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def streams(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def closed_minutes(self, count: int) -> list[list[Any]]:
        """The newest of BTCUSDT but the one that forms."""
        rows = self.exchange.klines("BTCUSDT", Interval.MINUTE_1, limit=count + 1)
        return [list(row) for row in rows[:-1]]


@asynccontextmanager
async def venue() -> AsyncIterator[Venue]:
    exchange = Exchange(start_ms=int(time.time()) // 60 * 60_000 + 5_000)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_exchange, exchange, "127.0.0.1", 0)
        yield Venue(exchange, port)
        nursery.cancel_scope.cancel()


async def in_thread(work: Callable[[], T]) -> T:
    with trio.fail_after(PATIENCE):
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


async def in_asyncio(work: Callable[[], Any]) -> Any:
    return await in_thread(lambda: asyncio.run(asyncio.wait_for(work(), PATIENCE)))


def values(row: list[Any]) -> list[float]:
    """Open time, prices and volume as numbers."""
    return [float(each) for each in row[:6]]


# ccxt


def ccxt_client(library: ModuleType, place: Venue) -> Any:
    """For spot alone: futures are at hosts of their own."""
    client: Any = library.binance({"options": {"fetchMarkets": {"types": ["spot"]}}})
    for name, url in client.urls["api"].items():
        if isinstance(url, str):
            client.urls["api"][name] = url.replace("https://api.binance.com", place.rest)
    if "ws" in client.urls["api"]:
        client.urls["api"]["ws"]["spot"] = f"{place.streams}/ws"
    return client


@needs("ccxt")
async def test_ccxt_reads_markets_and_history() -> None:
    ccxt = module("ccxt")
    async with venue() as place:
        client = ccxt_client(ccxt, place)
        markets = await in_thread(client.load_markets)
        assert len(markets) == len(place.exchange.listings)
        assert markets["BTC/USDT"]["active"]
        assert markets["BTC/USDT"]["precision"]["price"] == 0.01
        truth = place.closed_minutes(50)
        rows = await in_thread(lambda: client.fetch_ohlcv("BTC/USDT", "1m", limit=1000))
        assert len(rows) == 1000
        assert [values(row) for row in truth][-20:] == [values(r) for r in rows[-21:-1]]
        page = await in_thread(
            lambda: client.fetch_ohlcv("BTC/USDT", "1m", since=truth[3][0], limit=5)
        )
        assert [row[0] for row in page] == [row[0] for row in truth[3:8]]
        assert abs(await in_thread(client.fetch_time) - place.exchange.now()) < 5_000
        with pytest.raises(ccxt.BadSymbol):
            await in_thread(lambda: client.public_get_klines({"symbol": "NO", "interval": "1m"}))


@needs("ccxt")
async def test_ccxt_watches_candles() -> None:
    pro = module("ccxt.pro")

    async def watch() -> tuple[list[Any], Any]:
        client = ccxt_client(pro, place)
        try:
            seen = [(await client.watch_ohlcv("BTC/USDT", "1m"))[-1] for _ in range(2)]
            wanted = [["ETH/USDT", "5m"], ["BTC/USDT", "1h"]]
            both = await client.watch_ohlcv_for_symbols(wanted)
            await client.un_watch_ohlcv("BTC/USDT", "1m")
        finally:
            await client.close()
        return seen, both

    async with venue() as place:
        seen, both = await in_asyncio(watch)
    assert seen[0][0] % 60_000 == 0
    assert seen[0][5] <= seen[1][5] or seen[0][0] < seen[1][0]
    assert set(both) <= {"ETH/USDT", "BTC/USDT"}


# python-binance


@needs("python-binance")
async def test_python_binance_reads_history_and_symbols() -> None:
    client_module = module("binance.client")
    exceptions = module("binance.exceptions")
    async with venue() as place:
        client_class = type("Client", (client_module.Client,), {"API_URL": f"{place.rest}/api"})

        client: Any = await in_thread(client_class)
        truth = place.closed_minutes(20)
        rows = await in_thread(lambda: client.get_klines(symbol="BTCUSDT", interval="1m"))
        assert rows[-21:-1] == truth
        start = truth[0][0] - 1500 * 60_000
        paged = await in_thread(
            lambda: client.get_historical_klines("BTCUSDT", "1m", start, truth[-1][0])
        )
        assert [row[0] for row in paged] == list(range(start, truth[-1][0] + 1, 60_000))
        info = await in_thread(lambda: client.get_symbol_info("BTCUSDT"))
        assert info["status"] == "TRADING"
        assert {"PRICE_FILTER", "LOT_SIZE"} <= {each["filterType"] for each in info["filters"]}
        with pytest.raises(exceptions.BinanceAPIException, match="Invalid symbol") as caught:
            await in_thread(lambda: client.get_klines(symbol="NOPEUSDT", interval="1m"))
        assert caught.value.code == -1121


@needs("python-binance")
async def test_python_binance_receives_streams() -> None:
    binance = module("binance")
    async with venue() as place:
        client_class: Any = type("Client", (binance.AsyncClient,), {"API_URL": f"{place.rest}/api"})
        manager_class: Any = type(
            "Manager", (binance.BinanceSocketManager,), {"STREAM_URL": f"{place.streams}/"}
        )

        async def listen() -> tuple[Any, list[Any]]:
            client = await client_class.create()
            try:
                async with manager_class(client).kline_socket("BTCUSDT", interval="1m") as stream:
                    raw = await stream.recv()
                names = ["btcusdt@kline_1m", "ethusdt@kline_5m"]
                async with manager_class(client).multiplex_socket(names) as stream:
                    combined = [await stream.recv() for _ in range(4)]
            finally:
                await client.close_connection()
            return raw, combined

        raw, combined = await in_asyncio(listen)
    assert (raw["e"], raw["s"], raw["k"]["i"]) == ("kline", "BTCUSDT", "1m")
    assert {each["stream"] for each in combined} == {"btcusdt@kline_1m", "ethusdt@kline_5m"}


# binance-connector, and its successor


@needs("binance-connector")
async def test_binance_connector_reads_and_receives() -> None:
    module("binance.spot")
    spot = module("binance.spot")
    streams = module("binance.websocket.spot.websocket_stream")
    error = module("binance.error")
    received: list[Any] = []

    def listen() -> None:
        for combined in (False, True):
            before = len(received)
            client = streams.SpotWebsocketStreamClient(
                stream_url=place.streams,
                on_message=lambda _, text: received.append(json.loads(text)),
                is_combined=combined,
            )
            client.kline(symbol="btcusdt", interval="1m")
            while len(received) < before + 3:
                time.sleep(0.1)
            client.stop()

    async with venue() as place:
        client = spot.Spot(base_url=place.rest, show_limit_usage=True)
        truth = place.closed_minutes(20)
        answer = await in_thread(lambda: client.klines("BTCUSDT", "1m", limit=21))
        assert answer["data"][:-1] == truth
        assert answer["limit_usage"]["x-mbx-used-weight-1m"] == "2"
        info = await in_thread(lambda: client.exchange_info(symbols=["BTCUSDT", "ETHUSDT"]))
        assert [each["symbol"] for each in info["data"]["symbols"]] == ["BTCUSDT", "ETHUSDT"]
        with pytest.raises(error.ClientError, match="-1121"):
            await in_thread(lambda: client.klines("NOPEUSDT", "1m"))
        await in_thread(listen)
    answers = [each for each in received if "id" in each]
    assert [each["result"] for each in answers] == [None, None]
    assert any(each.get("e") == "kline" for each in received)
    assert any(each.get("stream") == "btcusdt@kline_1m" for each in received)


@needs("binance-sdk-spot")
async def test_binance_sdk_reads_history_and_symbols() -> None:
    spot = module("binance_sdk_spot.spot")
    errors = module("binance_common.errors")
    async with venue() as place:
        configuration = spot.ConfigurationRestAPI(
            api_key="none", api_secret="none", base_path=place.rest
        )
        api = spot.Spot(config_rest_api=configuration).rest_api
        truth = place.closed_minutes(20)
        answer = await in_thread(lambda: api.klines(symbol="BTCUSDT", interval="1m", limit=21))
        assert answer.data()[:-1] == truth
        [limit] = answer.rate_limits
        assert (limit.rateLimitType, limit.interval, limit.count) == ("REQUEST_WEIGHT", "MINUTE", 2)
        info = await in_thread(lambda: api.exchange_info(symbols=["BTCUSDT", "ETHUSDT"]))
        assert [each.status for each in info.data().symbols] == ["TRADING", "TRADING"]
        assert info.data().rate_limits[0].limit == 6000
        with pytest.raises(errors.BadRequestError, match="Invalid symbol"):
            await in_thread(lambda: api.klines(symbol="NOPEUSDT", interval="1m"))


@needs("binance-sdk-spot")
async def test_binance_sdk_receives_streams() -> None:
    spot = module("binance_sdk_spot.spot")

    async def listen() -> list[Any]:
        configuration = spot.ConfigurationWebSocketStreams(stream_url=place.streams)
        api = spot.Spot(config_ws_streams=configuration).websocket_streams
        connection = await api.create_connection()
        received: asyncio.Queue[Any] = asyncio.Queue()
        stream = await connection.kline(symbol="btcusdt", interval="1m")
        stream.on("message", received.put_nowait)
        found = [await received.get() for _ in range(3)]
        await stream.unsubscribe()
        await connection.close_connection(close_session=True)
        return found

    async with venue() as place:
        found = await in_asyncio(listen)
    assert {(each.s, each.k.i) for each in found} == {("BTCUSDT", "1m")}
    volumes = [float(each.k.v) for each in found if each.k.t == found[0].k.t]
    assert volumes == sorted(volumes)
