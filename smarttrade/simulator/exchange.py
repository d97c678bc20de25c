"""The exchange's state: its clock, its klines, who is connected, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from pathlib import Path

from .calendar import Interval
from .clock import SimulatedClock
from .connections import Connections
from .faults import Faults
from .history import Closure, History, Kline
from .listings import Listing
from .price_series import PriceSeries, PriceSource
from .push_schedule import StreamKey
from .rate_limits import WEIGHT_PER_MINUTE, RateLimits
from .render import Row
from .replay import RecordedMarket, read_recording
from .stats import Stats
from .stream_events import StreamEvents
from .symbols import DEFAULT_SYMBOLS, describe
from .synthetic import SyntheticMarket

OPENED = 1_502_928_000_000  # 2017-08-17, the first day of which Binance has klines
REMOVED = {"MATICUSDT": 1_725_937_200_000}  # 2024-09-10 03:00, renamed to POLUSDT

DEFAULT_LIMIT, MAX_ROWS = 500, 1000


class Exchange:
    """Everything a simulated exchange consists of; `serve_exchange` puts it on a socket.

    It uses no time but Trio's and no chance but what follows from `seed`, so the same program
    with the same seed under a `MockClock` sees the same exchange.
    """

    def __init__(
        self,
        symbols: Iterable[str] = DEFAULT_SYMBOLS,
        *,
        start_ms: int,
        seed: int = 0,
        speed: float = 1.0,
        replay: Mapping[str, Path] | None = None,
        faults: Faults | None = None,
        statuses: Mapping[str, str] | None = None,
        since: Mapping[str, int] | None = None,
        quiet: Collection[str] = (),
        quiet_closes: bool = True,
        weight_limit: int = WEIGHT_PER_MINUTE,
        control_token: str | None = None,
    ) -> None:
        """An exchange whose time begins at `start_ms`.

        `replay`: recorded minutes of some symbols (`replay.py`), listed even if not in `symbols`.
        `statuses`: of symbols that do not trade, such as HALT or BREAK; they stopped at the start.
        `since`: when symbols were listed (ms); by default in 2017, when the exchange opened.
        `quiet`: symbols with minutes without trades; with `quiet_closes` false, their streams send
        nothing at all about such minutes.
        `weight_limit`: of one address in a minute; `exchangeInfo` reports it.
        `control_token`: what requests under `/sim` must present; without it there is no `/sim`.
        """
        if start_ms < OPENED:
            raise ValueError(f"the exchange did not exist before {OPENED}; start_ms: {start_ms}")
        self.seed = seed
        self.clock = SimulatedClock(start_ms, speed)
        self.faults = faults or Faults()
        self.history = History()
        self.stream_events = StreamEvents(self.history, quiet_closes=quiet_closes)
        self.limits = RateLimits(weight_limit)
        self.stats = Stats()
        self.connections = Connections()
        self.listings: dict[str, Listing] = {}
        self.control_token = control_token
        self._quiet = frozenset(quiet)
        self._recordings = {name: read_recording(path) for name, path in (replay or {}).items()}
        for name in dict.fromkeys([*symbols, *self._recordings]):
            self.list_symbol(name, (since or {}).get(name, OPENED))
        for name, until in REMOVED.items():
            if name in self.listings and until <= start_ms:
                self.stop_symbol(name, until)
        for name, status in (statuses or {}).items():
            self.stop_symbol(name, start_ms, status)

    def now(self) -> int:
        """Exchange time in ms."""
        return self.clock.now()

    def list_symbol(self, name: str, since: int) -> None:
        """From `since` (ms) on, `name` trades."""
        symbol = describe(name)
        self.listings[name] = Listing(symbol, since=since)
        source: PriceSource = SyntheticMarket(symbol, self.seed, sparse=name in self._quiet)
        if name in self._recordings:
            source = RecordedMarket(self._recordings[name], symbol, self.seed)
        self.history.add(name, PriceSeries(source))
        self.history.close(Closure(0, since, name))
        self.connections.reschedule()

    def stop_symbol(self, name: str, until: int, status: str = "BREAK") -> None:
        """From `until` (ms) on, `name` does not trade; its history stays."""
        listing = self.listings[name]
        listing.status, listing.until = status, min(until, listing.until)
        self.history.close(Closure.forever(until, name))

    def drop_symbol(self, name: str) -> None:
        """The exchange does not know `name` any more."""
        del self.listings[name]
        self.connections.reschedule()

    def listed(self, keys: Iterable[StreamKey]) -> list[StreamKey]:
        return [key for key in keys if key[0] in self.listings]

    def kline(
        self, symbol: str, interval: str, open_time: int, at: int | None = None
    ) -> Row | None:
        """The kline that opens then, as it stands at `at` (now, if None), if there is one."""
        moment = self.now() if at is None else at
        found = self.history.kline(symbol, Interval(interval), open_time, moment)
        return self.stream_events.renderer(symbol).row(found) if found else None

    def rolled_back(self, symbol: str, interval: str, open_time: int) -> Row | None:
        """The kline that opens then, if streams have reported it and REST never lists it."""
        kline = self.history.kline(symbol, Interval(interval), open_time, self.now())
        if kline is None or not self.history.is_rolled_back(symbol, kline):
            return None
        return self.stream_events.renderer(symbol).row(kline)

    def klines(
        self,
        symbol: str,
        interval: str,
        start: int | None = None,
        end: int | None = None,
        limit: int = DEFAULT_LIMIT,
        at: int | None = None,
    ) -> list[Row]:
        """What REST lists at `at` (now, if None), oldest first.

        Of the klines that open from `start` to `end` (ms, both inclusive) the oldest `limit`;
        without `start`, the newest.
        """
        now = self.now() if at is None else at
        last = now if end is None else end
        length = Interval(interval)
        if start is None:
            found = list(islice(self.history.newest(symbol, length, last, now), limit))[::-1]
        else:
            found = list(islice(self.history.oldest(symbol, length, start, last, now), limit))
        return self._rows(symbol, found)

    def _rows(self, symbol: str, klines: Iterable[Kline]) -> list[Row]:
        row = self.stream_events.renderer(symbol).row
        return [row(kline) for kline in klines]
