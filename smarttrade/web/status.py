"""What the service says about itself: `/ready`, `/streaming/status`, `/system`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors import ActorInfo

from ..store.feed import Feed
from ..store.messages import Overview, SeriesOverview
from .problem import ProblemError
from .response_schemas import Actor, SeriesStatus, StreamingStatus, System

_MEMORY: Mapping[str, Any] = {"kind": "memory"}


def streaming_status(overview: Overview, store: Mapping[str, Any] = _MEMORY) -> StreamingStatus:
    """One entry a series; prices are null before there is a candle."""
    return StreamingStatus(
        symbols=list(overview.symbols),
        per_symbol=[_entry(series) for series in overview.series],
        last_store_update_ts=overview.updated_at,
        feed=overview.feed.feed.value,
        feed_since=round(overview.feed.since, 3),
        store=dict(store),
    )


def _entry(overview: SeriesOverview) -> SeriesStatus:
    newest = overview.newest
    return SeriesStatus(
        symbol=overview.series.symbol,
        interval=overview.series.interval.value,
        count=overview.count,
        last_candle_time=None if newest is None else newest.open_time // 1000,
        last_open=None if newest is None else newest.open,
        last_high=None if newest is None else newest.high,
        last_low=None if newest is None else newest.low,
        last_close=None if newest is None else newest.close,
        closed=None if newest is None else newest.closed,
        age=None if overview.age is None else round(overview.age, 3),
        status=overview.not_ready_reason or "ok",
    )


def check_ready(overview: Overview, *, stopping: bool, store: Mapping[str, Any] = _MEMORY) -> None:
    """Return when every series is whole and fresh and the feed is live.

    Being ready is about candles: that Redis is away is told in `store`, but is no reason.

    Raises:
        ProblemError: 503, naming what is not, and why.
    """
    troubles = [
        {
            "symbol": each.series.symbol,
            "interval": each.series.interval.value,
            "reason": each.not_ready_reason,
        }
        for each in overview.series
        if each.not_ready_reason is not None
    ]
    feed = overview.feed.feed
    reasons = []
    if stopping:
        reasons.append("shutting down")
    if feed is not Feed.LIVE:
        reasons.append(f"the exchange's stream is {feed.value}")
    if troubles:
        reasons.append(f"{len(troubles)} of {len(overview.series)} series are not ready")
    if reasons:
        raise ProblemError(
            503,
            "not_ready",
            "; ".join(reasons),
            retry_after=2,
            feed=feed.value,
            series=troubles,
            store=store,
        )


def describe_actor(info: ActorInfo) -> Actor:
    """The supervision tree, from `info` down."""
    return Actor(**_told(info))


def describe_system(
    info: ActorInfo, *, server: str, uptime: float, store: Mapping[str, Any] = _MEMORY
) -> System:
    """The same with what is known of the process. `uptime` is in seconds."""
    return System(**_told(info), server=server, uptime=round(uptime, 1), store=dict(store))


def _told(info: ActorInfo) -> dict[str, Any]:
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
