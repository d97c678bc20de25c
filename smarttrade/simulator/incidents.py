"""What goes wrong once: connections cut, history changed, symbols renamed.

Each is a value that says what happens; `apply` makes it happen, at once and from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import msgspec

from smarttrade.market.interval import SECOND, Interval

from .market import Closure
from .session import GOING_AWAY

if TYPE_CHECKING:
    from .exchange import Exchange
    from .session import Session
    from .transport import Transport

Which = Literal["streams", "all"] | int
"""Stream connections, those of REST as well, or one by its number."""


class Incident(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    def apply(self, exchange: Exchange) -> None:
        raise NotImplementedError


class Cut(Incident, frozen=True):
    """Connections end: by RST, by a bare FIN, or after a close frame (streams only)."""

    how: Literal["rst", "fin", "close"] = "rst"
    which: Which = "streams"

    def apply(self, exchange: Exchange) -> None:
        if self.how == "close":
            for session in _sessions(exchange, self.which):
                session.close(GOING_AWAY, "cut")
            return
        for transport in _transports(exchange, self.which):
            if self.how == "rst":
                transport.reset()
            else:
                transport.finish()


class HalfOpen(Incident, frozen=True):
    """Present connections lose all bytes both ways from now on, and nobody is told."""

    which: Which = "streams"

    def apply(self, exchange: Exchange) -> None:
        for transport in _transports(exchange, self.which):
            transport.half_open = True


class Expire(Incident, frozen=True):
    """The 24 hours of present stream connections are over."""

    def apply(self, exchange: Exchange) -> None:
        Cut("close").apply(exchange)


class ServerShutdown(Incident, frozen=True):
    """Present stream connections are told `serverShutdown`, and end so many seconds later."""

    seconds: float = 10.0

    def apply(self, exchange: Exchange) -> None:
        for session in _sessions(exchange, "streams"):
            session.announce_shutdown(self.seconds)


class Hole(Incident, frozen=True):
    """Trading stops now, for so many seconds of exchange time, of one symbol or of all.

    The candle of the moment ends early, and those that would follow never exist; as on
    2023-03-24, 12:39:41.646 to 14:00 UTC.
    """

    seconds: float = 600.0
    symbol: str | None = None

    def apply(self, exchange: Exchange) -> None:
        now = exchange.now()
        if self.symbol is not None:
            _check(exchange, self.symbol)
        exchange.market.close(Closure(now, now + int(self.seconds * SECOND), self.symbol))


class Alter(Incident, frozen=True):
    """History changes: a closed candle's volume, high and close are different from now on.

    Without `open_time` (ms), it is the last closed candle of the series.
    """

    symbol: str = "BTCUSDT"
    interval: str = "1m"
    open_time: int | None = None

    def apply(self, exchange: Exchange) -> None:
        _check(exchange, self.symbol)
        interval = Interval(self.interval)
        now = exchange.now()
        last = interval.back(interval.floor(now), 1)
        open_time = last if self.open_time is None else self.open_time
        candle = exchange.market.candle(self.symbol, interval, open_time, now)
        if candle is None or candle.close_time >= now or interval.floor(open_time) != open_time:
            raise ValueError(f"no closed candle opens at: {open_time}")
        bar = candle.bar
        exchange.market.amendments[self.symbol, interval, open_time] = bar._replace(
            high=bar.high + 2, close=bar.high + 1, volume=bar.volume + 7, trades=bar.trades + 1
        )


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
    "alter": Alter,
    "delist": Delist,
    "rename": Rename,
    "list": List,
}


def _check(exchange: Exchange, symbol: str) -> None:
    if symbol not in exchange.listings:
        raise ValueError(f"not listed: {symbol}")


def _sessions(exchange: Exchange, which: Which) -> Iterable[Session]:
    sessions = list(exchange.sessions.values())
    return [one for one in sessions if which in ("streams", "all", one.number)]


def _transports(exchange: Exchange, which: Which) -> Iterable[Transport]:
    transports = list(exchange.transports.values())
    return [
        one
        for one in transports
        if which in ("all", one.number) or (which == "streams" and one.number in exchange.sessions)
    ]
