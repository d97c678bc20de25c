"""What one client shows, and what it must never receive.

A view outlives its client's connections, as a chart does; `SessionView` is one of those connections.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE

from .deterministic import virtual_time
from .truth import Truth, Values, is_open_time
from .violation import Violation


class Bar(msgspec.Struct):
    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def values(self) -> Values:
        return (self.open, self.high, self.low, self.close, self.volume)


class CandleMessage(msgspec.Struct, tag="candle"):
    symbol: str
    interval: Interval
    candle: Bar
    closed: bool
    corrected: bool = False


class SnapshotMessage(msgspec.Struct, tag="snapshot"):
    symbol: str
    interval: Interval
    candles: list[Bar]
    closed: bool
    truncated: bool


class Welcome(msgspec.Struct, tag="welcome"):
    session: str


class Named(msgspec.Struct):
    symbol: str
    interval: Interval


class Subscribed(msgspec.Struct, tag="subscribed"):
    subscriptions: list[Named]
    errors: list[dict[str, Any]]
    id: int | str | None = None


class Status(msgspec.Struct, tag="status"):
    feed: str


class SymbolUpdate(msgspec.Struct, tag="symbol"):
    symbol: str
    state: str


class Heartbeat(msgspec.Struct, tag="heartbeat"):
    time: float


class Pong(msgspec.Struct, tag="pong"):
    id: int | str | None = None


class Refused(msgspec.Struct, tag="error"):
    code: str
    message: str
    id: int | str | None = None


Message = (
    CandleMessage
    | SnapshotMessage
    | Welcome
    | Subscribed
    | Status
    | SymbolUpdate
    | Heartbeat
    | Pong
    | Refused
)
decode = msgspec.json.Decoder(Message).decode


class LegacyCandle(msgspec.Struct):
    symbol: str
    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    is_closed: bool


decode_legacy = msgspec.json.Decoder(LegacyCandle).decode


@dataclass
class Chart:
    """The candles of one series as the client shows them."""

    candles: dict[int, Values] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)

    @property
    def newest(self) -> int:
        return max(self.candles, default=0)

    @property
    def since(self) -> int:
        """The oldest that is not final: usually the newest."""
        forming = [time for time in self.candles if time not in self.closed]
        return min(forming, default=self.newest)


@dataclass
class View:
    """All that one client shows, over all its connections."""

    truth: Truth
    name: str
    may_shrink: bool = False
    """Whether a forming candle may lose volume: where events come later than `MAX_EVENT_DELAY`
    allows for, one may be believed that is older than what was read over REST."""
    charts: dict[Series, Chart] = field(default_factory=dict)
    updated_at: float = 0.0
    """When the last candle arrived, in seconds of virtual time."""

    def faults(self, series: Series) -> list[str]:
        """What is not as the exchange has it, once the world is calm."""
        chart = self.charts.get(series)
        if chart is None or not chart.candles:
            return [f"{self.name}: nothing was ever received of {series}"]
        newest_closed = self.truth.newest_closed(series)
        # What has left the service's window since it was sent is not corrected any more.
        first = sorted(chart.candles)[-(WINDOW_SIZE - 20) :][0]
        rows = self.truth.rows(series, first, chart.newest)
        faults = []
        for time in sorted(rows.keys() | {t for t in chart.candles if t >= first}):
            shown, there = chart.candles.get(time), rows.get(time)
            if shown and shown != there and self.truth.may_be_as_before(series, time, shown):
                continue
            if there is None and self.truth.is_rolled_back(series, time):
                continue
            if time <= newest_closed and shown != there:
                faults.append(f"{self.name}: {series} {time} is {shown}, the exchange has {there}")
            elif time <= newest_closed and time not in chart.closed:
                faults.append(f"{self.name}: {series} {time} was never sent as final")
        if first <= newest_closed and max(chart.closed, default=0) < newest_closed:
            faults.append(f"{self.name}: {series} ends at {max(chart.closed, default=0)}")
        return faults


@dataclass
class _Subscription:
    """One series within one connection."""

    newest: int = 0
    volume: float = 0.0
    """Of the newest candle, while it forms."""
    closed: set[int] = field(default_factory=set)
    since: int | None = None
    awaits_snapshot: bool = False


class SessionView:
    """One connection of a client: what was asked, and a check of every answer."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.subscribed: dict[Series, _Subscription] = {}
        self.leaving: dict[int, Series] = {}
        """Unsubscribed, but not yet acknowledged; by the request's number."""
        self.messages = 0
        self.errors = 0
        self.is_refused = False
        """Whether a series was refused in the last request."""
        self.feed = ""
        self._numbers = 0

    # Asking

    def subscribe(self, wanted: Sequence[Series], snapshot: int | None) -> str:
        """The request, with `since` where the view has something."""
        entries = []
        for series in wanted:
            chart = self.view.charts.get(series)
            entry: dict[str, Any] = {"symbol": series.symbol, "interval": series.interval.value}
            is_new = series not in self.subscribed
            subscription = self.subscribed.setdefault(series, _Subscription())
            self.leaving = {n: s for n, s in self.leaving.items() if s != series}
            if chart is not None and chart.candles:
                subscription.since = entry["since"] = chart.since
            elif snapshot is not None:
                entry["snapshot"] = snapshot
            if is_new:
                subscription.awaits_snapshot = "since" in entry or "snapshot" in entry
            entries.append(entry)
        self._numbers += 1
        return json.dumps({"action": "subscribe", "id": self._numbers, "subscriptions": entries})

    def unsubscribe(self, series: Series) -> str:
        self._numbers += 1
        self.leaving[self._numbers] = series
        entry = {"symbol": series.symbol, "interval": series.interval.value}
        return json.dumps({"action": "unsubscribe", "id": self._numbers, "subscriptions": [entry]})

    # Receiving

    def take(self, data: bytes) -> None:
        self.messages += 1
        try:
            message = decode(data)
        except msgspec.DecodeError as error:
            raise Violation("contract", f"{self.view.name}: {error}: {data[:200]!r}") from error
        match message:
            case CandleMessage():
                self._candle(message)
            case SnapshotMessage():
                self._snapshot(message)
            case Subscribed():
                self._acknowledged(message)
            case Status(feed):
                self.feed = feed
            case Refused():
                self.errors += 1

    def take_legacy(self, data: bytes, interval: Interval) -> None:
        self.messages += 1
        flat = decode_legacy(data)
        series = Series(flat.symbol, interval)
        self.subscribed.setdefault(series, _Subscription())
        values = (flat.open, flat.high, flat.low, flat.close, flat.volume)
        self._update(series, flat.timestamp // 1000, values, closed=flat.is_closed, corrected=False)

    def _acknowledged(self, message: Subscribed) -> None:
        self.is_refused = bool(message.errors)
        if isinstance(message.id, int) and (series := self.leaving.pop(message.id, None)):
            self.subscribed.pop(series, None)

    def _subscription(self, series: Series) -> _Subscription:
        subscription = self.subscribed.get(series)
        if subscription is None:
            raise self._wrong("only-what-was-asked", series, "was not subscribed")
        return subscription

    def _wrong(self, invariant: str, series: Series, what: str) -> Violation:
        return Violation(invariant, f"{self.view.name}: {series} {what}")

    def _candle(self, message: CandleMessage) -> None:
        series = Series(message.symbol, message.interval)
        self.view.updated_at = virtual_time()
        self._update(
            series,
            message.candle.time,
            message.candle.values,
            closed=message.closed,
            corrected=message.corrected,
        )

    def _update(
        self, series: Series, time: int, values: Values, *, closed: bool, corrected: bool
    ) -> None:
        subscription = self._subscription(series)
        if subscription.awaits_snapshot:
            raise self._wrong("no-gap-at-hand-over", series, f"{time} before the snapshot")
        self._check_bar(series, time, values)
        if corrected and not closed:
            raise self._wrong("contract", series, f"{time} corrected, but not closed")
        if not corrected:
            if time < subscription.newest:
                raise self._wrong("never-back", series, f"from {subscription.newest} to {time}")
            if time in subscription.closed:
                raise self._wrong("each-close-once", series, f"{time} again after its close")
            if (
                time == subscription.newest
                and values[4] < subscription.volume
                and not self.view.may_shrink
            ):
                text = f"{time} had a volume of {subscription.volume}, and now {values[4]}"
                raise self._wrong("never-back", series, text)
            subscription.volume = values[4]
        if closed:
            self.view.truth.check_closed(series, time, values, self.view.name)
            subscription.closed.add(time)
        subscription.newest = max(subscription.newest, time)
        chart = self.view.charts.setdefault(series, Chart())
        if corrected and chart.candles and time < min(chart.candles):
            return  # of a past that this client does not show
        chart.candles[time] = values
        if closed:
            chart.closed.add(time)
        else:
            chart.closed.discard(time)

    def _check_bar(self, series: Series, time: int, values: Values) -> None:
        o, high, low, c, volume = values
        if not (low <= min(o, c) and high >= max(o, c) and low > 0 and volume >= 0):
            raise self._wrong("contract", series, f"{time} is no candle: {values}")
        if not is_open_time(series.interval, time):
            raise self._wrong("contract", series, f"{time} is no open time")

    def _snapshot(self, message: SnapshotMessage) -> None:  # noqa: C901 - one rule after the other
        series = Series(message.symbol, message.interval)
        subscription = self._subscription(series)
        subscription.awaits_snapshot = False
        times = [bar.time for bar in message.candles]
        if times != sorted(set(times)) or len(times) > WINDOW_SIZE:
            raise self._wrong("ascending-and-capped", series, f"snapshot of {len(times)}")
        chart = self.view.charts.setdefault(series, Chart())
        # The first one reaches back to what was asked for, later ones to what was sent before.
        reach = subscription.newest or subscription.since
        if reach is not None and times and times[0] > reach and not message.truncated:
            text = f"snapshot from {times[0]}, which must reach back to {reach}"
            raise self._wrong("no-gap-at-hand-over", series, text)
        if message.truncated:
            chart.candles.clear()
            chart.closed.clear()
        # If its last one is not final, those after it follow as updates.
        if times and times[-1] < subscription.newest and message.closed:
            raise self._wrong(
                "never-back", series, f"snapshot to {times[-1]} after {subscription.newest}"
            )
        final = times if message.closed else times[:-1]
        for bar in message.candles[-4:]:
            self._check_bar(series, bar.time, bar.values)
            # What is not final there, not the last, and ended long ago was published over.
            is_last = bar.time == times[-1]
            if bar.time in final and (is_last or self.view.truth.has_just_ended(series, bar.time)):
                self.view.truth.check_closed(series, bar.time, bar.values, self.view.name)
        for time in [time for time in chart.candles if times and time >= times[0]]:
            del chart.candles[time]
            chart.closed.discard(time)
        for bar in message.candles:
            chart.candles[bar.time] = bar.values
        chart.closed.update(final)
        subscription.closed.update(final)
        if times:
            subscription.newest = times[-1]
            subscription.volume = message.candles[-1].volume
            if not message.closed:
                chart.closed.discard(times[-1])
