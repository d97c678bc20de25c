from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smarttrade.binance.streams import stream_name, subscribe_request
from smarttrade.binance.wire import (
    BinanceDecoder,
    decode_error,
    decode_klines,
    decode_listing,
    decode_server_time,
)
from smarttrade.feed.errors import Malformed
from smarttrade.feed.venue import (
    CandleUpdate,
    ServerShutdown,
    Subscribed,
    SubscribeFailed,
    SymbolStatus,
)
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from tests.fakes.exchange_streams import BTC, kline

BNB = Series("BNBBTC", Interval.MINUTE_1)
MONTHS = Series("BNBBTC", Interval.MONTH_1)

# Source: binance-spot-api-docs, web-socket-streams.md, "Kline/Candlestick Streams for UTC".
KLINE = """{
  "e": "kline", "E": 1672515782136, "s": "BNBBTC",
  "k": {
    "t": 1672515780000, "T": 1672515839999, "s": "BNBBTC", "i": "1m", "f": 100, "L": 200,
    "o": "0.0010", "c": "0.0020", "h": "0.0025", "l": "0.0015", "v": "1000", "n": 100,
    "x": false, "q": "1.0000", "V": "500", "Q": "0.500", "B": "123456"
  }
}"""
COMBINED = f'{{"stream": "bnbbtc@kline_1m", "data": {KLINE}}}'

# Source: rest-api.md, "Kline/Candlestick data".
ROWS = b"""[
  [1499040000000, "0.01634790", "0.80000000", "0.01575800", "0.01577100", "148976.11427815",
   1499644799999, "2434.19055334", 308, "1756.87402397", "28.46694368", "0"]
]"""


def decode(text: str | bytes) -> object:
    return BinanceDecoder([BNB, MONTHS]).decode(text)


def combined(**changed: object) -> str:
    """The document's example with some fields of its kline, or the event's `E`, changed."""
    payload = json.loads(COMBINED)
    for name, value in changed.items():
        (payload["data"] if name == "E" else payload["data"]["k"])[name] = value
    return json.dumps(payload)


# The stream


def test_documented_kline() -> None:
    candle = Candle(
        1672515780000, 0.0010, 0.0025, 0.0015, 0.0020, 1000.0, False, 1672515782136, False
    )
    assert decode(COMBINED) == CandleUpdate(BNB, candle)
    assert decode(COMBINED.encode()) == CandleUpdate(BNB, candle)


def test_closing_kline() -> None:
    update = decode(combined(x=True))
    assert isinstance(update, CandleUpdate)
    assert update.candle.closed


def test_interval_keeps_its_case() -> None:
    update = decode(combined(i="1M"))
    assert isinstance(update, CandleUpdate)
    assert update.series is MONTHS


def test_fields_that_we_do_not_know_are_no_matter() -> None:
    payload = json.loads(COMBINED)
    payload["new"] = payload["data"]["new"] = payload["data"]["k"]["new"] = [{"deep": None}]
    assert decode(json.dumps(payload)) == decode(COMBINED)


@pytest.mark.parametrize(
    "text",
    [
        '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
        '{"e":"serverShutdown","E":1770123456789}',
    ],
)
def test_server_shutdown_in_both_forms(text: str) -> None:
    """Source: web-socket-streams.md, "WebSocket Limits", since 2026-05."""
    assert decode(text) == ServerShutdown()


@pytest.mark.parametrize(
    "text",
    [
        '{"result":null,"id":1}',
        '{"result":null,"id":"b1946ac9"}',
        '{"error":null,"result":null,"id":1}',
    ],
)
def test_confirmed_subscription(text: str) -> None:
    """Source: web-socket-streams.md, "Subscribe to a stream"."""
    assert decode(text) == Subscribed()


@pytest.mark.parametrize(
    "text",
    [
        '{"stream":"bnbbtc@trade","data":{"e":"trade","E":1672515782136,"s":"BNBBTC","p":"0.001"}}',
        "{}",
    ],
)
def test_what_needs_no_reaction(text: str) -> None:
    assert decode(text) is None


