"""What a client that follows series knows and decides, without any input or output.

A transport connects, gives each message to `receive`, sends `request()` when there is one, and
waits for no message longer than `silence_timeout`. When the connection is lost it calls `lost`,
which says for how long to wait before the next one.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import SessionRefused, SubscriptionRefused
from .events import Candle, CandleEvent, Event, Missed, Status

CONNECT_TIMEOUT = 10.0  # seconds until `welcome`
CLOSE_TIMEOUT = 1.0  # seconds; a dead network answers no close frame
HEARTBEATS = 2.5  # without any message, after which a connection counts as lost
FIRST_PAUSE = 0.5  # seconds; doubles
MAX_PAUSE = 30.0  # seconds
MIN_OVERLOADED_PAUSE = 5.0  # seconds
STABLE_AFTER = 10.0  # seconds of connection, after which pauses begin small again
MAX_HELD = 1000  # candles of a series: as many as the server keeps
MAX_MESSAGE = 2**24  # bytes
CLOSE_POLICY, CLOSE_TOO_BIG, CLOSE_OVERLOADED = 1008, 1009, 1013

Series = tuple[str, str]
"""Symbol and interval."""


@dataclass(slots=True)
class _Held:
    """What was received of one series, by time: to know what is new after a reconnect."""

    candles: dict[int, Candle] = field(default_factory=dict)

    @property
    def newest(self) -> int | None:
        return next(reversed(self.candles), None)

    @property
    def since(self) -> int | None:
        """From where on to ask again: the oldest that is not final, which may not be the newest."""
        forming = (time for time, candle in self.candles.items() if not candle.closed)
        return next(forming, self.newest)

    def put(self, candle: Candle) -> tuple[bool, bool]:
        """Whether this is new, and whether it repairs the past."""
        newest, before = self.newest, self.candles.get(candle.time)
        was_closed = before is not None and before.closed
        if before == candle or (was_closed and not candle.closed):
            return False, False
        is_past = newest is not None and candle.time < newest
        self.candles[candle.time] = candle
        if is_past and before is None:
            self.candles = dict(sorted(self.candles.items()))
        if len(self.candles) > MAX_HELD:
            del self.candles[next(iter(self.candles))]
        return True, was_closed or is_past


class Following:
    """Some series over any number of connections."""

    def __init__(self, series: Iterable[Series], snapshot: int) -> None:
        self._series = {_spelled(*each): _Held() for each in series}
        self._snapshot = snapshot
        self._status = Status(connected=False, feed=None)
        self._request: str | None = None
        self._attempts = 0
        self.silence_timeout = CONNECT_TIMEOUT

    # -- while connected -------------------------------------------------------------------

    def request(self) -> str | None:
        """What to send now, once."""
        request, self._request = self._request, None
        return request

    def receive(self, text: str | bytes) -> list[Event]:
        """What a message means, in order.

        Raises:
            SubscriptionRefused: the server does not have one of the series.
        """
        message = json.loads(text)
        match message.get("type"):
            case "welcome":
                return self._welcome(message)
            case "status":
                return [self._set_status(feed=message["feed"])]
            case "heartbeat":
                return [self._status]
            case "subscribed":
                _check(message["errors"])
            case "snapshot":
                return list(self._take_snapshot(message))
            case "candle":
                candle = Candle.read(message["candle"], closed=message["closed"])
                return list(self._take(_name(message), candle))
        return []  # a type of a later server

    def _welcome(self, message: dict[str, Any]) -> list[Event]:
        self.silence_timeout = HEARTBEATS * message["heartbeat"]
        subscriptions = [
            {"symbol": symbol, "interval": interval, **self._beginning(held)}
            for (symbol, interval), held in self._series.items()
        ]
        self._request = json.dumps({"action": "subscribe", "subscriptions": subscriptions})
        self._set_status(connected=True, simulated=message.get("simulated", False), reason="")
        return []  # the server's status follows

    def _beginning(self, held: _Held) -> dict[str, int]:
        return {"snapshot": self._snapshot} if held.since is None else {"since": held.since}

    def _take_snapshot(self, message: dict[str, Any]) -> Iterator[Event]:
        series, candles = _name(message), message["candles"]
        held = self._series.get(series)
        if held is None or not candles:
            return
        if message["truncated"] and held.newest is not None:
            yield Missed(*series, after=held.newest, before=candles[0]["time"])
        for candle in candles:
            closed = candle is not candles[-1] or message["closed"]
            yield from self._take(series, Candle.read(candle, closed=closed))

    def _take(self, series: Series, candle: Candle) -> Iterator[Event]:
        held = self._series.get(series)
        if held is None:
            return
        is_new, corrected = held.put(candle)
        if is_new:
            yield CandleEvent(*series, candle, corrected)

    def _set_status(self, **changes: Any) -> Status:
        self._status = replace(self._status, **changes)
        return self._status

    # -- when the connection is lost -------------------------------------------------------

    def lost(self, reason: str, code: int | None, lasted: float) -> tuple[Status, float]:
        """The new status, and the seconds until the next attempt; `lasted` is in seconds.

        Raises:
            SessionRefused: the server forbids another connection.
        """
        if code in {CLOSE_POLICY, CLOSE_TOO_BIG}:
            raise SessionRefused(code, reason)
        self.silence_timeout = CONNECT_TIMEOUT
        self._request = None
        if lasted > STABLE_AFTER:
            self._attempts = 0
        longest = min(MAX_PAUSE, FIRST_PAUSE * 2 ** min(self._attempts, 10))
        self._attempts += 1
        least = MIN_OVERLOADED_PAUSE if code == CLOSE_OVERLOADED else 0.0
        pause = max(least, random.uniform(longest / 2, longest))
        return self._set_status(connected=False, reason=reason or "the connection was lost"), pause


def _spelled(symbol: str, interval: str) -> Series:
    """As the server names a series; `1M` stays a month."""
    unit = interval[-1:]
    return symbol.strip().upper(), interval[:-1] + (unit.lower() if unit in "HDW" else unit)


def _name(message: dict[str, Any]) -> Series:
    return message["symbol"], message["interval"]


def _check(errors: list[dict[str, Any]]) -> None:
    for error in errors:
        raise SubscriptionRefused(
            error["symbol"], error["interval"], error["code"], error["message"]
        )
