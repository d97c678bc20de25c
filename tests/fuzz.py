"""Fuzzers of what strangers send, run manually for as long as one likes.

    python -m tests.fuzz TARGET [--minutes 10] [--seed 0]

Each input is made of real ones: some of the JSON in them is replaced by odd values, or some of the
bytes are. What a reader accepts goes on to what uses it: requests to the store and the hub, candles
to the windows and back out as JSON. Anything but the errors that the readers promise is a finding;
it ends the fuzzer with the input.

The servers themselves are fuzzed by tests that can run for long, too: `FAST_PATH_EXAMPLES=1000000`
for tests/smarttrade/web/test_differential.py, `EDGE_EXAMPLES` for test_fuzz.py beside it, and
`STORED_VALUES_EXAMPLES` for tests/smarttrade/store/test_stored_values.py.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from smarttrade.binance.wire import (
    BinanceDecoder,
    decode_error,
    decode_klines,
    decode_listing,
    decode_server_time,
)
from smarttrade.feed.errors import Malformed
from smarttrade.feed.venue import CandleUpdate
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.session.budget import Budget
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.hub import Hub
from smarttrade.session.hub_counters import HubCounters
from smarttrade.session.protocol import SessionProtocol, Subscribe
from smarttrade.session.session_limits import SessionLimits
from smarttrade.session.subscriber import Subscriber
from smarttrade.store.database import ForeignFormat
from smarttrade.store.events import SubscriptionsOpened
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import OpenSubscriptions, Page
from smarttrade.store.stored_values import (
    Damaged,
    candles_from_list,
    entry_from_fields,
    notes_from_text,
    state_from_text,
)
from smarttrade.web.access import Access, AccessPolicy, request_info
from smarttrade.web.fast_path import parse_fast_request
from tests.fakes.outboxes import RecordingOutbox

MINUTE = 60_000
NOON = 1_733_054_400_000
BTC = Series("BTCUSDT", Interval.MINUTE_1)
SERIES = [BTC, Series("BTCUSDT", Interval.MONTH_1), Series("ETHUSDT", Interval.HOUR_1)]
TOKEN = "0123456789abcdef"
POLICY = AccessPolicy(Access(tokens=(TOKEN,), origins=("https://a.test",)))

# -- inputs ----------------------------------------------------------------------------------------

RAW = "raw\u0000"
"""Before what is written without quotes."""

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 7.0, 1e308, -5e-324, 10**15, 10**30, NOON, NOON + 1),
    *("", "BTCUSDT", "btcusdt", "1m", "1M", "7m", "subscribe", "\x1b[2J", "\ud800", "a" * 300),
    *([], {}, [[]], [[[]]] * 50, {"symbol": "BTCUSDT", "interval": "1m", "since": 0}),
    *(RAW + "1e999", RAW + "NaN", RAW + "-0", RAW + "9" * 5000, RAW + "1" * 19, RAW + "tru"),
)


def mutated(rng: random.Random, text: bytes) -> bytes:
    """The text with up to three changes."""
    for _ in range(rng.randrange(4)):
        text = _with_odd_value(rng, text) if rng.random() < 0.8 else _with_odd_bytes(rng, text)
    return text


def _with_odd_value(rng: random.Random, text: bytes) -> bytes:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return _with_odd_bytes(rng, text)
    changed = json.dumps(_replaced(rng, document), ensure_ascii=rng.random() < 0.5)
    for odd in ODD:
        if isinstance(odd, str) and odd.startswith(RAW):
            changed = changed.replace(json.dumps(odd), odd.removeprefix(RAW))
    return changed.encode(errors="surrogatepass")


def _replaced(rng: random.Random, node: Any) -> Any:
    if not isinstance(node, dict | list) or not node or rng.random() < 0.15:
        return rng.choice(ODD)
    kind = rng.randrange(8)
    if isinstance(node, list):
        at = rng.randrange(len(node))
        before, one, after = node[:at], node[at], node[at + 1 :]
        many = [[], [one] * rng.choice((2, 3, 1100))]
        return [*before, *(many[kind] if kind < len(many) else [_replaced(rng, one)]), *after]
    key = rng.choice(list(node))
    if kind == 0:
        return {name: value for name, value in node.items() if name != key}
    return node | {key: rng.choice(list(node.values())) if kind == 1 else _replaced(rng, node[key])}


def _with_odd_bytes(rng: random.Random, text: bytes) -> bytes:
    a, b = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    middle = rng.choice(
        (b"", rng.randbytes(rng.randrange(9)), text[a:b] * 2, b"\x00", b"\xff", b"[")
    )
    return text[:a] + middle + text[b:]


def to_json(value: Any) -> bytes:
    return json.dumps(value).encode()


# -- what is fuzzed --------------------------------------------------------------------------------


def session(data: bytes) -> str:
    """The client protocol, the store behind it and the hub: every request gets an answer."""
    protocol = SessionProtocol("s", "v", 25, SessionLimits(), Budget(SessionLimits()))
    store, outbox = filled_store(), RecordingOutbox()
    assert protocol.receive(data, store.catalogue, 0.0)
    [action] = protocol.receive(data.decode(errors="ignore"), store.catalogue, 1.0)
    if isinstance(action, Subscribe):
        subscriber = Subscriber(outbox, protocol.budget)
        opening = OpenSubscriptions(subscriber, action.wanted, action.acknowledgement)
        events = store.open_subscriptions(opening)
        hub = Hub(CandleTexts(), HubCounters(), lambda: 0.0)
        hub.handle([each for each in events if isinstance(each, SubscriptionsOpened)])
        assert outbox.drain()
    return type(action).__name__


def stream(data: bytes) -> str:
    """The exchange's stream: what is accepted is a candle that a window can hold."""
    decoded = BinanceDecoder(SERIES).decode(data)
    if isinstance(decoded, CandleUpdate):
        store = filled_store()
        store.put_updates([(decoded.series, decoded.candle)], 0.0, 0.0)
        check(store)
    return type(decoded).__name__