@pytest.mark.parametrize(
    "text",
    [
        # Source: web-socket-streams.md, "Error Messages".
        '{"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}',
        '{"code": 0, "msg": "Unknown property", "id": 1}',
        '{"error":{"code":2,"msg":"Invalid request: too many parameters"},"id":1}',
    ],
)
@pytest.mark.parametrize("form", [str, str.encode])
def test_refused_subscription_says_why(text: str, form: Callable[[str], Any]) -> None:
    failed = decode(form(text))
    assert isinstance(failed, SubscribeFailed)
    assert json.loads(text).get("msg", "too many parameters") in failed.detail


@pytest.mark.parametrize(
    "changed",
    [
        {"o": "NaN"},
        {"c": "Infinity"},
        {"v": "-Infinity"},
        {"h": "1e999"},
        {"l": ""},
        {"o": None},
        {"o": [1]},
        {"t": "soon"},
        {"t": 1.5},
        {"t": -60_000},
        {"t": 10**30},
        {"E": -1},
        {"E": 10**30},
        {"E": "1672515782136.5"},
        {"x": "maybe"},
        {"x": None},
        {"s": "ETHBTC"},
        {"s": "bnbbtc"},
        {"i": "5m"},
        {"i": 1},
    ],
    ids=str,
)
def test_kline_that_is_not_one(changed: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        decode(combined(**changed))


@pytest.mark.parametrize("field", ["t", "s", "i", "o", "h", "l", "c", "v", "x"])
def test_kline_without_a_field(field: str) -> None:
    payload = json.loads(COMBINED)
    del payload["data"]["k"][field]
    with pytest.raises(Malformed):
        decode(json.dumps(payload))


def test_kline_without_its_event_time() -> None:
    """Without it, it is not known which of two states is later."""
    with pytest.raises(Malformed):
        decode(combined(E=0))


@pytest.mark.parametrize("end", range(len(COMBINED)))
def test_truncated_kline(end: int) -> None:
    with pytest.raises(Malformed):
        decode(COMBINED[:end])


@pytest.mark.parametrize(
    "text",
    ["", "null", "1", '"kline"', "[]", "<html>", b"\xff\xfe\x00", COMBINED + "x", '{"data": []}'],
)
def test_garbage(text: str | bytes) -> None:
    with pytest.raises(Malformed):
        decode(text)


DEEP = "[" * 100_000
READERS: list[tuple[Callable[[bytes], object], str]] = [
    (decode, '{"data":{"e":"kline","new":' + DEEP),
    (decode, '{"data":' * 100_000),
    (lambda body: decode_klines(body, 0), '[[1,"1","1","1","1","1",' + DEEP),
    (decode_listing, '{"symbols":[],"new":' + DEEP),
]


@pytest.mark.parametrize(("read", "text"), READERS, ids=range(len(READERS)))
def test_deep_nesting(read: Callable[[bytes], object], text: str) -> None:
    with pytest.raises(Malformed):
        read(text.encode())


# REST


def test_documented_rows() -> None:
    [candle] = decode_klines(ROWS, 1499040000123)
    assert candle == Candle(
        1499040000000,
        0.01634790,
        0.80000000,
        0.01575800,
        0.01577100,
        148976.11427815,
        False,
        1499040000123,
        True,
    )


def row(open_time: object, *, price: object = "1.0") -> list[object]:
    return [open_time, price, price, price, price, "2.0", 0, "0", 0, "0", "0", "0"]


def rows(*open_times: object) -> bytes:
    return json.dumps([row(open_time) for open_time in open_times]).encode()


def test_every_row_but_the_last_is_closed() -> None:
    candles = decode_klines(rows(0, 60_000, 120_000), 5)
    assert [c.closed for c in candles] == [True, True, False]
    assert {(c.event_time, c.from_rest) for c in candles} == {(5, True)}


def test_no_rows() -> None:
    assert decode_klines(b"[]", 0) == []


@pytest.mark.parametrize(
    "body",
    [
        rows(60_000, 0),
        rows(0, 0),
        rows(-60_000),
        rows(10**30),
        rows("soon"),
        rows(None),
        ROWS[:-3],
        b"",
        b"{}",
        b"null",
        b"<html>hello</html>",
        b"[[]]",
        b'[[1499040000000,"1","1"]]',
        b"[{}]",
        json.dumps([row(0, price="NaN")]).encode(),
        json.dumps([row(0, price="Infinity")]).encode(),
        json.dumps([row(0, price=None)]).encode(),
        b"\xff\xfe",
        b'{"code":-1121,"msg":"Invalid symbol."}',
    ],
)
def test_rows_that_are_none(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_klines(body, 0)


def test_symbol_statuses() -> None:
    """Source: rest-api.md, "Exchange information"."""
    body = b"""{
      "timezone": "UTC", "serverTime": 1565246363776, "rateLimits": [
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300000},
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1200}
      ], "exchangeFilters": [],
      "symbols": [
        {"symbol": "ETHBTC", "status": "TRADING", "baseAsset": "ETH", "filters": [{"a": 1},
          {"filterType": "PRICE_FILTER", "minPrice": "0.00000100", "tickSize": "0.00000100"}]},
        {"symbol": "LUNABTC", "status": "HALT", "baseAsset": "LUNA"}
      ]
    }"""
    listing = decode_listing(body)
    assert listing.symbols == {
        "ETHBTC": SymbolStatus("TRADING", is_trading=True, tick_size=Decimal("0.000001")),
        "LUNABTC": SymbolStatus("HALT", is_trading=False),
    }
    assert (listing.weight, listing.time) == (1200, 1565246363776)


@pytest.mark.parametrize("tick", ['"0.00000000"', '"-1"', '"NaN"', '"Infinity"', "null"])
def test_tick_size_that_is_none_is_not_known(tick: str) -> None:
    """Source: filters.md, "PRICE_FILTER": 0 disables the rule."""
    filters = f'[{{"filterType": "PRICE_FILTER", "tickSize": {tick}}}]'
    body = f'{{"symbols": [{{"symbol": "A", "status": "TRADING", "filters": {filters}}}]}}'
    assert decode_listing(body.encode()).symbols["A"].tick_size is None


@pytest.mark.parametrize(
    "limit",
    [
        '{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 0}',
        '{"rateLimitType": "REQUEST_WEIGHT", "interval": "SECOND", "intervalNum": 1, "limit": 9}',
        '{"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 9}',
        "{}",
    ],
)
def test_other_limits_are_not_the_weight(limit: str) -> None:
    body = f'{{"symbols": [], "rateLimits": [{limit}]}}'
    assert decode_listing(body.encode()).weight is None


def test_server_time() -> None:
    """Source: rest-api.md, "Check server time"."""
    assert decode_server_time(b'{"serverTime": 1499827319559}') == 1499827319559


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"serverTime":-1}', b'{"serverTime":"x"}'])
def test_server_times_that_are_none(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_server_time(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"symbols":{}}', b'{"symbols":[{"symbol":1,"status":2}]}', b"\xff"],
)
def test_statuses_that_are_none(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_listing(body)


def test_error_of_the_exchange() -> None:
    """Source: errors.md."""
    body = b'{"code": -1121, "msg": "Invalid symbol."}'
    assert decode_error(body) == (-1121, "Invalid symbol.")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"code":"x"}', b"\xff", b'{"code":-1,"new":' + DEEP.encode()],
    ids=range(7),
)
def test_error_of_another_server(body: bytes) -> None:
    assert decode_error(body) is None


# Anything at all

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["kline", "serverShutdown", "BNBBTC", "1m", "1M", "NaN", "1e400", "0.0010"]),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(st.sampled_from([*"eEskitohlcvx", "data", "error"]), inner)
    ),
    max_leaves=20,
)
ODD = st.one_of(JSON, st.sampled_from(["-1", "9" * 400, 10**18, 10**19, -(10**30), 1e308]))


