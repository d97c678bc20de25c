"""What goes wrong once: connections cut, history changed, symbols halted or renamed.

Each is a value; `apply` makes it happen, at once and from anywhere.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from .calendar import SECOND, Interval
from .connections import GOING_AWAY, Which
from .exchange import Exchange
from .history import Closure, Rollback
from .listings import Halt as HaltedTime


class Incident(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    def apply(self, exchange: Exchange) -> None:
        raise NotImplementedError


class Cut(Incident, frozen=True):
    """Connections end: by RST, by a bare FIN, or after a close frame (streams only)."""

    how: Literal["rst", "fin", "close"] = "rst"
    which: Which = "streams"

    def apply(self, exchange: Exchange) -> None:
        if self.how == "close":
            for stream in exchange.connections.select_streams(self.which):
                stream.close(GOING_AWAY, "cut")
            return
        for transport in exchange.connections.select(self.which):
            if self.how == "rst":
                transport.reset()
            else:
                transport.finish()


class HalfOpen(Incident, frozen=True):
    """Present connections lose all bytes both ways from now on, and neither side notices."""

    which: Which = "streams"

    def apply(self, exchange: Exchange) -> None:
        for transport in exchange.connections.select(self.which):
            transport.half_open = True


class Expire(Incident, frozen=True):
    """The 24 hours of present stream connections are over."""

    def apply(self, exchange: Exchange) -> None:
        Cut("close").apply(exchange)


class ServerShutdown(Incident, frozen=True):
    """Present streams get `serverShutdown`, and end so many seconds later."""

    seconds: float = 10.0

    def apply(self, exchange: Exchange) -> None:
        for stream in exchange.connections.select_streams("streams"):
            stream.announce_shutdown(self.seconds)


class Hole(Incident, frozen=True):
    """Trading stops now, for so many seconds of exchange time, of one symbol or of all.

    The kline of the moment ends early, and those that would follow never exist; as on
    2023-03-24, 12:39:41.646 to 14:00 UTC.
    """

    seconds: float = 600.0
    symbol: str | None = None

    def apply(self, exchange: Exchange) -> None:
        now = exchange.now()
        if self.symbol is not None:
            _check(exchange, self.symbol)
        exchange.history.close(Closure(now, now + int(self.seconds * SECOND), self.symbol))


class Alter(Incident, frozen=True):
    """History changes: a closed kline's volume, high and close are different from now on.

    Without `open_time` (ms), it is the last closed one of the series.
    """

    symbol: str = "BTCUSDT"
    interval: str = "1m"
    open_time: int | None = None

    def apply(self, exchange: Exchange) -> None:
        _check(exchange, self.symbol)
        interval = Interval(self.interval)
        now = exchange.now()
        last = interval.preceding(interval.opening(now))
        open_time = last if self.open_time is None else self.open_time
        kline = exchange.history.kline(self.symbol, interval, open_time, now)
        if kline is None or kline.close_time >= now or interval.opening(open_time) != open_time:
            raise ValueError(f"no closed kline opens at: {open_time}")
        bar = kline.bar
        exchange.history.amendments[self.symbol, interval, open_time] = bar._replace(
            high=bar.high + 2, close=bar.high + 1, volume=bar.volume + 7, trades=bar.trades + 1
        )


class Halt(Incident, frozen=True):
    """Some symbols, or all, do not trade for so many seconds of exchange time, and `exchangeInfo`
    reports it.

    As in maintenance: the status is BREAK or another meanwhile, and TRADING afterwards.
    """

    symbols: list[str] | None = None
    status: Literal["BREAK", "HALT", "END_OF_DAY", "CANCEL_ONLY"] = "BREAK"
    seconds: float = 600.0

    def apply(self, exchange: Exchange) -> None:
        names = list(exchange.listings) if self.symbols is None else self.symbols
        for symbol in names:
            _check(exchange, symbol)
        start = exchange.now()
        end = start + int(self.seconds * SECOND)
        for symbol in names:
            exchange.listings[symbol].halts.append(HaltedTime(start, end, self.status))
            exchange.history.close(Closure(start, end, symbol))


class RollBack(Incident, frozen=True):
    """What a symbol trades within the next seconds is reported by streams and listed by no REST
    answer, ever: klines that lie within it are left out.
    """

    symbol: str
    seconds: float = 120.0

    def apply(self, exchange: Exchange) -> None:
        _check(exchange, self.symbol)
        start = exchange.now()
        end = start + int(self.seconds * SECOND)
        exchange.history.rollbacks.append(Rollback(start, end, self.symbol))


class Delist(Incident, frozen=True):
    """A symbol stops trading: status BREAK, no new candles, a silent stream.

    With `forget`, the exchange does not know it any more either.
    """

    symbol: str
    forget: bool = False

    def apply(self, exchange: Exchange) -> None:
        _check(exchange, self.symbol)
        exchange.stop_symbol(self.symbol, exchange.now())
        if self.forget:
            exchange.drop_symbol(self.symbol)


class Rename(Incident, frozen=True):
    """A symbol stops trading, and its successor begins, without any history."""

    symbol: str
    to: str

    def apply(self, exchange: Exchange) -> None:
        Delist(self.symbol).apply(exchange)
        List(self.to).apply(exchange)


class List(Incident, frozen=True):
    """A new symbol begins to trade now."""

    symbol: str

    def apply(self, exchange: Exchange) -> None:
        if self.symbol in exchange.listings:
            raise ValueError(f"already listed: {self.symbol}")
        exchange.list_symbol(self.symbol, exchange.now())


INCIDENTS: dict[str, type[Incident]] = {
    "cut": Cut,
    "half_open": HalfOpen,
    "expire": Expire,
    "server_shutdown": ServerShutdown,
    "hole": Hole,
    "halt": Halt,
    "roll_back": RollBack,
    "alter": Alter,
    "delist": Delist,
    "rename": Rename,
    "list": List,
}


def _check(exchange: Exchange, symbol: str) -> None:
    if symbol not in exchange.listings:
        raise ValueError(f"not listed: {symbol}")
