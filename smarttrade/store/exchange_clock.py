"""An estimate of the exchange's clock, from its events and answers."""

from __future__ import annotations

from math import inf

FUTURE_TOLERANCE = 60_000
"""Milliseconds by which something stored may be later than the estimate of the exchange's clock,
which lags while its stream does. What is later is not the exchange's, and never served."""

LOCAL_TOLERANCE = 86_400_000
"""Milliseconds by which something stored may be later than the local clock, while the exchange does
not say what its own shows. Clocks of machines are hours off at times; one that is a day off holds
back what is stored until the exchange answers. Also by which an entry of the change stream may be
later than both what earlier ones lead to and the local clock: an exchange may be faster."""

LATE_AFTER = 5_000
"""Milliseconds behind the estimate from which on an event proves nothing after a suspend: it may
have waited in the socket all the while. Twice the exchange's cadence, and a little for the way."""

DISTRUST_FOR = 60.0
"""Seconds after a suspend for which late events are not believed. Then they are, as an exchange
that was suspended with this machine goes on where it was."""


def latest_credible(exchange_time: int, wall: float) -> int:
    """The latest open time in ms that a stored candle may have.

    `exchange_time` is in ms, 0 while that is unknown; `wall` in seconds since the epoch.
    """
    if exchange_time:
        return exchange_time + FUTURE_TOLERANCE
    return int(wall * 1000) + LOCAL_TOLERANCE


def is_credible_entry(time: int, expected: int, wall: float) -> bool:
    """Whether an entry of the change stream may be of `time`.

    `expected` is the exchange's time by what was known before, 0 while that is unknown; both in ms.
    `wall` is the local clock, in seconds since the epoch.
    """
    return not expected or time <= max(expected, int(wall * 1000)) + LOCAL_TOLERANCE


class ExchangeClock:
    """Times of the exchange in ms, of the loop in seconds."""

    __slots__ = ("_distrust_until", "_learned_at", "latest")

    def __init__(self) -> None:
        self.latest = 0
        """The latest time that the exchange reported; 0 before the first."""
        self._learned_at = 0.0
        self._distrust_until = -inf

    def learn(self, time: int, now: float) -> None:
        """The exchange has reported `time`; earlier ones and late ones are ignored."""
        if time > self.latest and self.is_credible(time, now):
            self.latest, self._learned_at = time, now

    def estimate(self, now: float) -> int:
        """What it shows now; 0 before the exchange has reported any."""
        return self.latest and self.latest + int(1000 * (now - self._learned_at))

    def distrust_late(self, now: float) -> None:
        """The machine was suspended: for a while, what is late is not believed."""
        self._distrust_until = now + DISTRUST_FOR

    def is_credible(self, time: int, now: float) -> bool:
        """Whether something of `time` shows what the exchange does now."""
        return now > self._distrust_until or time >= self.estimate(now) - LATE_AFTER
