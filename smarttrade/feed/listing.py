"""The listing actor: which of the configured symbols the exchange lists and trades.

One request asks about all that it lists; those that it does not list are asked about now and then.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog
import trio

from actors import Backoff, Mailbox

from ..market.interval import Interval
from ..market.series import Series
from ..market.symbol_details import SymbolState
from ..store.messages import GetCatalogue, ListSymbols, StoreMessage
from .concurrency import run_all
from .errors import ExchangeRefused, ExchangeUnavailable, NoSymbolLeft
from .rest import RestClient
from .symbol_statuses import NOT_ANSWERED, Statuses, symbol_statuses
from .symbols import SymbolTracker
from .weight import Purpose

logger = structlog.get_logger("feed.listing")

LISTING_BACKOFF = Backoff(first=0.5, max_pause=10.0)  # seconds, while the exchange cannot be asked

MAX_NAMES = 20  # symbols that a line of the log lists

CHECK_INTERVAL = 60.0  # seconds between two looks at all symbols, while they trade
HALTED_CHECK_INTERVAL = 20.0
"""Seconds between two looks while some listed symbol does not trade, or is refused: one that trades
again is live within a minute."""
ABSENT_CHECK_INTERVAL = 300.0
"""Seconds between two looks at symbols that are not listed. Each look costs a request a symbol: one
that is not listed fails the question about all."""

MAX_PROBED = 10
"""Refused symbols of which each look asks for a candle, 2 of the weight each."""
MAX_PROBED_AT_ONCE = 4
"""Of the 20 connections: each question may take as long as its timeout."""
PROBES_TIMEOUT = 20.0
"""Seconds for the questions of one look. What it does not come to is what the next begins with."""


async def run_listing(
    symbols: SymbolTracker,
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
    catalogue = await store.ask(GetCatalogue)
    symbols.restore(catalogue.details)
    found = await _ask_until_answered(symbols.configured, rest)
    changed = _update(symbols, symbols.configured, found, wall_clock())
    if not symbols.served and not _unanswered(found):
        names = ", ".join(symbols.configured)
        raise NoSymbolLeft(f"the exchange lists none of: {names}; see SMARTTRADE_SYMBOLS")
    await _report(symbols, changed, store)
    absent_at = trio.current_time()
    probed: dict[str, float] = {}
    while True:
        await trio.sleep(CHECK_INTERVAL if symbols.is_all_trading else HALTED_CHECK_INTERVAL)
        asked: Sequence[str] = symbols.listed
        if trio.current_time() >= absent_at + ABSENT_CHECK_INTERVAL:
            asked, absent_at = symbols.configured, trio.current_time()
        try:
            found = await symbol_statuses(asked, rest, _unanswered(found))
        except ExchangeUnavailable:
            continue
        changed = _update(symbols, asked, found, wall_clock())
        changed += await _given_again(symbols, catalogue.intervals, rest, probed, wall_clock)
        if changed:
            await _report(symbols, changed, store)


def _unanswered(found: Statuses) -> set[str]:
    return {symbol for symbol, status in found.items() if status is NOT_ANSWERED}


def _update(
    symbols: SymbolTracker, asked: Sequence[str], found: Statuses, wall: float
) -> list[str]:
    """Note what was found; what questions about a symbol do not show stays as it was."""
    if unanswered := _unanswered(found):
        names = sorted(unanswered)[:MAX_NAMES]
        logger.warning("symbol_not_answered", count=len(unanswered), symbols=names)
    answered = [symbol for symbol in asked if symbol not in unanswered]
    return symbols.update(answered, found, wall)


async def _given_again(
    symbols: SymbolTracker,
    intervals: Sequence[Interval],
    rest: RestClient,
    probed: dict[str, float],
    wall_clock: Callable[[], float],
) -> list[str]:
    """Which of the refused symbols have their klines again: some are asked about at each look.

    `probed` has when each was asked about last; those for which that is longest ago come first.
    """
    given: list[str] = []
    if not intervals:
        return given
    shortest = min(intervals, key=lambda each: each.typical_length)

    async def probe(symbol: str) -> None:
        probed[symbol] = trio.current_time()
        try:
            await rest.klines(Series(symbol, shortest), limit=1, purpose=Purpose.CHECK)
        except (ExchangeRefused, ExchangeUnavailable):
            return
        if symbols.accept(symbol, wall_clock()):
            given.append(symbol)

    longest_ago = sorted(symbols.refused, key=lambda symbol: probed.get(symbol, -math.inf))
    jobs = [partial(probe, symbol) for symbol in longest_ago[:MAX_PROBED]]
    with trio.move_on_after(PROBES_TIMEOUT):
        await run_all(jobs, at_once=MAX_PROBED_AT_ONCE)
    return given


async def _report(
    symbols: SymbolTracker, changed: Sequence[str], store: Mailbox[StoreMessage]
) -> None:
    log_states(changed, symbols)
    await report_symbols(symbols, store)


async def report_symbols(symbols: SymbolTracker, store: Mailbox[StoreMessage]) -> None:
    """Let the store know of each symbol."""
    await store.tell(ListSymbols(symbols.served, dict(symbols.details)))


def log_states(changed: Sequence[str], symbols: SymbolTracker) -> None:
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


async def _ask_until_answered(symbols: Sequence[str], rest: RestClient) -> Statuses:
    failures = 0
    while True:
        try:
            return await symbol_statuses(symbols, rest)
        except ExchangeUnavailable as error:
            failures += 1
            logger.warning("exchange_unavailable", error=str(error), tries=failures)
            await trio.sleep(LISTING_BACKOFF.pause(failures, random.random()))
