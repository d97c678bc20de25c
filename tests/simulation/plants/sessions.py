"""What may be wrong between the store and its clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import smarttrade.app as app_module
from actors import Mailbox, Strategy, Supervisor
from smarttrade.market.packed_candles import PackedCandles
from smarttrade.market.window import Window
from smarttrade.session.frame_queue import FrameQueue
from smarttrade.session.frames import Frame
from smarttrade.session.hub import Hub
from smarttrade.store.events import Event, SubscriptionsClosed, SubscriptionsOpened
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import CloseSubscriptions, OpenSubscriptions


@contextmanager
def snapshot_first() -> Iterator[None]:
    """A snapshot is taken, and the subscription begins some messages later."""
    opened = MemoryStore.open_subscriptions
    waiting: list[tuple[int, list[Event]]] = []
    put = MemoryStore.put_updates

    def open_later(self: MemoryStore, request: OpenSubscriptions[Any]) -> list[Event]:
        waiting.append((2, opened(self, request)))
        return []

    def put_and_open(self: MemoryStore, *arguments: Any) -> list[Event]:
        events = put(self, *arguments)
        due = [each for left, each in waiting if left <= 1]
        waiting[:] = [(left - 1, each) for left, each in waiting if left > 1]
        return [*events, *(event for each in due for event in each)]

    with (
        patch.object(MemoryStore, "open_subscriptions", open_later),
        patch.object(MemoryStore, "put_updates", put_and_open),
    ):
        yield


@contextmanager
def close_dropped() -> Iterator[None]:
    """What is pending is kept one a series, not one a candle."""
    queue = FrameQueue._queue

    def one_a_series(self: FrameQueue, frames: Sequence[Frame]) -> None:
        queue(self, [(key[0] if isinstance(key, tuple) else key, data) for key, data in frames])

    with patch.object(FrameQueue, "_queue", one_a_series):
        yield


@contextmanager
def since_is_exclusive() -> Iterator[None]:
    since = Window.since

    def after(self: Window, open_time: int) -> PackedCandles:
        return since(self, open_time + 1)

    with patch.object(Window, "since", after):
        yield


@contextmanager
def unsubscribe_ignored() -> Iterator[None]:
    close = MemoryStore.close_subscriptions

    def only_say_so(self: MemoryStore, request: CloseSubscriptions[Any]) -> list[Event]:
        events = close(self, request)
        return [
            replace(event, series=()) if isinstance(event, SubscriptionsClosed) else event
            for event in events
            if request.series is not None
        ]

    with patch.object(MemoryStore, "close_subscriptions", only_say_so):
        yield


@contextmanager
def ask_hangs() -> Iterator[None]:
    with patch.object(Mailbox, "fail_unanswered", lambda *_: None):
        yield


@contextmanager
def hub_restarts_alone() -> Iterator[None]:
    def one_for_one(name: str, children: Sequence[Any], **options: Any) -> Supervisor:
        return Supervisor(name, children, **{**options, "strategy": Strategy.ONE_FOR_ONE})

    with patch.object(app_module, "Supervisor", one_for_one):
        yield


@contextmanager
def since_is_not_attached() -> Iterator[None]:
    """A client that comes back gets its snapshot, and is not subscribed."""
    open_ = Hub._open

    def without(self: Hub, opened: SubscriptionsOpened[Any]) -> None:
        is_back = any(0 < len(snapshot.candles) < 3 for snapshot in opened.snapshots)
        open_(self, replace(opened, series=()) if is_back else opened)

    with patch.object(Hub, "_open", without):
        yield
