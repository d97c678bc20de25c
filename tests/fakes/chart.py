"""What a front end makes of the messages about one series, and which messages would be wrong.

Pure code. A chart receives the decoded messages of one client, across its connections; `compare`
checks it against the exchange's own rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series

NUMBERS = ("open", "high", "low", "close", "volume")

Numbers = tuple[Decimal, ...]


def decode(message: str | bytes) -> dict[str, Any]:
    """JSON with every number as the decimals that were sent."""
    decoded: dict[str, Any] = json.loads(message, parse_float=Decimal, parse_int=Decimal)
    return decoded


def numbers_of(candle: Mapping[str, Any]) -> Numbers:
    return tuple(Decimal(candle[name]) for name in NUMBERS)


@dataclass
class Chart:
    """The candles of one series as one client has them."""

    series: Series
    candles: dict[int, Numbers] = field(default_factory=dict)
    """By open time in seconds, in the order in which they were first received."""
    closed: set[int] = field(default_factory=set)
    closes: list[int] = field(default_factory=list)
    """Open times of candles that an update closed, in the order of the updates."""
    updates: int = 0
    corrections: int = 0
    snapshots: int = 0
    truncated: int = 0
    faults: list[str] = field(default_factory=list)
    newest: int = 0
    """Open time of the latest candle; 0 while there is none."""

    @property
    def newest_closed(self) -> int:
        return max(self.closed, default=0)

    def receive(self, message: Mapping[str, Any]) -> None:
        """A `candle`, a `snapshot`, or the legacy form."""
        match message.get("type"):
            case "candle":
                corrected = message.get("corrected", False)
                self._update(message["candle"], message["closed"], corrected=corrected)
            case "snapshot":
                self._snapshot(message)
            case None:
                self._update({**message, "time": message["timestamp"] / 1000}, message["is_closed"])

    def _update(self, candle: Mapping[str, Any], closed: bool, *, corrected: bool = False) -> None:
        time = self._time_of(candle)
        self.updates += 1
        if corrected:
            self.corrections += 1
            if not closed or time > self.newest:
                self._fault(f"a correction of a candle that was not sent: {time}")
        elif time in self.closed:
            self._fault(f"updated after its close: {time}")
        elif time < self.newest:
            self._fault(f"older than the newest: {time} after {self.newest}")
        elif closed:
            self.closes.append(time)
        self._put(time, candle)
        if closed:
            self.closed.add(time)

    def _put(self, time: int, candle: Mapping[str, Any]) -> None:
        self.candles[time] = numbers_of(candle)
        self.newest = max(self.newest, time)

    def _snapshot(self, message: Mapping[str, Any]) -> None:
        self.snapshots += 1
        self.truncated += bool(message["truncated"])
        times = [self._time_of(candle) for candle in message["candles"]]
        if times != sorted(set(times)):
            self._fault("a snapshot out of order")
        if self.candles and times and times[0] > self.newest and not message["truncated"]:
            self._fault(f"a snapshot from {times[0]} after {self.newest}")
        for time, candle in zip(times, message["candles"], strict=True):
            self._put(time, candle)
        self.closed.update(times if message["closed"] else times[:-1])

    def _time_of(self, candle: Mapping[str, Any]) -> int:
        time = candle["time"]
        if time != int(time) or self.series.interval.floor(int(time) * 1000) != int(time) * 1000:
            self._fault(f"not an open time: {time}")
        return int(time)

    def _fault(self, text: str) -> None:
        self.faults.append(f"{self.series}: {text}")

    def missing_times(self) -> Iterator[int]:
        """Open times between the first and the newest candle without a candle."""
        if not self.candles:
            return
        time, newest = min(self.candles) * 1000, self.newest * 1000
        while time < newest:
            if time // 1000 not in self.candles:
                yield time // 1000
            time = self.series.interval.next(time)

    def unclosed_times(self) -> list[int]:
        """Open times before the newest whose candle was not closed."""
        return sorted(
            time for time in self.candles if time < self.newest and time not in self.closed
        )

    def compare(self, rows: Sequence[Sequence[Any]]) -> tuple[int, list[str]]:
        """Compare with the exchange's `rows`: the number of compared candles, and the differences.

        A candle that is not in `rows` is a difference if it lies in their range.
        """
        faults = list(self.faults)
        if self.closes != sorted(set(self.closes)):
            faults.append(f"{self.series}: closes out of order, or twice")
        expected = {row[0] // 1000: tuple(map(Decimal, row[1:6])) for row in rows}
        first, last = min(expected, default=0), max(expected, default=0)
        faults += [
            f"{self.series}: never sent: {time}"
            for time in self.missing_times()
            if time in expected or not first <= time <= last
        ]
        faults += [f"{self.series}: never closed: {time}" for time in self.unclosed_times()]
        compared = 0
        for time in sorted(self.closed):
            if time < first:
                continue
            compared += 1
            if expected.get(time) != self.candles[time]:
                faults.append(
                    f"{self.series}: {time} is {self.candles[time]}, not {expected.get(time)}"
                )
        return compared, faults


@dataclass
class Charts:
    """The charts of one client."""

    by_series: dict[Series, Chart] = field(default_factory=dict)
    others: list[dict[str, Any]] = field(default_factory=list)
    """Messages that are not candles."""

    def receive(self, message: dict[str, Any], legacy_interval: Interval | None = None) -> None:
        """`legacy_interval`: for a legacy client, whose messages do not contain the interval."""
        if legacy_interval is None and message["type"] not in ("candle", "snapshot"):
            self.others.append(message)
            return
        series = Series(message["symbol"], legacy_interval or Interval(message["interval"]))
        chart = self.by_series.get(series)
        if chart is None:
            chart = self.by_series[series] = Chart(series)
        chart.receive(message)

    @property
    def updates(self) -> int:
        return sum(chart.updates for chart in self.by_series.values())
