"""The stages of an update, one after the other in one process: prints what each costs, in µs.

From what a socket gives to what a socket takes: split into messages, decode, apply to the window,
encode and post to a client's outbox. A JSON job on the command line, a JSON result on standard
output.
"""

from __future__ import annotations

import json
import socket
import sys
from itertools import cycle, islice
from time import thread_time_ns
from typing import Any

import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from smarttrade.binance.wire import BinanceDecoder
from smarttrade.feed.venue import CandleUpdate
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.session.budget import Budget
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.hub import Hub
from smarttrade.session.hub_counters import HubCounters
from smarttrade.session.outbox import Outbox
from smarttrade.session.outbox_counters import OutboxCounters
from smarttrade.session.session_limits import SessionLimits
from smarttrade.session.subscriber import Subscriber
from smarttrade.store.events import (
    CandlesPublished,
    FeedChanged,
    SubscriptionsClosed,
    SubscriptionsOpened,
)
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import OpenSubscriptions, SubscriptionSpec
from tests.benchmarks.exchange import INTERVALS, Klines, SeriesFeed

NOW = 1_764_633_605_000  # ms; five seconds after the exchange's midnight
ROWS = 20
BATCH = 60  # updates handled together, as after one read of the socket
STAGES = ("split", "decode", "apply", "encode and post")

HUB_EVENTS = (CandlesPublished, SubscriptionsOpened, SubscriptionsClosed, FeedChanged)


def history(interval: Interval) -> list[Candle]:
    rows = json.loads(Klines(interval.value).body(NOW, None, None, ROWS))
    last = len(rows) - 1
    return [
        Candle._make((row[0], *map(float, row[1:6]), at < last, 1, True))
        for at, row in enumerate(rows)
    ]


async def run(job: dict[str, Any]) -> dict[str, float]:
    symbols = [f"S{number}USDT" for number in range(job["series"] // len(INTERVALS))]
    intervals = [Interval(name) for name in INTERVALS]
    store = MemoryStore(symbols, intervals)
    store.list_symbols(symbols)
    rows = {interval: history(interval) for interval in intervals}
    for series in store.listed:
        store.put_history(series, rows[series.interval], None, 0.0, 0.0)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    outbox = Outbox(
        trio.SocketStream(trio.socket.from_stdlib_socket(ours)), counters=OutboxCounters()
    )
    hub = Hub(CandleTexts(), HubCounters())
    wanted = [SubscriptionSpec(series) for series in store.listed]
    opened = OpenSubscriptions(Subscriber(outbox, Budget(SessionLimits())), wanted, b"")
    hub.handle(_for_hub(store.open_subscriptions(opened)))
    reader, decoder = Connection(ConnectionType.CLIENT), BinanceDecoder(store.listed)
    feeds = cycle([SeriesFeed(series.symbol, series.interval.value) for series in store.listed])
    spent = dict.fromkeys(STAGES, 0)
    now = NOW
    for turn in range(job["updates"] // BATCH + 1):
        now += 1
        data = b"".join([line.frames(now) for line in islice(feeds, BATCH)])
        a = thread_time_ns()
        reader.receive_data(data)
        messages = [event.data for event in reader.events() if isinstance(event, TextMessage)]
        b = thread_time_ns()
        decoded = [decoder.decode(message) for message in messages]
        c = thread_time_ns()
        updates = [(t.series, t.candle) for t in decoded if isinstance(t, CandleUpdate)]
        events = store.put_updates(updates, 0.0, 0.0)
        d = thread_time_ns()
        hub.handle(_for_hub(events))
        e = thread_time_ns()
        _empty(theirs)
        if turn:  # the first one fills caches
            for stage, ns in zip(STAGES, (b - a, c - b, d - c, e - d), strict=True):
                spent[stage] += ns
    assert hub.counters.delivered == (job["updates"] // BATCH + 1) * BATCH
    count = job["updates"] // BATCH * BATCH
    return {stage: ns / count / 1000 for stage, ns in spent.items()}


def _for_hub(events: Any) -> list[Any]:
    return [event for event in events if isinstance(event, HUB_EVENTS)]


def _empty(sock: socket.socket) -> None:
    try:
        while sock.recv(1 << 20):
            pass
    except BlockingIOError:
        pass


if __name__ == "__main__":
    print(json.dumps(trio.run(run, json.loads(sys.argv[1]))))
