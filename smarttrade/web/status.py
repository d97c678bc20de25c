"""What the service reports about itself: `/ready` and `/system`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from actors import ActorInfo

from ..market.series import Series
from ..session.requests import shown
from ..store.feed import Feed
from ..store.messages import Overview
from ..store.redis_report import RedisRole
from ..store.symbols import EXCUSED_AFTER
from .problem import ProblemError
from .response_schemas import (
    Actor,
    ExchangeHost,
    SymbolNotTrading,
    System,
)

MAX_NAMED = 20
"""Series that `/ready` names; of the others it says how many there are."""

_MEMORY: Mapping[str, Any] = {"kind": "memory"}

_REDIS_IS_NOT_USED = {RedisRole.AWAY.value, RedisRole.CONNECTING.value}


def readiness_check(query: Mapping[str, str]) -> Callable[..., None]:
    """The check that `?for=` asks for.

    Raises:
        ProblemError: 400, there is no such one.
    """
    purpose = query.get("for")
    if purpose is None:
        return check_ready
    if purpose == "traffic":
        return check_serving
    raise ProblemError(400, "bad_for", f"for must be traffic or be absent, not {shown(purpose)}")


def process_reasons(*, stopping: bool, has_clients: bool, store: Mapping[str, Any]) -> list[str]:
    """Why the process is not ready, whatever candles it has.

    Clients are served from memory: that Redis cannot be used is reported in `store`, and is a
    reason only for a process whose candles are of use to no one without it.
    """
    reasons = ["shutting down"] if stopping else []
    if not has_clients and store.get("role") in _REDIS_IS_NOT_USED:
        reasons.append(f"Redis cannot be used: {store['last_error'] or 'no answer yet'}")
    return reasons


def check_ready(
    overview: Overview,
    process: Sequence[str] = (),
    *,
    store: Mapping[str, Any] = _MEMORY,
    simulated: bool = False,
) -> None:
    """Return when every series is complete and up to date and the feed is live.

    `process` are the `process_reasons`.

    Raises:
        ProblemError: 503, naming what is not ready, and why.
    """
    unready = overview.not_ready
    feed = overview.feed.feed
    reasons = [*process]
    if feed is not Feed.LIVE:
        reasons.append(f"the exchange's stream is {feed.value}")
    if unready:
        reasons.append(f"{len(unready)} of {overview.series_count} series are not ready")
    elif overview.series_count and len(overview.excused) == overview.series_count:
        reasons.append("the exchange trades none of the symbols")
    if reasons:
        raise _not_ready(overview, reasons, unready, store, simulated=simulated)


def check_serving(
    overview: Overview,
    process: Sequence[str] = (),
    *,
    store: Mapping[str, Any] = _MEMORY,
    simulated: bool = False,
) -> None:
    """Return while candles can be served, also stale ones: for load balancers.

    That is when every series has a history. Or when some have, and the others have none although
    there was time for it: a symbol that the exchange refuses is no reason to refuse all clients.

    Raises:
        ProblemError: 503, naming the series whose history is not there yet.
    """
    without = overview.not_loaded
    can_serve = len(without) < overview.series_count
    reasons = [*process]
    if not can_serve or (without and overview.serving_for <= EXCUSED_AFTER):
        reasons.append(f"{len(without)} of {overview.series_count} series have no history yet")
    if reasons:
        raise _not_ready(overview, reasons, without, store, simulated=simulated)


def _not_ready(
    overview: Overview,
    reasons: list[str],
    unready: Mapping[Series, str],
    store: Mapping[str, Any],
    *,
    simulated: bool,
) -> ProblemError:
    return ProblemError(
        503,
        "not_ready",
        "; ".join(reasons),
        retry_after=2,
        feed=overview.feed.feed.value,
        series=[
            {"symbol": series.symbol, "interval": series.interval.value, "reason": reason}
            for series, reason in islice(unready.items(), MAX_NAMED)
        ],
        more=max(0, len(unready) - MAX_NAMED),
        symbols=not_trading(overview),
        store=store,
        simulated=simulated,
    )


def not_trading(overview: Overview) -> list[SymbolNotTrading]:
    """Each configured symbol that the exchange does not trade now, and why."""
    return [
        SymbolNotTrading(symbol, details.state.value, details.reason or "", details.since)
        for symbol, details in overview.details.items()
        if not details.is_trading
    ]


def describe_actor(info: ActorInfo) -> Actor:
    """The supervision tree, from `info` down."""
    return Actor(**_fields(info))


def describe_system(
    info: ActorInfo,
    *,
    server: str,
    uptime: float,
    store: Mapping[str, Any] = _MEMORY,
    hosts: Sequence[Mapping[str, Any]] = (),
    simulated: bool = False,
) -> System:
    """The same with what is known of the process. `uptime` is in seconds."""
    return System(
        **_fields(info),
        server=server,
        uptime=round(uptime, 1),
        store=dict(store),
        hosts=[ExchangeHost(**host) for host in hosts],
        simulated=simulated,
    )


def _fields(info: ActorInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "state": info.state.value,
        "restarts": info.restarts,
        "last_error": info.last_error,
        "mailbox_depth": info.mailbox_depth,
        "mailbox_capacity": info.mailbox_capacity,
        "handled": info.handled,
        "children": [describe_actor(child) for child in info.children],
    }
