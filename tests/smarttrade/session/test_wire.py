from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode

from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.session.candle_texts import CandleTexts, candle_text
from smarttrade.session.messages import Error, SeriesName
from smarttrade.session.wire import (
    Encoder,
    frame,
    heartbeat_frame,
    legacy_frame,
    message_frame,
    series_names,
    status_frame,
)
from smarttrade.store.feed import Feed, FeedStatus
from tests.fakes.candles import BASE, BTC, ETH, at, candle, rows
from tests.fakes.frames import exact, message

# The contract's example.
EXAMPLE = Candle(1733007600000, 96466.11, 96495.52, 96440.0, 96440.0, 6.6158, False, 1733007602010)
EXAMPLE_JSON = {
    "time": 1733007600,
    "open": 96466.11,
    "high": 96495.52,
    "low": 96440.0,
    "close": 96440.0,
    "volume": 6.6158,
}

# Frames


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "8100"),
        (1, "8101"),
        (125, "817d"),
        (126, "817e007e"),
        (127, "817e007f"),
        (65535, "817effff"),
        (65536, "817f0000000000010000"),
        (70000, "817f0000000000011170"),
    ],
)
def test_frame_says_its_length_as_rfc_6455_has_it(size: int, head: str) -> None:
    payload = b"x" * size
    data = frame(payload)
    assert data == bytes.fromhex(head) + payload
    reader = FrameProtocol(client=True, extensions=[])
    reader.receive_bytes(data)
    (read,) = reader.received_frames()
    assert read.opcode is Opcode.TEXT
    assert read.frame_finished
    assert read.message_finished
    assert (read.payload or "") == payload.decode()


def test_frame_carries_text_beyond_ascii() -> None:
    assert message(message_frame(Error(None, "unknown", "unknown: 'ÄÖ€'"))) == {
        "type": "error",
        "id": None,
        "code": "unknown",
        "message": "unknown: 'ÄÖ€'",
    }


# Candles

# At most 15 significant digits, at most 8 of them after the point: the exchange's decimals.
digits = st.integers(0, 10**15 - 1)
decimals = st.builds(
    lambda number, places: Decimal(number).scaleb(-places), digits, st.integers(0, 8)
)


@given(decimals, decimals, decimals, decimals, decimals)
def test_numbers_are_equal_in_value_to_the_exchange_s_decimals(
    opening: Decimal, high: Decimal, low: Decimal, close: Decimal, volume: Decimal
) -> None:
    sent = Candle(BASE, float(opening), float(high), float(low), float(close), float(volume), True)
    read = json.loads(candle_text(sent), parse_float=Decimal)
    assert list(read) == ["time", "open", "high", "low", "close", "volume"]
    values = [read[name] for name in ("open", "high", "low", "close", "volume")]
    assert [Decimal(value) for value in values] == [opening, high, low, close, volume]
    flat = exact(legacy_frame(BTC, sent))
    values = [flat[name] for name in ("open", "high", "low", "close", "volume")]
    assert [Decimal(value) for value in values] == [opening, high, low, close, volume]


@pytest.mark.parametrize(
    "text", ["0.00000001", "0.00000010", "0.1", "0", "123456789012345", "1234567.12345678", "100"]
)
def test_number_reads_back(text: str) -> None:
    sent = candle_text(EXAMPLE._replace(close=float(text)))
    assert Decimal(json.loads(sent, parse_float=Decimal)["close"]) == Decimal(text)


def test_candle_has_seconds_and_five_numbers() -> None:
    assert json.loads(candle_text(EXAMPLE)) == EXAMPLE_JSON


def test_flat_candle_has_milliseconds() -> None:
    assert message(legacy_frame(BTC, EXAMPLE)) == {
        "symbol": "BTCUSDT",
        "timestamp": 1733007600000,
        "open": 96466.11,
        "high": 96495.52,
        "low": 96440.0,
        "close": 96440.0,
        "volume": 6.6158,
        "is_closed": False,
    }


# Messages


def encoder() -> Encoder:
    return Encoder(CandleTexts())


def test_update_says_which_candle_and_whether_it_is_closed() -> None:
    encode = encoder()
    assert message(encode.update(BTC, EXAMPLE, corrected=False)) == {
        "type": "candle",
        "symbol": "BTCUSDT",
        "interval": "1m",
        "candle": EXAMPLE_JSON,
        "closed": False,
    }
    sent = message(encode.update(BTC, EXAMPLE._replace(closed=True), corrected=False))
    assert sent["closed"] is True
    assert "corrected" not in sent


def test_correction_says_so() -> None:
    sent = message(encoder().update(BTC, candle(0), corrected=True))
    assert (sent["closed"], sent["corrected"]) == (True, True)


def test_updates_of_several_series_name_their_own() -> None:
    encode = encoder()
    month = Series("BTCUSDT", Interval.MONTH_1)
    sent = [message(encode.update(s, candle(0), corrected=False)) for s in (BTC, month, ETH, BTC)]
    assert [(each["symbol"], each["interval"]) for each in sent] == [
        ("BTCUSDT", "1m"),
        ("BTCUSDT", "1M"),
        ("ETHUSDT", "1m"),
        ("BTCUSDT", "1m"),
    ]


def test_snapshot_has_candles_and_whether_the_last_is_closed() -> None:
    sent = message(encoder().snapshot(BTC, rows(0, 2), truncated=False))
    assert set(sent) == {"type", "symbol", "interval", "candles", "closed", "truncated"}
    assert (sent["type"], sent["symbol"], sent["interval"]) == ("snapshot", "BTCUSDT", "1m")
    assert [each["time"] for each in sent["candles"]] == [at(m) // 1000 for m in range(3)]
    assert (sent["closed"], sent["truncated"]) == (False, False)


def test_snapshot_of_closed_candles_that_is_truncated() -> None:
    sent = message(encoder().snapshot(BTC, [candle(0), candle(1)], truncated=True))
    assert (sent["closed"], sent["truncated"]) == (True, True)


def test_empty_snapshot_is_a_snapshot() -> None:
    sent = message(encoder().snapshot(BTC, [], truncated=False))
    assert (sent["candles"], sent["closed"]) == ([], False)


def test_whole_window_is_one_frame() -> None:
    sent = message(encoder().snapshot(BTC, rows(0, WINDOW_SIZE - 1), truncated=False))
    assert len(sent["candles"]) == WINDOW_SIZE


def test_status_and_heartbeat() -> None:
    assert message(status_frame(FeedStatus(Feed.STALE, 1733007600.12345))) == {
        "type": "status",
        "feed": "stale",
        "since": 1733007600.123,
    }
    assert message(heartbeat_frame(1733007600.9876)) == {
        "type": "heartbeat",
        "time": 1733007600.988,
    }


def test_series_are_described_as_clients_name_them() -> None:
    assert series_names([BTC, Series("ETHUSDT", Interval.MONTH_1)]) == [
        SeriesName("BTCUSDT", "1m"),
        SeriesName("ETHUSDT", "1M"),
    ]
