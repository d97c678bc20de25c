"""Recorded minutes as a market: exactly as recorded, and repeated before and after.

A recording is a CSV file, gzipped or not, one row a minute, with a header of
`open_time,open,high,low,close,volume[,quote_volume,trades]`; `open_time` in ms. Outside of it the
same minutes come again, shifted by whole days, so that there is a long history and no end.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

from .bar import Bar, flat, merge
from .calendar import DAY, MINUTE
from .price_series import Block
from .render import DECIMALS
from .seeded_rng import SeededRng
from .symbols import Symbol

LEAD = 1000  # minutes of a recording that lie before the moment at which its replay starts
USUAL_TRADES = 400  # a minute, where the recording does not say
PRICES = ("open", "high", "low", "close")

MINUTES_A_DAY = DAY // MINUTE
HOURS_KEPT, DAYS_KEPT = 64, 1100


@dataclass(frozen=True, slots=True)
class Recording:
    first: int
    """Open time of the first minute, ms."""

    minutes: Sequence[Bar]
    """Consecutive; trade ids count from the first."""

    price_decimals: int
    volume_decimals: int

    @property
    def loop(self) -> int:
        """Minutes after which it comes again; whole days."""
        return len(self.minutes) // MINUTES_A_DAY * MINUTES_A_DAY


def replay_start(path: Path) -> int:
    """The moment (ms) from which on there are 1000 recorded minutes to look back on."""
    recording = read_recording(path)
    return recording.first + min(LEAD, len(recording.minutes) - 1) * MINUTE


def read_recording(path: Path) -> Recording:
    """Read a recording. A minute that it skips had no trades.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not such a file, or is shorter than a day.
    """
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = list(csv.DictReader(file))
    try:
        recording = _recording(rows)
    except (KeyError, TypeError, ValueError, ArithmeticError) as problem:
        raise ValueError(f"not a recording of minutes: {path} ({problem})") from problem
    if recording.loop == 0:
        raise ValueError(f"a recording must have a day of minutes at least: {path}")
    return recording


def _recording(rows: Sequence[dict[str, str]]) -> Recording:
    price_decimals = max(_decimals(row[name] for row in rows) for name in PRICES)
    volume_decimals = _decimals(row["volume"] for row in rows)
    minutes: list[Bar] = []
    first = int(rows[0]["open_time"]) if rows else 0
    for row in rows:
        number = (int(row["open_time"]) - first) // MINUTE
        if number < len(minutes) or int(row["open_time"]) % MINUTE:
            raise ValueError(f"open times must be whole minutes and rise: {row['open_time']}")
        next_trade = minutes[-1].first_trade + minutes[-1].trades if minutes else 0
        while len(minutes) < number:
            minutes.append(flat(minutes[-1].close, next_trade))
        minutes.append(_minute(row, price_decimals, volume_decimals, next_trade))
    return Recording(first, minutes, price_decimals, volume_decimals)


def _minute(
    row: dict[str, str], price_decimals: int, volume_decimals: int, first_trade: int
) -> Bar:
    open_, high, low, close = prices = [_whole(row[name], price_decimals) for name in PRICES]
    volume = _whole(row["volume"], volume_decimals)
    if row.get("quote_volume"):
        quote = _whole(row["quote_volume"], DECIMALS)
    else:
        quote = (
            volume * sum(prices) * 10**DECIMALS // (4 * 10 ** (price_decimals + volume_decimals))
        )
    trades = int(row.get("trades") or USUAL_TRADES)
    trades = min(max(trades, 1), volume)
    return Bar(open_, high, low, close, volume, quote, trades, volume // 2, first_trade)


def _decimals(texts: Iterable[str]) -> int:
    """How many are needed to write all of them."""
    most = 0
    for text in texts:
        plain = text if text.replace(".", "", 1).isdecimal() else f"{Decimal(text):f}"
        most = max(most, len(plain.partition(".")[2].rstrip("0")))
    if most > DECIMALS:
        raise ValueError(f"more than {DECIMALS} decimals")
    return most


def _whole(text: str, decimals: int) -> int:
    """A decimal number in units of its last digit; what is beyond is dropped."""
    whole, point, rest = text.partition(".")
    if (whole + rest).isdecimal() and (rest or not point):
        return int(whole + rest[:decimals].ljust(decimals, "0"))
    return int(Decimal(text).scaleb(decimals))


class RecordedMarket:
    """A recording, looped forwards and backwards, as a source of days, hours and minutes."""

    def __init__(self, recording: Recording, symbol: Symbol, seed: int) -> None:
        self.price_decimals = recording.price_decimals
        self.volume_decimals = recording.volume_decimals
        self._recording = recording
        self.rng_for = SeededRng(f"{seed}/{symbol.name}/replay").at
        self._first = recording.first // MINUTE
        self._ids = list(accumulate((bar.trades for bar in recording.minutes), initial=0))
        self.day = lru_cache(DAYS_KEPT)(self._day)
        self.hours = lru_cache(DAYS_KEPT)(self._hours)
        self.quarters = lru_cache(HOURS_KEPT)(self._quarters)
        self.minutes = lru_cache(HOURS_KEPT)(self._minutes)

    def _minute(self, minute: int) -> Bar:
        """Number `minute` since the epoch."""
        recording, since = self._recording, minute - self._first
        place = since if 0 <= since < len(recording.minutes) else since % recording.loop
        # Ids rise from loop to loop, and are positive in all of them since the epoch.
        loops = (since - place) // recording.loop + self._first // recording.loop + 1
        first_trade = loops * self._ids[recording.loop] + self._ids[place]
        return recording.minutes[place]._replace(first_trade=first_trade)

    def _minutes(self, hour: int) -> list[Bar]:
        return self._repeated(hour, 60, self.minutes) or [
            self._minute(hour * 60 + minute) for minute in range(60)
        ]

    def _quarters(self, hour: int) -> list[Bar]:
        minutes = self.minutes(hour)
        return [merge(minutes[start : start + 15]) for start in range(0, 60, 15)]

    def _hours(self, day: int) -> list[Bar]:
        return self._repeated(day, MINUTES_A_DAY, self.hours) or [
            merge(self.quarters(hour)) for hour in range(day * 24, day * 24 + 24)
        ]

    def _day(self, day: int) -> list[Bar]:
        return self._repeated(day, MINUTES_A_DAY, self.day) or [merge(self.hours(day))]

    def _repeated(self, number: int, length: int, block: Block) -> list[Bar]:
        """A block of so many minutes as it is in the first loop; empty where it is not the same.

        Years of days cost little this way: but for the trade ids, there are only as many
        different days as were recorded.
        """
        since, loop = number * length - self._first, self._recording.loop
        loops, place = divmod(since, loop)
        recorded = 0 <= since < len(self._recording.minutes)
        if recorded or place + length > loop:
            return []
        ids = loops * self._ids[loop]
        return [
            bar._replace(first_trade=bar.first_trade + ids)
            for bar in block(number - loops * loop // length)
        ]
