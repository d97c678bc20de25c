"""The listing actor: which of the configured symbols the exchange lists and trades."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import structlog
import trio

from actors import Backoff, Mailbox

from ..store.messages import ListSymbols, StoreMessage
from .errors import ExchangeRefused, ExchangeUnavailable, NoSymbolLeft
from .rest import RestClient
from .venue import SymbolStatus

logger = structlog.get_logger("feed.listing")

PAUSE = Backoff(first=0.5, max_pause=10.0)  # seconds, while the exchange cannot be asked

MAX_AT_ONCE = 200  # symbols in one question, 3 KB of URL; many servers stop at 8190 for a line

NOT_LISTED = SymbolStatus("not listed", is_trading=False)


async def run_listing(
    symbols: Sequence[str],
    store: Mailbox[StoreMessage],
    rest: RestClient,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Ask the exchange about every symbol, tell the store which are good, and return.

    Raises:
        NoSymbolLeft: none is; no restart would help.
    """
    task_status.started()
    statuses = await _ask_until_answered(symbols, rest)
    for symbol in symbols:
        status = statuses.get(symbol)
        if status is None:
            logger.error("symbol_left_out", symbol=symbol, reason="not listed at the exchange")
        elif not status.is_trading:
            logger.error("symbol_left_out", symbol=symbol, reason=f"not trading: {status.name}")
    good = [symbol for symbol in symbols if statuses.get(symbol, NOT_LISTED).is_trading]
    if not good:
        raise NoSymbolLeft(
            f"the exchange lists and trades none of: {', '.join(symbols)}; see SMARTTRADE_SYMBOLS"
        )
    await store.tell(ListSymbols(good))


async def _ask_until_answered(
    symbols: Sequence[str], rest: RestClient
) -> Mapping[str, SymbolStatus]:
    failures = 0
    while True:
        try:
            return await symbol_statuses(symbols, rest)
        except ExchangeUnavailable as error:
            failures += 1
            logger.warning("exchange_unavailable", error=str(error), tries=failures)
            await trio.sleep(PAUSE.pause(failures, random.random()))


async def symbol_statuses(symbols: Sequence[str], rest: RestClient) -> Mapping[str, SymbolStatus]:
    """The status of each symbol that the exchange knows.

    One unknown symbol fails the whole question, and the answer does not say which: the question
    is halved until the bad ones stand alone. So is one that is too long.
    """
    if len(symbols) <= MAX_AT_ONCE:
        try:
            return await rest.symbol_statuses(symbols)
        except ExchangeRefused:
            if len(symbols) <= 1:
                return {}
    middle = len(symbols) // 2
    return {
        **await symbol_statuses(symbols[:middle], rest),
        **await symbol_statuses(symbols[middle:], rest),
    }