def rest(data: bytes) -> str:
    """The exchange's REST answers."""
    decode_error(data)
    for decode in (decode_listing, decode_server_time):
        try:
            decode(data)
        except Malformed:
            pass
        else:
            return decode.__name__
    rows = decode_klines(data, NOON)
    store = filled_store()
    store.put_history(BTC, rows, None, 0.0, 0.0)
    store.correct(BTC, rows, 0.0)
    check(store)
    return "candles"


def stored(data: bytes) -> str:
    """What is in Redis, as a document of fields and values."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Damaged("no document") from error
    if not isinstance(fields, dict):
        raise Damaged("no document")
    values = {
        name: value.encode(errors="surrogatepass") if isinstance(value, str) else to_json(value)
        for name, value in fields.items()
    }
    items = fields.get("list")
    rows = candles_from_list([to_json(row) for row in items] if isinstance(items, list) else [], 0)
    state_from_text(values.get("state"))
    notes_from_text(values.get("notes"), NOON)
    entry = entry_from_fields({name.encode(): value for name, value in values.items()}, time.time())
    store = filled_store()
    store.put_history(BTC, rows, None, 0.0, 0.0)
    for change in entry.changes:
        notes = {} if change.notes is None else {change.series: change.notes}
        store.follow(change.published, notes, entry.time, 0.0, 0.0)
    check(store)
    return f"entry of {len(entry.changes)}"


def heads(data: bytes) -> str:
    """Request heads and their authorization."""
    found = parse_fast_request(data)
    lines = [line.partition(b":") for line in data.split(b"\n")]
    request = request_info(b"GET", data, [(name.lower(), value) for name, _, value in lines])
    is_authorized = POLICY.is_authorized(request)
    assert not is_authorized or TOKEN.encode() in data or data[:1] == b"/"
    POLICY.allows_origin(request)
    POLICY.bucket_of(POLICY.client_of("127.0.0.1", request.forwarded))
    return "left" if found is None else "answered"


def filled_store() -> MemoryStore:
    store = MemoryStore(["BTCUSDT", "ETHUSDT"], [series.interval for series in SERIES])
    store.list_symbols(["BTCUSDT", "ETHUSDT"])
    rows = decode_klines(to_json([kline_row(minute) for minute in range(5)]), NOON)
    store.put_history(BTC, rows, None, 0.0, 0.0)
    return store


def check(store: MemoryStore) -> None:
    """Every window is in order, and can be sent."""
    texts = CandleTexts()
    store.overview(0.0)
    for series in store.listed:
        page = store.page(series, 1000, None)
        if not isinstance(page, Page):
            continue
        times = [candle.open_time for candle in page.candles]
        assert times == sorted(set(times))
        sent = json.loads(b"[" + texts.joined(series, page.candles) + b"]", parse_constant=refuse)
        assert [candle["time"] for candle in sent] == [time // 1000 for time in times]


def refuse(constant: str) -> float:
    raise AssertionError(f"not JSON: {constant}")


# -- what they begin with --------------------------------------------------------------------------


def kline_row(minute: int) -> list[Any]:
    opened = NOON + minute * MINUTE
    return [opened, "1.0", "2.0", "0.5", "1.5", "10", opened + MINUTE - 1, "15", 7, "5", "7", "0"]


def kline_event(minute: int, *, closed: bool) -> dict[str, Any]:
    opened = NOON + minute * MINUTE
    kline = {
        "t": opened,
        "T": opened + MINUTE - 1,
        "s": "BTCUSDT",
        "i": "1m",
        "f": 1,
        "L": 7,
        "o": "1.0",
        "c": "1.5",
        "h": "2.0",
        "l": "0.5",
        "v": "10",
        "n": 7,
        "x": closed,
        "q": "15",
        "V": "5",
        "Q": "7",
        "B": "0",
    }
    event = {"e": "kline", "E": opened + 2000 + 58_000 * closed, "s": "BTCUSDT", "k": kline}
    return {"stream": "btcusdt@kline_1m", "data": event}


CANDLE = [NOON, 1.0, 2.0, 0.5, 1.5, 10.0, True, NOON + MINUTE, False]
NOTES = [[[NOON, NOON + MINUTE]], [[NOON, NOON]], [[NOON, NOON + 5]], False]
STATE = {"symbols": ["BTCUSDT"], "intervals": ["1m"], "feed": "live", "since": 1.0}
BTC_1M = {"symbol": "BTCUSDT", "interval": "1m"}
SYMBOL = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "isSpotTradingAllowed": True,
    "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01000000"}],
}
WEIGHT = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}


class Target(NamedTuple):
    check: Callable[[bytes], str]
    examples: list[bytes]
    refusals: tuple[type[Exception], ...] = ()


TARGETS = {
    "session": Target(
        session,
        [
            to_json(BTC_1M),
            to_json({"subscriptions": [BTC_1M, {"symbol": "ETHUSDT", "interval": "1H"}]}),
            to_json({"action": "subscribe", "id": 7, "subscriptions": [BTC_1M | {"snapshot": 5}]}),
            to_json({"subscriptions": [BTC_1M | {"since": NOON // 1000}]}),
            to_json({"action": "unsubscribe", "subscriptions": [BTC_1M]}),
            to_json({"action": "list", "id": "x"}),
            to_json({"action": "ping", "id": 8}),
        ],
    ),
    "stream": Target(
        stream,
        [
            to_json(kline_event(1, closed=False)),
            to_json(kline_event(4, closed=True)),
            to_json(kline_event(5, closed=False)),
            to_json({"result": None, "id": 1}),
            to_json({"error": {"code": 2, "msg": "Invalid request"}, "id": 1}),
            to_json({"stream": "!status", "data": {"e": "serverShutdown", "E": NOON}}),
        ],
        (Malformed,),
    ),
    "rest": Target(
        rest,
        [
            to_json([kline_row(minute) for minute in range(3, 8)]),
            to_json({"symbols": [SYMBOL], "rateLimits": [WEIGHT], "serverTime": NOON}),
            to_json({"serverTime": NOON}),
            to_json({"code": -1121, "msg": "Invalid symbol."}),
        ],
        (Malformed,),
    ),
    "stored": Target(
        stored,
        [
            to_json(
                {
                    "seq": "5",
                    "time": str(NOON + MINUTE),
                    "format": "3",
                    "origin": "binance.com",
                    "list": [CANDLE],
                    "state": STATE,
                    "notes": NOTES,
                    "data": [["BTCUSDT", "1m", False, [CANDLE], [1], NOTES]],
                }
            )
        ],
        (Damaged, ForeignFormat),
    ),
    "heads": Target(
        heads,
        [
            b"GET /candles/BTCUSDT/1m?limit=5 HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n",
            (
                b"/ws/candles?access_token=0123456789abcdef\n"
                b"Authorization: Bearer 0123456789abcdef\nOrigin: https://a.test\n"
                b"X-Forwarded-For: 1.2.3.4, [::1]:5, 127.0.0.1\n"
            ),
        ],
    ),
}


def fuzz(target: Target, rng: random.Random) -> str:
    """One input; what became of it."""
    data = mutated(rng, rng.choice(target.examples))
    try:
        return target.check(data)
    except target.refusals as refusal:
        return type(refusal).__name__
    except BaseException:
        print(f"found: {data!r}", file=sys.stderr)
        raise


def main(name: str, minutes: float, seed: int) -> None:
    rng, outcomes = random.Random(seed), Counter[str]()
    until = time.monotonic() + minutes * 60
    while time.monotonic() < until:
        outcomes.update(fuzz(TARGETS[name], rng) for _ in range(100))
    print(f"{name}: {outcomes.total():,} inputs; {dict(outcomes.most_common(8))}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    main(arguments.target, arguments.minutes, arguments.seed)
