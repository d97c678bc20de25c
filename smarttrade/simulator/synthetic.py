"""An invented market: every price follows from a seed, the symbol's name and the time.

Prices at midnight are noise of several wavelengths, from days to years, so that every interval's
chart has trends and turns. A day's bar spans from one midnight's price to the next, and `split`
does the rest, so any kline can be computed at any time without what came before.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, floor

from .bar import Bar
from .seeded_rng import SeededRng
from .split import split
from .symbols import Symbol

# Days, and how far the logarithm of the price goes within so many: about 0.03 times the root,
# the 3 % a day of a coin that wanders.
OCTAVES = ((1, 0.022), (5, 0.05), (17, 0.09), (61, 0.16), (239, 0.28), (701, 0.4))
WICK = 0.035  # at most so far beyond the day's open and close, as a share of the price
TAKER_SHARE = (0.45, 0.55)

PINS_KEPT, DAYS_KEPT, HOURS_KEPT, MINUTES_KEPT = 64, 1100, 64, 64
_OCTAVE_LEVEL, _DAY_LEVEL, _HOUR_LEVEL, _QUARTER_LEVEL, _MINUTE_LEVEL = range(10, 15)


class SyntheticMarket:
    """One symbol's days, hours, quarters of an hour and minutes."""

    def __init__(self, symbol: Symbol, seed: int, *, sparse: bool = False) -> None:
        """With `sparse`, many minutes pass without a trade."""
        self.price_decimals = symbol.price_decimals
        self.volume_decimals = symbol.volume_decimals
        self._symbol = symbol
        self._sparse = sparse
        self.rng_for = SeededRng(f"{seed}/{symbol.name}").at
        self.pin = lru_cache(PINS_KEPT)(self._pin)
        self.midnight = lru_cache(DAYS_KEPT)(self._midnight)
        self.trades_before = lru_cache(DAYS_KEPT)(self._trades_before)
        self.day = lru_cache(DAYS_KEPT)(self._day)
        self.hours = lru_cache(HOURS_KEPT)(self._hours)
        self.quarters = lru_cache(HOURS_KEPT)(self._quarters)
        self.minutes = lru_cache(MINUTES_KEPT)(self._minutes)

    def _midnight(self, day: int) -> int:
        """The price in ticks at which `day` opens."""
        wander = sum(
            reach * self._noise(index, day / length)
            for index, (length, reach) in enumerate(OCTAVES)
        )
        ticks = self._symbol.price * exp(wander) * float(10**self.price_decimals)
        return max(100, round(ticks))

    def _noise(self, octave: int, place: float) -> float:
        """Between -1 and 1: random at whole places, straight in between."""
        whole = floor(place)
        before, after = self.pin(octave, whole), self.pin(octave, whole + 1)
        return before + (after - before) * (place - whole)

    def _pin(self, octave: int, whole: int) -> float:
        return self.rng_for(_OCTAVE_LEVEL, whole * 16 + octave).random() * 2 - 1

    def _trades_before(self, day: int) -> int:
        """Trades since the epoch; steady but for a share that moves from day to day."""
        usual = self._symbol.daily_trades
        return usual * day + int(0.7 * usual * self.rng_for(_DAY_LEVEL, 2 * day).random())

    def _day(self, day: int) -> list[Bar]:
        start, end = self.midnight(day), self.midnight(day + 1)
        first_trade = self.trades_before(day)
        trades = self.trades_before(day + 1) - first_trade
        rng = self.rng_for(_DAY_LEVEL, 2 * day + 1)
        high = int(max(start, end) * (1 + WICK * rng.random() ** 2)) + 1
        low = int(min(start, end) * (1 - WICK * rng.random() ** 2)) - 1
        busy = 0.4 + 12 * (high - low) / start + 0.5 * rng.random()
        volume = trades + int(self._symbol.daily_volume * busy * 10**self.volume_decimals)
        quote = volume * (start + end + high + low) // 4
        quote = quote * 10**8 // 10 ** (self.price_decimals + self.volume_decimals)
        taker = int(volume * rng.uniform(*TAKER_SHARE))
        return [Bar(start, high, low, end, volume, quote, trades, taker, first_trade)]

    def _hours(self, day: int) -> list[Bar]:
        return split(self.day(day)[0], 24, self.rng_for(_HOUR_LEVEL, day), at_least=60)

    def _quarters(self, hour: int) -> list[Bar]:
        parent = self.hours(hour // 24)[hour % 24]
        return split(parent, 4, self.rng_for(_QUARTER_LEVEL, hour), at_least=15)

    def _minutes(self, hour: int) -> list[Bar]:
        quarters = self.quarters(hour)
        rng = self.rng_for(_MINUTE_LEVEL, hour)
        return [
            minute
            for quarter in quarters
            for minute in split(quarter, 15, rng, at_least=1, sparse=self._sparse)
        ]
