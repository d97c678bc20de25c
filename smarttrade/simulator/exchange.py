"""The exchange itself: its clock, its books, who is connected, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from smarttrade.market.interval import Interval

from .clock import ExchangeClock
from .faults import Faults
from .limits import Limits
from .listings import Listing
from .market import Candle, Closure, Market
from .plan import Series
from .publisher import Publisher
from .render import Row
from .replay import RecordedMarket, read_recording
from .stats import Stats
from .symbols import DEFAULT_SYMBOLS, describe
from .synthetic import SyntheticMarket
from .tape import Source, Tape

if TYPE_CHECKING:
    from .session import Session
    from .transport import Transport

OPENED = 1_502_928_000_000  # 2017-08-17, the first day that Binance has candles of
REMOVED = {"MATICUSDT": 1_725_937_200_000}  # 2024-09-10 03:00, renamed to POLUSDT

DEFAULT_LIMIT, MAX_ROWS = 500, 1000


class Exchange:
    """Everything a simulated exchange consists of; `serve_exchange` puts it on a socket.

    Nothing in it uses any time but Trio's or any chance but what follows from `seed`, so the same
    program with the same seed under a `MockClock` sees the same exchange.
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
    ) -> None:
        """An exchange that opens its doors at `start_ms` (exchange time).

        `replay`: recorded minutes of some symbols (`replay.py`), listed even if not in `symbols`.
        `statuses`: of symbols that do not trade, such as HALT or BREAK; they stopped at the start.
        `since`: when symbols were listed (ms); at the exchange's own beginning, 2017, if not said.
        `quiet`: symbols with minutes in which nobody trades; with `quiet_closes` false, their
        streams say nothing at all about such minutes.
        """
        if start_ms < OPENED:
            raise ValueError(f"the exchange did not exist before {OPENED}; start_ms: {start_ms}")
        self.seed = seed
        self.clock = ExchangeClock(start_ms, speed)
        self.faults = faults or Faults()
        self.market = Market()
        self.publisher = Publisher(self.market, quiet_closes=quiet_closes)
        self.limits = Limits()
        self.stats = Stats()
        self.listings: dict[str, Listing] = {}
        self.sessions: dict[int, Session] = {}
        self.transports: dict[int, Transport] = {}
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
        source: Source = SyntheticMarket(symbol, self.seed, sparse=name in self._quiet)
        if name in self._recordings:
            source = RecordedMarket(self._recordings[name], symbol, self.seed)
        self.market.add(name, Tape(source))
        self.market.close(Closure(0, since, name))
        self._replan()

    def stop_symbol(self, name: str, until: int, status: str = "BREAK") -> None:
        """From `until` (ms) on, `name` does not trade; its history stays."""
        listing = self.listings[name]
        listing.status, listing.until = status, min(until, listing.until)
        self.market.close(Closure.forever(until, name))

    def drop_symbol(self, name: str) -> None:
        """The exchange does not know `name` any more."""
        del self.listings[name]
        self._replan()

    def listed(self, series: Iterable[Series]) -> list[Series]:
        return [one for one in series if one[0] in self.listings]

    def candle(
        self, symbol: str, interval: Interval, open_time: int, at: int | None = None
    ) -> Row | None:
        """The candle that opens then, as it stands at `at` (now, if None), if there is one."""
        candle = self.market.candle(symbol, interval, open_time, self.now() if at is None else at)
        return self.publisher.renderer(symbol).row(candle) if candle else None

    def klines(
        self,
        symbol: str,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        limit: int = DEFAULT_LIMIT,
        at: int | None = None,
    ) -> list[Row]:
        """The truth as REST tells it at `at` (now, if None), oldest first.

        Of the candles that open from `start` to `end` (ms, both inclusive) the oldest `limit`;
        without `start`, the newest.
        """
        now = self.now() if at is None else at
        last = now if end is None else end
        if start is None:
            found = list(islice(self.market.newest(symbol, interval, last, now), limit))[::-1]
        else:
            found = list(islice(self.market.oldest(symbol, interval, start, last, now), limit))
        return self._rows(symbol, found)

    def _rows(self, symbol: str, candles: Iterable[Candle]) -> list[Row]:
        row = self.publisher.renderer(symbol).row
        return [row(candle) for candle in candles]

    async def serve_stream(self, stream: trio.abc.Stream, peer: str = "memory") -> None:
        """Serve one connection until it ends, whatever kind of stream it is; closes it."""
        from .server import serve_connection

        await serve_connection(self, stream, peer)

    def _replan(self) -> None:
        for session in self.sessions.values():
            session.replan()
