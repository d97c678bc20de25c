"""What may be wrong between the exchange and the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import trio

import smarttrade.feed.subtree as feed_module
from smarttrade.feed.backfill import _Backfill
from smarttrade.feed.backfill_queue import Attempt
from smarttrade.feed.hosts import FailureKind, Host, Hosts
from smarttrade.feed.stall_detector import StallDetector
from smarttrade.feed.websocket_client import WebSocket
from smarttrade.market import published_candles, replica, stored_window, window, window_state
from smarttrade.market.candle import Candle, supersedes
from smarttrade.market.change import Change
from smarttrade.market.series import Series
from smarttrade.market.window import Window

from ..deterministic import START
from ..process import CURRENT_RUN


@contextmanager
def no_gap_fill() -> Iterator[None]:
    read = _Backfill._attempt

    async def only_the_first(self: _Backfill, taken: Attempt) -> None:
        if taken.missing.first is None:
            await read(self, taken)
        else:
            self._queue.settle(taken.missing.series, None)

    with patch.object(_Backfill, "_attempt", only_the_first):
        yield


@contextmanager
def no_watchdog() -> Iterator[None]:
    async def sleep(_: WebSocket) -> None:
        await trio.sleep_forever()

    def none(*_: Any) -> list[Series]:
        return []

    with (
        patch.object(WebSocket, "probe_when_silent", sleep),
        patch.object(StallDetector, "suspects", none),
    ):
        yield


@contextmanager
def superseding(rule: Callable[[Candle, Candle], bool]) -> Iterator[None]:
    with ExitStack() as stack:
        for module in (published_candles, replica, stored_window, window, window_state):
            stack.enter_context(patch.object(module, "supersedes", rule))
        yield


@contextmanager
def staler_row_wins() -> Iterator[None]:
    def by_age(candidate: Candle, current: Candle) -> bool:
        if candidate.from_rest and not current.closed and not candidate.closed:
            return candidate.volume != current.volume
        return supersedes(candidate, current)

    with superseding(by_age):
        yield


@contextmanager
def closes_twice() -> Iterator[None]:
    def any_close(candidate: Candle, current: Candle) -> bool:
        return candidate.closed or supersedes(candidate, current)

    with superseding(any_close):
        yield


@contextmanager
def busy_ignored() -> Iterator[None]:
    with patch.object(Hosts, "failed", lambda *_, **__: None):
        yield


@contextmanager
def firewall_ignored() -> Iterator[None]:
    open_circuit = Hosts._open

    def unless_blocked(
        self: Hosts, host: Host, kind: FailureKind, now: float, seconds: float
    ) -> None:
        if kind is not FailureKind.BLOCKED:
            open_circuit(self, host, kind, now, seconds)

    with patch.object(Hosts, "_open", unless_blocked):
        yield


@contextmanager
def no_audit() -> Iterator[None]:
    async def nothing(
        *_: Any, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED, **__: Any
    ) -> None:
        task_status.started()
        await trio.sleep_forever()

    with patch.object(feed_module, "run_audit", nothing):
        yield


@contextmanager
def wall_clock() -> Iterator[None]:
    """A row that was read is final when this machine thinks that its time is over."""
    merge = Window.merge

    def by_the_wall(self: Window, rows: Sequence[Candle], first: int | None = None) -> Change:
        current = CURRENT_RUN.get()
        assert current is not None
        wall = 1000 * (START + trio.current_time() + current.process.clock_error)
        ended = [row._replace(closed=self.interval.close_time(row[0]) < wall) for row in rows]
        return merge(self, ended, first)

    with patch.object(Window, "merge", by_the_wall):
        yield
