"""A store as the feed sees it, which records messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import trio

from actors import Mailbox
from smarttrade.market.candle import Candle
from smarttrade.market.series import Series
from smarttrade.store.feed import Feed
from smarttrade.store.messages import (
    FindMissing,
    GetListed,
    PutHistory,
    PutUpdates,
    ReportFeed,
    StoreMessage,
)

M = TypeVar("M")


class RecordingStore:
    """Answers which series are listed, and records everything else.

    Receives nothing between `pause` and `resume`, so its mailbox fills up.
    """

    def __init__(self, series: Sequence[Series] = (), *, capacity: int = 64) -> None:
        self.series = tuple(series)
        self.mailbox = Mailbox[StoreMessage]("store", capacity=capacity)
        self.messages: list[tuple[float, StoreMessage]] = []
        self._free = trio.Event()
        self._free.set()

    def pause(self) -> None:
        self._free = trio.Event()

    def resume(self) -> None:
        self._free.set()

    async def run(self) -> None:
        async for message in self.mailbox:
            await self._free.wait()
            if isinstance(message, GetListed):
                message.reply.set(self.series)
            else:
                self.messages.append((trio.current_time(), message))

    def got(self, kind: type[M]) -> list[M]:
        return [message for _, message in self.messages if isinstance(message, kind)]

    def times(self, kind: type[object]) -> list[float]:
        return [at for at, message in self.messages if isinstance(message, kind)]

    @property
    def updates(self) -> list[tuple[Series, Candle]]:
        return [update for message in self.got(PutUpdates) for update in message.updates]

    @property
    def history(self) -> list[PutHistory]:
        return self.got(PutHistory)

    @property
    def searches(self) -> list[FindMissing]:
        return self.got(FindMissing)

    @property
    def feeds(self) -> list[tuple[float, Feed]]:
        return [
            (at, message.status.feed)
            for at, message in self.messages
            if isinstance(message, ReportFeed)
        ]
