"""The stream actor between an exchange that follows a script and a store that records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import trio

from smarttrade.binance.limits import CONNECTION_PERIOD, ROTATE_AFTER
from smarttrade.binance.venue import BINANCE
from smarttrade.feed.budgets import AttemptBudget
from smarttrade.feed.hosts import Hosts
from smarttrade.feed.rest import RestClient
from smarttrade.feed.stream import run_stream
from smarttrade.feed.stream_context import StreamCounters
from smarttrade.feed.weight import WeightBudget
from smarttrade.market.series import Series
from tests.fakes.exchange_rest import RestExchange
from tests.fakes.exchange_store import RecordingStore
from tests.fakes.exchange_streams import BTC, Behaviour, Peer, StreamExchange, kline

MAIN, SPARE = "ws://main.test", "ws://spare.test"
EVERY = 2.0  # seconds between two events of a series


@dataclass
class RunningStream:
    exchange: StreamExchange
    store: RecordingStore
    history: RestExchange
    counters: StreamCounters
    open: list[tuple[float, int]] = field(default_factory=list)
    """The number of connections after every change."""

    @property
    def delivered(self) -> list[tuple[Series, int, bool]]:
        """Series, open time and whether it is closed, of each update that the store received."""
        return [(series, c.open_time, c.closed) for series, c in self.store.updates]

    async def watch(self) -> None:
        while True:
            number = len(self.exchange.open)
            if not self.open or self.open[-1][1] != number:
                self.open.append((trio.current_time(), number))
            await trio.sleep(0.1)

    def doubled(self) -> list[float]:
        """Durations for which there were two connections."""
        following = [*self.open[1:], (trio.current_time(), 0)]
        return [
            round(end - begin, 1)
            for (begin, number), (end, _) in zip(self.open, following, strict=True)
            if number > 1
        ]


@asynccontextmanager
async def running_stream(
    *script: Behaviour,
    series: Sequence[Series] = (BTC,),
    endpoints: Sequence[str] = (MAIN, SPARE),
    rotate_after: float = ROTATE_AFTER,
    attempts: AttemptBudget | None = None,
    watched: bool = True,
) -> AsyncIterator[RunningStream]:
    """The actor, until the block is left; with `watched`, `open` is recorded."""
    async with trio.open_nursery() as nursery:
        history = RestExchange()
        feed = RunningStream(
            StreamExchange(nursery, *script), RecordingStore(series), history, StreamCounters()
        )
        async with history.client() as http:
            rest = RestClient(BINANCE, http, ["https://api.exchange.test"], WeightBudget(6000))
            nursery.start_soon(feed.store.run)
            if watched:
                nursery.start_soon(feed.watch)
            await nursery.start(
                partial(
                    run_stream,
                    feed.store.mailbox,
                    rest,
                    BINANCE,
                    Hosts(endpoints),
                    dial=feed.exchange.dial,
                    attempts=attempts or AttemptBudget(150, CONNECTION_PERIOD),
                    counters=feed.counters,
                    rotate_after=rotate_after,
                    wall_clock=lambda: 1000 + trio.current_time(),
                )
            )
            yield feed
            nursery.cancel_scope.cancel()


def sending_updates(*series: Series, until: float = float("inf")) -> Behaviour:
    """Updates each series every two seconds with growing volume, until `until`."""

    async def send(peer: Peer) -> None:
        async def receive_all(nursery: trio.Nursery) -> None:
            await peer.receive()
            nursery.cancel_scope.cancel()

        await peer.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive_all, nursery)
            for _ in count():
                now = trio.current_time()
                for each in series or (BTC,):
                    if now < until:
                        text = kline(each, 0, close=1.0 + now, event_time=int(now * 1000) + 1)
                        await peer.send_text(text)
                await trio.sleep(EVERY)

    return send
