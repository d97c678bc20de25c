"""One bar of a series."""

from __future__ import annotations

from typing import NamedTuple


class Candle(NamedTuple):
    """One bar of a series, still forming or closed.

    Within its series a candle is identified by `open_time`; a later state with the same
    `open_time` replaces it. A closed candle changes only when the exchange corrects its history.

    Prices and volume are float64, which gives back every decimal of up to 15 significant digits
    unchanged; the exchange's prices have at most 8 decimals and its volumes fit.

    Source: binance-spot-api-docs, rest-api.md: "Klines are uniquely identified by their open
    time."
    """

    open_time: int
    """UTC milliseconds since the epoch; the first millisecond covered."""

    open: float
    high: float
    low: float
    close: float
    """Prices in the quote asset. While forming, `close` is the latest trade's."""

    volume: float
    """In the base asset: BTC for BTCUSDT. Never shrinks while the candle forms."""

    closed: bool
    """False while forming."""

    event_time: int = 0
    """Exchange time in ms. Of the event that brought this state; or, when it was read over REST,
    which does not say, of the latest event known by then."""

    from_rest: bool = False
    """True when read over REST, False when from an event of the stream."""

    def same_values(self, other: Candle) -> bool:
        """Whether prices and volume are equal, whatever is known about time and closing."""
        return self[1:6] == other[1:6]


# Milliseconds of exchange time by which an event must be later than a REST read to be believed
# although it has less volume. Events arrive within a second and come every 2 s.
MAX_EVENT_DELAY = 5_000


def supersedes(candidate: Candle, current: Candle) -> bool:
    """Whether `candidate` is a later state than `current` of the same candle.

    Closed beats forming and is never undone. Between two forming states from events, event
    time decides. A state read over REST may be staler than what events brought already, and an
    event may have been on its way while a later state was read; but every trade adds volume, so
    of an event and a read the one with more is surely later.
    """
    if current.closed or candidate.closed:
        return candidate.closed and not current.closed
    if candidate.from_rest:
        return candidate.volume > current.volume
    if current.from_rest and candidate.volume > current.volume:
        return True
    if candidate.event_time <= current.event_time:
        return False
    return (
        not current.from_rest
        or candidate.volume == current.volume
        or candidate.event_time > current.event_time + MAX_EVENT_DELAY
    )


def with_event_time_of(candidate: Candle, current: Candle) -> Candle:
    """A forming state read over REST is at least as late as the event that it supersedes."""
    if candidate.from_rest and current.event_time > candidate.event_time:
        return candidate._replace(event_time=current.event_time)
    return candidate
