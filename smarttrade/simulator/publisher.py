"""What the streams say at an instant, made once for all connections."""

from __future__ import annotations

from dataclasses import dataclass, field

from smarttrade.market.interval import SECOND, Interval

from .market import Candle, Market
from .plan import CLOSE_DELAY, PUSH_EVERY, is_boundary
from .render import Renderer


def stream_name(symbol: str, interval: Interval) -> str:
    return f"{symbol.lower()}@kline_{interval.value}"


def text_frame(text: bytes) -> bytes:
    """A whole message in one frame from a server. Source: RFC 6455, section 5.2."""
    size = len(text)
    if size < 126:
        return bytes((0x81, size)) + text
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text


@dataclass(slots=True)
class Event:
    """Something that a stream says; its frames are shared by everyone who hears it."""

    stream: str
    payload: str
    closing: bool = False
    _frames: dict[bool, bytes] = field(default_factory=dict)

    def text(self, *, combined: bool) -> str:
        return f'{{"stream":"{self.stream}","data":{self.payload}}}' if combined else self.payload

    def frame(self, *, combined: bool) -> bytes:
        if combined not in self._frames:
            self._frames[combined] = text_frame(self.text(combined=combined).encode())
        return self._frames[combined]


class Publisher:
    """Events follow from the market and the instant alone, so all connections agree."""

    def __init__(self, market: Market, *, quiet_closes: bool) -> None:
        """With `quiet_closes`, candles without trades have a closing event too."""
        self._market = market
        self._quiet_closes = quiet_closes
        self._renderers: dict[str, Renderer] = {}
        self._latest: dict[tuple[str, Interval], tuple[int, list[Event]]] = {}

    def renderer(self, symbol: str) -> Renderer:
        if symbol not in self._renderers:
            source = self._market.tapes[symbol].source
            self._renderers[symbol] = Renderer(
                symbol, source.price_decimals, source.volume_decimals
            )
        return self._renderers[symbol]

    def events(self, symbol: str, interval: Interval, instant: int) -> list[Event]:
        """What a series says at one of the instants of a plan; often nothing."""
        key = symbol, interval
        kept = self._latest.get(key)
        if kept is None or kept[0] != instant:
            make = self._at_boundary if is_boundary(instant) else self._in_between
            kept = instant, make(symbol, interval, instant)
            self._latest[key] = kept
        return kept[1]

    def _at_boundary(self, symbol: str, interval: Interval, instant: int) -> list[Event]:
        """The final state of the candle that ended, then the first of the next."""
        opened = instant - CLOSE_DELAY
        events = []
        ended = self._market.candle(symbol, interval, interval.back(opened, 1), instant)
        if ended and ended.close_time == opened - 1 and (ended.bar.trades or self._quiet_closes):
            events.append(self._event(symbol, interval, ended, instant, closed=True))
        begun = self._market.candle(symbol, interval, opened, instant)
        if begun and begun.bar.trades:
            events.append(self._event(symbol, interval, begun, instant))
        return events

    def _in_between(self, symbol: str, interval: Interval, instant: int) -> list[Event]:
        """The forming candle, if it has changed since the last push."""
        open_time = interval.floor(instant)
        second = instant - instant % SECOND
        heard = max(second - PUSH_EVERY, open_time) + SECOND
        if heard > second or not self._market.traded(symbol, heard, second + SECOND):
            return []
        candle = self._market.candle(symbol, interval, open_time, instant)
        return [self._event(symbol, interval, candle, instant)] if candle else []

    def _event(
        self, symbol: str, interval: Interval, candle: Candle, time: int, *, closed: bool = False
    ) -> Event:
        payload = self.renderer(symbol).event(interval, candle, time, closed=closed)
        return Event(stream_name(symbol, interval), payload, closed)
