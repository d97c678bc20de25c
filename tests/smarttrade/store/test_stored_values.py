"""Whatever is in Redis, it is read as ours or as damaged; nothing ends, nothing blocks.

`STORED_VALUES_EXAMPLES=100000 pytest tests/smarttrade/store/test_stored_values.py` runs the fuzzer
for long.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smarttrade.market.candle import Candle
from smarttrade.market.window_state import SeriesNotes
from smarttrade.store.database import (
    Batch,
    DatabaseUnavailable,
    ForeignFormat,
    Group,
    Held,
    Leading,
    Lost,
    Written,
)
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.origin import ForeignOrigin
from smarttrade.store.redis_database import RedisDatabase
from smarttrade.store.redis_format import StoreState, state_to_text
from smarttrade.store.stored_values import (
    LAST_TIME,
    Damaged,
    candles_from_list,
    entry_from_fields,
    notes_from_text,
    number_from_text,
    origin_from_text,
    readable,
    state_from_text,
)
from tests.fakes.candles import BTC, at, candle
from tests.fakes.database import BINANCE
from tests.fakes.redis_server import RedisServer

EXAMPLES = int(os.environ.get("STORED_VALUES_EXAMPLES", "150"))
KEY = "{test:0}:candles:binance.com:BTCUSDT:1m"
LEASE = 60.0


def text_of(*fields: Any) -> bytes:
    return json.dumps(fields).encode()


GOOD = text_of(at(0), 1.0, 1.0, 1.0, 1.0, 1.0, True, at(1), False)


# -- Bounds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [b"9" * 5000, b"-1", b"1.5", b"", b"\xff", b"1e3", b" 1"])
def test_number_has_digits_and_not_too_many(text: bytes) -> None:
    with pytest.raises(Damaged):
        number_from_text(text)


@pytest.mark.parametrize(
    "text",
    [
        text_of(at(0), 1e308, 1e308, 1.0, 1e308, 1e308, True, at(1), False),
        text_of(at(0), 1.0, 1.0, 1.0, 1.0, 1.0, True, 10**30, False),
        text_of(at(0), 1.0, 1.0, 1.0, 1.0, 1.0, True, -1, False),
        text_of(at(3), 1.0, 1.0, 1.0, 1.0, 1.0, True, at(1), False),
        text_of(at(0), 1.0, 1.0, 1.0, 1.0, 1.0, True, at(3), False),
        b"[" + b"1" * 400 + b"]",
    ],
)
def test_candle_is_finite_and_not_of_the_future(text: bytes) -> None:
    assert len(candles_from_list([GOOD], at(1))) == 1
    with pytest.raises(Damaged):
        candles_from_list([text], at(1))


@pytest.mark.parametrize(
    "notes",
    [
        [[[2, 1]], [], [], False],
        [[], [[0, 10**30]], [], False],
        [[], [], [[at(0), at(9)]], False],
        [[[-1, 5]], [], [], False],
        [[[0, 0]] * 10_001, [], [], False],
        [[], [], [], 1],
    ],
)
def test_notes_are_within_bounds(notes: Any) -> None:
    with pytest.raises(Damaged):
        notes_from_text(json.dumps(notes).encode(), at(1))


@pytest.mark.parametrize(
    "change",
    [
        {"symbols": ["A" * 51]},
        {"symbols": [f"S{n}" for n in range(6000)], "intervals": ["1m", "5m", *("1h",) * 9, "1d"]},
        {"intervals": ["7m"]},
        {"since": 1e30},
        {"feed": "fine"},
    ],
)
def test_state_is_within_bounds(change: dict[str, Any]) -> None:
    good = {"symbols": ["BTCUSDT"], "intervals": ["1m"], "feed": "live", "since": 1.5}
    assert state_from_text(json.dumps(good).encode()) is not None
    if "symbols" in change and len(change["symbols"]) > 1:
        change = {**change, "intervals": [i.value for i in type(BTC.interval)]}
    with pytest.raises(Damaged):
        state_from_text(json.dumps({**good, **change}).encode())


DETAILS = {"status": "BREAK", "tick_size": "0.01", "state": "halted", "since": 1.5}


@pytest.mark.parametrize(
    "change",
    [
        {"tick_size": "1e-999999"},
        {"tick_size": "1e999999"},
        {"tick_size": "NaN"},
        {"tick_size": "-1"},
        {"tick_size": "0"},
        {"tick_size": "1." + "0" * 500},
        {"tick_size": "0.0000000000000000001"},
        {"status": "B" * 51},
        {"status": "\x1b[2J"},
        {"state": "fine"},
        {"since": 1e30},
        {"since": -1.0},
    ],
)
def test_details_of_a_symbol_are_within_bounds(change: dict[str, Any]) -> None:
    def text(**details: Any) -> bytes:
        state = {"symbols": ["BTCUSDT"], "intervals": ["1m"], "feed": "live", "since": 1.5}
        return json.dumps(state | {"details": {"BTCUSDT": DETAILS | details}}).encode()

    state = state_from_text(text())
    assert state is not None
    assert state.details["BTCUSDT"].decimals == 2
    assert state_from_text(state_to_text(state).encode()) == state
    with pytest.raises(Damaged):
        state_from_text(text(**change))


WALL = at(1) / 1000


def entry(**fields: bytes) -> dict[bytes, bytes]:
    good = {"seq": b"1", "format": b"3", "origin": b"binance.com", "time": str(at(1)).encode()}
    return {name.encode(): text for name, text in (good | fields).items()}


def test_entry_of_a_year_far_ahead_is_damaged() -> None:
    far = candle(0)._replace(open_time=221_900_000_000_000)
    data = json.dumps([["BTCUSDT", "1m", False, [far], "0", None]]).encode()
    with pytest.raises(Damaged):
        entry_from_fields(entry(data=data), WALL)
    soon = json.dumps([["BTCUSDT", "1m", False, [candle(5)], "0", None]]).encode()
    with pytest.raises(Damaged, match="future"):
        entry_from_fields(entry(data=soon), WALL)


def test_entry_without_a_time_is_held_against_the_local_clock() -> None:
    data = json.dumps([["BTCUSDT", "1m", False, [candle(0)], "0", None]]).encode()
    assert len(entry_from_fields(entry(data=data, time=b"0"), WALL).changes) == 1
    with pytest.raises(Damaged, match="future"):
        entry_from_fields(entry(data=data, time=b"0"), WALL - 2 * 86_400)


def test_correction_that_is_not_final_is_damaged() -> None:
    data = json.dumps([["BTCUSDT", "1m", False, [candle(0, closed=False)], "1", None]]).encode()
    with pytest.raises(Damaged):
        entry_from_fields(entry(data=data), WALL)


@pytest.mark.parametrize(
    "fields", [{"seq": b"0"}, {"time": str(LAST_TIME + 1).encode()}, {"origin": b"a b"}]
)
def test_entry_is_numbered_and_of_an_exchange(fields: dict[str, bytes]) -> None:
    assert entry_from_fields(entry(), WALL).changes == ()
    with pytest.raises(Damaged):
        entry_from_fields(entry(**fields), WALL)


def test_what_is_shown_of_a_value_moves_no_cursor() -> None:
    assert readable(b"\x1b[2Ja\nb\xff" + b"x" * 9999, 10) == "?[2Ja?b\ufffdxx"


# -- The decoder takes any bytes ------------------------------------------------------------

pieces = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([GOOD, b"[]", b"null", b"1e999", b"[[[[", b'"\xed\xa0\x80"', b"9" * 5000]),
    st.builds(
        lambda candle_fields: json.dumps(candle_fields).encode(),
        st.lists(
            st.one_of(
                st.integers(-(10**30), 10**30),
                st.floats(allow_nan=False, allow_infinity=False),
                st.booleans(),
                st.none(),
                st.text(max_size=5),
            ),
            max_size=10,
        ),
    ),
)


@settings(max_examples=EXAMPLES * 4)
@given(pieces, st.lists(pieces, max_size=4), st.integers(0, LAST_TIME))
def test_any_bytes_are_ours_or_damaged(text: bytes, texts: list[bytes], time: int) -> None:
    for read in (
        lambda: number_from_text(text),
        lambda: origin_from_text(text),
        lambda: state_from_text(text),
        lambda: notes_from_text(text, time),
        lambda: candles_from_list(texts, time),
        lambda: entry_from_fields(entry(data=text), WALL),
        lambda: entry_from_fields(entry(state=text), WALL),
        lambda: entry_from_fields(entry(time=text, seq=text), WALL),
    ):
        with suppress(Damaged):
            read()


# -- Redis with any values in it ------------------------------------------------------------

hostile = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from([b"3", b"2", b"4", b"\xff\xfe", b"9" * 400, b""]),
        "origin": st.sampled_from([b"binance.com", b"\xff", b"a b", b"x" * 400, b""]),
        "leader": st.sampled_from([b"me", b"", b"\x00" * 600, b"you"]),
        "epoch": st.sampled_from([b"1", b"9" * 5000, b"-1", b"abc", b"999999999999999"]),
        "batch": st.sampled_from([b"0", b"9" * 5000, b"nan", b"1e5"]),
        "seq": st.sampled_from([b"0", b"9" * 5000, b"inf", b"999999999999999"]),
        "time": st.sampled_from([b"0", b"9" * 5000, b"soon"]),
        "state": pieces,
    },
)
lists = st.lists(st.one_of(pieces, st.just(GOOD)), min_size=1, max_size=4)


def plant(server: RedisServer, meta: dict[str, bytes], values: list[bytes], lease: Any) -> None:
    with server.client() as client:
        client.flushall()
        client.set("{test}:shards", 1)
        if meta:
            client.hset("{test:0}:meta", mapping=meta)
        client.rpush(KEY, *values)
        client.hset("{test:0}:notes:binance.com", "BTCUSDT:1m", values[0])
        client.xadd("{test:0}:changes", {b"seq": values[0], b"data": values[-1]})
        if lease is not None:
            client.set("{test:0}:lease", lease)


def contents(server: RedisServer) -> dict[Any, Any]:
    with server.client() as client:
        return {key: client.dump(key) for key in client.scan_iter()}


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile, lists, st.sampled_from([None, b"", b"\xff" * 700, b"you@binance.com"]))
def test_process_begins_whatever_is_stored(
    redis_server: RedisServer, meta: dict[str, bytes], values: list[bytes], lease: Any
) -> None:
    """Every call ends as stated, and one that may lead writes soon, or nothing was changed."""
    plant(redis_server, meta, values, lease)

    async def begin() -> None:
        redis = RedisDatabase(
            redis_server.url, "test", timeout=5.0, stream_length=100, exchange=BINANCE
        )
        with suppress(Damaged, ForeignFormat):
            await redis.position()
        with suppress(Damaged):
            await redis.follow("0-0", 0.01)
        before = contents(redis_server)
        try:
            claim = await redis.acquire("me", LEASE)
        except (ForeignFormat, ForeignOrigin):
            assert contents(redis_server) == before
            return
        if isinstance(claim, Held):
            assert lease is not None
            assert 0 <= claim.seconds_left <= 60
            return
        assert isinstance(claim, Leading)
        [stored] = await redis.load([BTC], at(1))
        if stored.damage is not None:
            await redis.quarantine([BTC])
        await lead(redis, claim)

    trio.run(begin)


async def lead(redis: RedisDatabase, claim: Leading) -> None:
    """A whole window and one more candle; all or nothing, each time."""
    whole = Group(BTC, [candle(0)], is_whole=True, notes=SeriesNotes())
    more = Group(BTC, [candle(1)], [False])
    for number, group in enumerate((whole, more), claim.written + 1):
        batch = Batch(number, claim.written, [group], None, is_heartbeat=True, time=at(9))
        outcome = await redis.write("me", claim.epoch, LEASE, batch)
        if isinstance(outcome, Lost):  # notes of another type, which the next load finds
            await redis.quarantine([BTC])
            outcome = await redis.write("me", claim.epoch, LEASE, batch)
        assert isinstance(outcome, Written)
    [stored] = await redis.load([BTC], at(9))
    assert stored.state is not None
    assert stored.state.candles[-1] == candle(1)


async def test_more_groups_than_the_script_language_can_unpack(redis_server: RedisServer) -> None:
    redis = RedisDatabase(
        redis_server.url, "test", timeout=5.0, stream_length=100, exchange=BINANCE
    )
    claim = await redis.acquire("me", LEASE)
    assert isinstance(claim, Leading)
    group = Group(BTC, [candle(0)], [False])
    batch = Batch(1, 0, [group] * 9000, None, is_heartbeat=True, time=at(9))
    outcome = await redis.write("me", claim.epoch, LEASE, batch)
    assert outcome == Written((1,) * 9000)


async def test_stream_with_the_last_possible_name_is_replaced(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.xadd("{test:0}:changes", {"seq": "1"}, id=f"{2**64 - 1}-{2**64 - 1}")
    redis = RedisDatabase(
        redis_server.url, "test", timeout=5.0, stream_length=100, exchange=BINANCE
    )
    claim = await redis.acquire("me", LEASE)
    assert isinstance(claim, Leading)
    batch = Batch(1, 0, [Group(BTC, [candle(0)], [False])], None, is_heartbeat=True, time=at(9))
    assert await redis.write("me", claim.epoch, LEASE, batch) == Written((1,))
    [(_, entry)] = await redis.follow("0-0", 0.1)
    assert entry.changes[0].published[0].candle == candle(0)


async def test_damaged_candle_inside_a_list_does_not_stop_a_batch(
    redis_server: RedisServer,
) -> None:
    """Found only while the script compares: by then it must not fail."""
    redis = RedisDatabase(
        redis_server.url, "test", timeout=5.0, stream_length=100, exchange=BINANCE
    )
    claim = await redis.acquire("me", LEASE)
    assert isinstance(claim, Leading)
    for number, text in enumerate((b"[1]", b'{"x":1}', b"nonsense", b"[null,null]"), 1):
        with redis_server.client() as client:
            client.delete(KEY)
            client.rpush(KEY, text)
        batch = Batch(number, 0, [Group(BTC, [candle(0)], [False])], None, True, time=at(9))
        assert isinstance(await redis.write("me", claim.epoch, LEASE, batch), Written)


async def test_reading_is_bounded(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.rpush(KEY, *[GOOD] * 50_000)
    redis = RedisDatabase(
        redis_server.url, "test", timeout=5.0, stream_length=100, exchange=BINANCE
    )
    [window] = await redis.load([BTC])
    assert "1001" in (window.damage or "")


def test_decoded_candle_is_what_was_written() -> None:
    assert candles_from_list([GOOD], at(1)) == (
        Candle(at(0), 1.0, 1.0, 1.0, 1.0, 1.0, closed=True, event_time=at(1)),
    )


def test_database_errors_are_of_one_kind() -> None:
    assert issubclass(Damaged, ValueError)
    assert not issubclass(Damaged, DatabaseUnavailable)


@pytest.mark.parametrize(
    ("places", "populated"), [((0, 1), ()), ((-1,), ()), ((10**9,), ()), ((), (-1,)), ((), (64,))]
)
def test_impossible_shards_are_damaged(places: tuple[int, ...], populated: tuple[int, ...]) -> None:
    state = StoreState(
        ("BTCUSDT",), (BTC.interval,), FeedStatus(Feed.LIVE, 1.0), {}, places, populated
    )
    with pytest.raises(Damaged):
        state_from_text(state_to_text(state).encode())
