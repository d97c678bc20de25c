"""What may be wrong when another process leads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import smarttrade.store.backlog as backlog_module
import tests.fakes.database as database_module
from smarttrade.market.window_state import WindowState
from smarttrade.store.backlog import PendingCandle
from smarttrade.store.catalogue import SeriesCatalogue
from smarttrade.store.database import StoredWindow
from smarttrade.store.journal.reconciler import Reconciler
from smarttrade.store.journal.standby import Standby


@contextmanager
def _memory_decides() -> Iterator[None]:
    """A process that begins to lead takes nothing of what the one before it has stored."""

    async def nothing(*_: Any) -> None:
        pass

    async def only_compare(self: Reconciler, stored: StoredWindow) -> None:
        if stored.state is not None:
            self._journal.lengths[stored.series] = len(stored.state.candles)
        self._journal.backlog.compare(stored.series, stored.state)

    with (
        patch.object(Standby, "_take", nothing),
        patch.object(Reconciler, "_merge", only_compare),
        patch.object(database_module, "_with_tail", lambda given, *_: given),
    ):
        yield


@contextmanager
def close_undone() -> Iterator[None]:
    """What differs is written over, also a close by a forming state."""

    def all_that_differs(mine: WindowState, stored: WindowState) -> list[PendingCandle]:
        held = {candle.open_time: candle for candle in stored.candles}
        return [
            PendingCandle(candle, candle.open_time in held)
            for candle in mine.candles
            if candle != held.get(candle.open_time)
        ]

    with _memory_decides(), patch.object(backlog_module, "_differences", all_that_differs):
        yield


@contextmanager
def shorter_list_wins() -> Iterator[None]:
    """A stored list that is not the same is replaced, even by one that ends earlier."""

    def all_or_nothing(mine: WindowState, stored: WindowState) -> list[PendingCandle] | None:
        return [] if mine.candles == stored.candles else None

    with _memory_decides(), patch.object(backlog_module, "_differences", all_or_nothing):
        yield


@contextmanager
def series_dropped() -> Iterator[None]:
    """A series that another leader does not have is dropped, and begins again when it returns."""

    def without_memory(self: SeriesCatalogue, *arguments: Any) -> None:
        change(self, *arguments)
        self._departed.clear()

    change = SeriesCatalogue.change
    with patch.object(SeriesCatalogue, "change", without_memory):
        yield
