"""What may be wrong with the life of a symbol at the exchange."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import trio

import smarttrade.feed.subtree as feed_module
from actors import Mailbox
from smarttrade.feed.errors import NoSymbolLeft
from smarttrade.feed.listing import report_symbols
from smarttrade.feed.rest import RestClient
from smarttrade.feed.symbol_statuses import symbol_statuses
from smarttrade.feed.symbols import SymbolTracker
from smarttrade.store.messages import StoreMessage
from smarttrade.store.symbols import SymbolStates


@contextmanager
def listed_once() -> Iterator[None]:
    """The exchange is asked at the start; what does not trade then is unknown from then on."""

    async def ask_once(
        symbols: SymbolTracker,
        store: Mailbox[StoreMessage],
        rest: RestClient,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
        **_: Any,
    ) -> None:
        task_status.started()
        found = await symbol_statuses(symbols.configured, rest)
        trading = {name: status for name, status in found.items() if status.is_trading}
        symbols.update(symbols.configured, trading, 0.0)
        if not symbols.served:
            raise NoSymbolLeft("no symbol trades")
        await report_symbols(symbols, store)
        await trio.sleep_forever()

    with patch.object(feed_module, "run_listing", ask_once):
        yield


@contextmanager
def refusal_is_not_excused() -> Iterator[None]:
    """A symbol that the exchange does not trade makes the service unready for as long."""
    with patch.object(SymbolStates, "is_excused", lambda *_, **__: False):
        yield
