"""The audit actor: compares what was published with the exchange's history, until stopped.

Each turn reads a whole window of one series, in one request. A round is as long as the setting
says, or as the audit's share of the request weight allows, whichever is longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog
import trio

from actors import Mailbox

from ..market.candle import Candle
from ..market.differences import Difference
from ..market.series import Series
from ..market.settling import forming_from
from ..store.messages import CorrectCandles, GetDifferences, GetListed, StoreMessage
from .errors import ExchangeRefused, ExchangeUnavailable
from .rest import RestClient
from .weight import Purpose

logger = structlog.get_logger("feed.audit")

AUDIT_ROUND = 120.0
"""Seconds in which every series is compared once, if there are not too many. At Binance, 60 series
cost 60 of the 6000 weight a minute."""

CONFIRM_AFTER = 2.0
"""Seconds until a difference is read once more: one answer may come from a cache gone stale, and
the repair of what is right would be the greater harm."""


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
    """Turns passed over: the exchange did not answer."""
    round_seconds: float = 0.0
    """How long a round takes, computed from the setting, the series and the weight."""


async def run_audit(
    store: Mailbox[StoreMessage],
    rest: RestClient,
    *,
    counters: AuditCounters,
    target_round: float = AUDIT_ROUND,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Compare each listed series in turn, and repair what differs.

    A round takes `target_round` seconds, or longer: requests that are more urgent come first.
    """
    task_status.started()
    while True:
        series = await store.ask(GetListed)
        pause = _pause(series, rest, target_round)
        _note_round(pause * len(series), counters, target_round)
        for each in series:
            await trio.sleep(pause)
            try:
                await _audit(each, store, rest, counters)
            except (ExchangeUnavailable, ExchangeRefused) as error:
                counters.skipped += 1
                logger.info("audit_skipped", series=str(each), error=str(error))


def _pause(series: Sequence[Series], rest: RestClient, target_round: float) -> float:
    """Seconds between two turns."""
    if not series:
        return target_round
    return max(target_round / len(series), rest.klines_interval(series[0], Purpose.AUDIT))


def _note_round(seconds: float, counters: AuditCounters, wanted: float) -> None:
    if seconds == counters.round_seconds:
        return
    counters.round_seconds = seconds
    if seconds > 1.01 * wanted:
        logger.warning("audit_round", seconds=round(seconds), wanted=round(wanted))


async def _audit(
    series: Series, store: Mailbox[StoreMessage], rest: RestClient, counters: AuditCounters
) -> None:
    rows = await rest.klines(series, purpose=Purpose.AUDIT)
    settled = rows[: forming_from(rows)]
    counters.turns += 1
    counters.compared += len(settled)
    found = await store.ask(partial(GetDifferences, series, settled))
    if not found:
        return
    await trio.sleep(CONFIRM_AFTER)
    again = await rest.klines(series, purpose=Purpose.AUDIT)
    confirmed = _confirmed(found, again)
    counters.differences += len(confirmed)
    for difference in confirmed:
        logger.warning(
            "audit_difference",
            series=str(series),
            open_time=difference.row.open_time,
            published=None if difference.current is None else difference.current[1:6],
            exchange=difference.row[1:6],
        )
    if confirmed:
        await store.tell(CorrectCandles(series, [difference.row for difference in confirmed]))


def _confirmed(found: tuple[Difference, ...], again: Sequence[Candle]) -> list[Difference]:
    """Those that the exchange has reported twice with the same values."""
    reread = {row.open_time: row for row in again if row.closed}
    return [
        difference
        for difference in found
        if (row := reread.get(difference.row.open_time)) is not None
        and row.same_values(difference.row)
    ]
