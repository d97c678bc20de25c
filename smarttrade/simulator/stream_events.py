"""What the streams send at an instant, made once for all connections."""

from __future__ import annotations

from dataclasses import dataclass, field

from .calendar import SECOND, Interval
from .history import History, Kline
from .push_schedule import CLOSE_DELAY, PUSH_INTERVAL, StreamKey, is_boundary
from .render import Renderer


def stream_name(symbol: str, interval: Interval) -> str:
    return f"{symbol.lower()}@kline_{interval}"


def text_frame(text: bytes) -> bytes:
    """A whole message in one frame from a server. Source: RFC 6455, section 5.2."""
    size = len(text)
    if size < 126:
        return bytes((0x81, size)) + text
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text


@dataclass(slots=True)
class StreamEvent:
    """One message of a stream; its frames are shared by all connections that it goes to."""

    stream: str
    payload: str
    time: int = 0
    """`E`, ms."""

    closing: bool = False
    _frames: dict[bool, bytes] = field(default_factory=dict)

    def text(self, *, combined: bool) -> str:
        return f'{{"stream":"{self.stream}","data":{self.payload}}}' if combined else self.payload

    def frame(self, *, combined: bool) -> bytes:
        if combined not in self._frames:
            self._frames[combined] = text_frame(self.text(combined=combined).encode())
        return self._frames[combined]


class StreamEvents:
    """Events follow from history and the instant alone, so all connections agree."""

    def __init__(self, history: History, *, quiet_closes: bool) -> None:
        """With `quiet_closes`, klines without trades have a closing event too."""
        self._history = history
        self._quiet_closes = quiet_closes
        self._renderers: dict[str, Renderer] = {}
        self._latest: dict[StreamKey, tuple[int, list[StreamEvent]]] = {}

    def renderer(self, symbol: str) -> Renderer:
        if symbol not in self._renderers:
            source = self._history.prices[symbol].source
            self._renderers[symbol] = Renderer(
                symbol, source.price_decimals, source.volume_decimals
            )
        return self._renderers[symbol]

    def at(self, key: StreamKey, instant: int) -> list[StreamEvent]:
        """What a stream sends at one of the instants of a schedule; often nothing."""
        kept = self._latest.get(key)
        if kept is None or kept[0] != instant:
            make = self._at_boundary if is_boundary(instant) else self._in_between
            kept = instant, make(*key, instant)
            self._latest[key] = kept
        return kept[1]

    def _at_boundary(self, symbol: str, interval: Interval, instant: int) -> list[StreamEvent]:
        """The final state of the kline that ended, then the first of the next."""
        opened = instant - CLOSE_DELAY
        events = []
        ended = self._history.kline(symbol, interval, interval.preceding(opened), instant)
        if ended and ended.close_time == opened - 1 and (ended.bar.trades or self._quiet_closes):
            events.append(self._event(symbol, interval, ended, instant, closed=True))
        begun = self._history.kline(symbol, interval, opened, instant)
        if begun and begun.bar.trades:
            events.append(self._event(symbol, interval, begun, instant))
        return events

    def _in_between(self, symbol: str, interval: Interval, instant: int) -> list[StreamEvent]:
        """The forming kline, if it has changed since the last push."""
        open_time = interval.opening(instant)
        second = instant - instant % SECOND
        since = max(second - PUSH_INTERVAL, open_time) + SECOND
        if since > second or not self._history.traded(symbol, since, second + SECOND):
            return []
        kline = self._history.kline(symbol, interval, open_time, instant)
        return [self._event(symbol, interval, kline, instant)] if kline else []

    def _event(
        self, symbol: str, interval: Interval, kline: Kline, time: int, *, closed: bool = False
    ) -> StreamEvent:
        payload = self.renderer(symbol).event(interval, kline, time, closed=closed)
        return StreamEvent(stream_name(symbol, interval), payload, time, closed)