@given(st.one_of(st.binary(), st.text(), JSON.map(json.dumps)))
@example("\ud800")
@example(b"\x00")
def test_anything_is_a_message_or_malformed(anything: str | bytes) -> None:
    body = anything if isinstance(anything, bytes) else anything.encode(errors="surrogatepass")
    for read in (decode, lambda b: decode_klines(b, 0), decode_listing, decode_error):
        with suppress(Malformed):
            read(body)
    with suppress(Malformed):
        decode(anything)


@given(st.dictionaries(st.sampled_from([*"tsiohlcvxE"]), ODD, min_size=1))
def test_kline_with_odd_fields_is_usable_or_malformed(odd: dict[str, object]) -> None:
    try:
        update = decode(combined(**odd))
    except Malformed:
        return
    assert isinstance(update, CandleUpdate)
    assert_usable(update.candle, update.series.interval)


@given(st.lists(st.tuples(ODD, ODD), max_size=3))
def test_odd_rows_are_usable_or_malformed(odd: list[tuple[object, object]]) -> None:
    body = json.dumps([row(open_time, price=price) for open_time, price in odd]).encode()
    try:
        candles = decode_klines(body, 0)
    except Malformed:
        return
    for candle in candles:
        assert_usable(candle, Interval.MONTH_1)


