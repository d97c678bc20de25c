"""The audit actor: compares what was published with the exchange's history, for ever and gently.

And now and then, whether the symbols are still traded. One that is not keeps its candles, as the
exchange does: the same is seen while all trading is halted for an hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
import trio

from actors import Mailbox

from ..market.candle import Candle
from ..market.series import Series
from ..market.window import Difference
from ..store.messages import CorrectCandles, GetDifferences, GetListed, StoreMessage
from .errors import ExchangeRefused, ExchangeUnavailable
from .listing import NOT_LISTED, symbol_statuses
from .rest import RestClient
from .venue import SymbolStatus
from .weight import Purpose

logger = structlog.get_logger("feed.audit")

AUDITED = 100  # closed candles of a series that are read again in each turn
SETTLING = 2
"""Rows at the end that are left out: a candle may be read while the exchange still writes it."""

AUDIT_ROUND = 120.0
"""Seconds in which every series is compared once, if there are not too many. At Binance, 60 series
cost 60 of the 6000 weight a minute."""

LEAST_PAUSE = 1.0  # seconds between two series, however many there are

CONFIRM_AFTER = 2.0
"""Seconds until a difference is read once more: one answer may come from a cache gone stale, and
the repair of what is right would be the greater harm."""

SYMBOLS_EVERY = 600.0  # seconds between two looks at the symbols' statuses


@dataclass(slots=True)
class AuditCounters:
    """What the audit did since the process started; survives restarts of the actor."""

    compared: int = 0
    """Closed candles compared."""
    differences: int = 0
    """Candles found to differ twice in the same way, and repaired."""
    turns: int = 0
    """Series compared."""
    skipped: int = 0
    """Turns passed over: the exchange did not answer, or the weight was needed for other things."""


async def run_audit(
    store: Mailbox[StoreMessage],
    rest: RestClient,
    *,
    counters: AuditCounters,
    round_within: float = AUDIT_ROUND,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Compare each listed series in turn, and repair what differs.

    Uses no weight while more than half of the ceiling is used: gaps are more urgent.
    """
    task_status.started()
    series = await store.ask(GetListed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch_symbols, sorted({each.symbol for each in series}), rest)
        nursery.start_soon(_compare_for_ever, series, store, rest, counters, round_within)


async def _watch_symbols(symbols: Sequence[str], rest: RestClient) -> None:
    """Log each symbol that stops trading, or trades again."""
    known: Mapping[str, SymbolStatus | None] = dict.fromkeys(symbols)
    while True:
        await trio.sleep(SYMBOLS_EVERY)
        try:
            statuses = await symbol_statuses(symbols, rest)
        except ExchangeUnavailable:
            continue
        found = {symbol: statuses.get(symbol, NOT_LISTED) for symbol in symbols}
        for symbol, status in found.items():
            if status != known[symbol]:
                _log_status(symbol, status, is_first=known[symbol] is None)
        known = found


def _log_status(symbol: str, status: SymbolStatus, *, is_first: bool) -> None:
    """A symbol that trades at first has done so since it was listed: no news."""
    if not status.is_trading:
        advice = "if it was renamed, see SMARTTRADE_SYMBOLS"
        logger.error("symbol_stopped", symbol=symbol, status=status.name, advice=advice)
    elif not is_first:
        logger.info("symbol_trades_again", symbol=symbol)


async def _compare_for_ever(
    series: Sequence[Series],
    store: Mailbox[StoreMessage],
    rest: RestClient,
    counters: AuditCounters,
    round_within: float,
) -> None:
    pause = max(LEAST_PAUSE, round_within / max(1, len(series)))
    while True:
        for each in series:
            await trio.sleep(pause)
            try:
                await _audit(each, store, rest, counters)
            except (ExchangeUnavailable, ExchangeRefused) as error:
                counters.skipped += 1
                logger.info("audit_skipped", series=str(each), error=str(error))


async def _audit(
    series: Series, store: Mailbox[StoreMessage], rest: RestClient, counters: AuditCounters
) -> None:
    rows = await rest.klines(series, limit=AUDITED + SETTLING, purpose=Purpose.AUDIT)
    settled = rows[:-SETTLING]
    counters.turns += 1
    counters.compared += len(settled)
    found = await store.ask(partial(GetDifferences, series, settled))
    if not found:
        return
    await trio.sleep(CONFIRM_AFTER)
    again = await rest.klines(series, limit=AUDITED + SETTLING, purpose=Purpose.AUDIT)
    confirmed = _confirmed(found, again)
    counters.differences += len(confirmed)
    for difference in confirmed:
        logger.warning(
            "audit_difference",
            series=str(series),
            open_time=difference.row.open_time,
            published=None if difference.held is None else difference.held[1:6],
            exchange=difference.row[1:6],
        )
    if confirmed:
        rows = [difference.row for difference in confirmed]
        await store.tell(CorrectCandles(series, rows))


def _confirmed(found: tuple[Difference, ...], again: list[Candle]) -> list[Difference]:
    """Those that the exchange told twice in the same way."""
    told = {row.open_time: row for row in again if row.closed}
    return [
        difference
        for difference in found
        if (row := told.get(difference.row.open_time)) is not None
        and row.same_values(difference.row)
    ]
