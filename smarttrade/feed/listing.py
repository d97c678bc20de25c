"""The listing actor: which of the configured symbols the exchange lists and trades.

One request asks about all that it lists; those that it does not list are asked about now and then.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
import trio

from actors import Backoff, Mailbox

from ..market.symbol_details import SymbolState
from ..store.messages import GetCatalogue, ListSymbols, StoreMessage
from .errors import ExchangeRefused, ExchangeUnavailable, NoSymbolLeft
from .rest import RestClient
from .symbols import Symbols
from .venue import SymbolStatus

logger = structlog.get_logger("feed.listing")

LISTING_BACKOFF = Backoff(first=0.5, max_pause=10.0)  # seconds, while the exchange cannot be asked

MAX_AT_ONCE = 200  # symbols in one question, 3 KB of URL; many servers stop at 8190 for a line

MAX_NAMES = 20  # symbols that a line of the log lists

CHECK_INTERVAL = 60.0  # seconds between two looks at all symbols, while they trade
HALTED_CHECK_INTERVAL = 20.0
"""Seconds between two looks while some listed symbol does not trade: one that trades again is live
within a minute."""
ABSENT_CHECK_INTERVAL = 300.0
"""Seconds between two looks at symbols that are not listed. Each look costs a request a symbol: one
that is not listed fails the question about all."""

NOT_LISTED = SymbolStatus("not listed", is_trading=False)


async def run_listing(
    symbols: Symbols,
    store: Mailbox[StoreMessage],
    rest: RestClient,
    *,
    wall_clock: Callable[[], float] = time.time,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Ask the exchange about every symbol, and report to the store, until cancelled.

    `symbols` outlives restarts of this actor.

    Raises:
        NoSymbolLeft: none is listed, and none ever was; no restart would help.
    """
    task_status.started()
    symbols.restore((await store.ask(GetCatalogue)).details)
    changed = symbols.update(
        symbols.configured, await _ask_until_answered(symbols.configured, rest), wall_clock()
    )
    if not symbols.served:
        names = ", ".join(symbols.configured)
        raise NoSymbolLeft(f"the exchange lists none of: {names}; see SMARTTRADE_SYMBOLS")
    await _report(symbols, changed, store)
    absent_at = trio.current_time()
    while True:
        await trio.sleep(CHECK_INTERVAL if symbols.is_all_trading else HALTED_CHECK_INTERVAL)
        asked: Sequence[str] = symbols.listed
        if trio.current_time() >= absent_at + ABSENT_CHECK_INTERVAL:
            asked, absent_at = symbols.configured, trio.current_time()
        try:
            found = await symbol_statuses(asked, rest)
        except ExchangeUnavailable:
            continue
        changed = symbols.update(asked, found, wall_clock())
        if changed:
            await _report(symbols, changed, store)


async def _report(symbols: Symbols, changed: Sequence[str], store: Mailbox[StoreMessage]) -> None:
    log_states(changed, symbols)
    await report_symbols(symbols, store)


async def report_symbols(symbols: Symbols, store: Mailbox[StoreMessage]) -> None:
    """Let the store know of each symbol."""
    await store.tell(ListSymbols(symbols.served, dict(symbols.details)))


def log_states(changed: Sequence[str], symbols: Symbols) -> None:
    """One line for all symbols that are in the same state now, for the same reason."""
    groups: dict[tuple[SymbolState, str | None], list[str]] = {}
    for symbol in changed:
        details = symbols.details[symbol]
        groups.setdefault((details.state, details.reason), []).append(symbol)
    for (state, reason), names in groups.items():
        fields = {"count": len(names), "symbols": names[:MAX_NAMES]}
        if state is SymbolState.UNKNOWN:
            hint = "see SMARTTRADE_SYMBOLS; it is served as soon as it is listed"
            logger.error("symbol_left_out", **fields, reason=reason, hint=hint)
        elif state is SymbolState.TRADING:
            logger.info("symbol_trades", **fields)
        else:
            logger.error("symbol_stopped", **fields, reason=reason)


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
            await trio.sleep(LISTING_BACKOFF.pause(failures, random.random()))


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