def assert_usable(candle: Candle, interval: Interval) -> None:
    """Every calculation that the program does with a candle works."""
    assert json.dumps(candle, allow_nan=False)
    assert interval.floor(candle.open_time) <= candle.open_time < interval.next(candle.open_time)


# What we send


def test_stream_names() -> None:
    """Symbols are lower case there, intervals keep their case."""
    assert stream_name(BNB) == "bnbbtc@kline_1m"
    assert stream_name(MONTHS) == "bnbbtc@kline_1M"


def test_subscribe_request() -> None:
    """Source: web-socket-streams.md, "Subscribe to a stream"."""
    text = subscribe_request(["btcusdt@kline_1m", "ethusdt@kline_1h"], 1)
    assert json.loads(text) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@kline_1m", "ethusdt@kline_1h"],
        "id": 1,
    }


def test_kline_that_leaves_out_its_event_time_is_malformed() -> None:
    payload = json.loads(COMBINED)
    del payload["data"]["E"]
    with pytest.raises(Malformed):
        decode(json.dumps(payload))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"t": 1_700_000_000_000 // 60_000 * 60_000 + 10**9}, "after its event"),
        ({"T": 0}, "not a"),
        ({"T": 4_000_000_000_000}, "not a"),
    ],
)
def test_kline_whose_times_contradict_each_other_is_malformed(
    change: dict[str, int], why: str
) -> None:
    opens = 1_700_000_000_000 // 60_000 * 60_000
    message = json.loads(kline(BTC, opens, event_time=opens + 5))
    assert BinanceDecoder([BTC]).decode(json.dumps(message)) is not None
    message["data"]["k"] |= change
    with pytest.raises(Malformed, match=why):
        BinanceDecoder([BTC]).decode(json.dumps(message))


def test_kline_that_ends_early_is_a_kline() -> None:
    """On 2023-03-24 trading stopped at 12:39:41.646, and so did that minute's kline."""
    opens = 1_679_661_540_000
    message = json.loads(kline(BTC, opens, event_time=opens + 41_646))
    message["data"]["k"]["T"] = opens + 41_646
    assert BinanceDecoder([BTC]).decode(json.dumps(message)) is not None


def test_rows_of_one_second_are_refused() -> None:
    """Clients tell candles apart by the second."""
    row = [1000, "1", "1", "1", "1", "1", 59_999]
    assert decode_klines(json.dumps([row, [2000, *row[1:]]]).encode(), 0)
    with pytest.raises(Malformed):
        decode_klines(json.dumps([row, [1001, *row[1:]]]).encode(), 0)
