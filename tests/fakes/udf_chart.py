"""A chart that is fed by UDF, as the public client of TradingView's charting library feeds it.

Only its requests and what it makes of answers are restated here: `datafeeds/udf` of the library,
which calls itself UDFCompatibleDatafeed. What the chart does with that is from "Datafeed API:
Required methods" of its documentation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Bar = dict[str, float]
PULSE_BARS = 2
MAX_REQUESTS = 100  # for one way back; a chart that needs more would never end


class DatafeedError(Exception):
    """The datafeed answered that it cannot; its words."""


@dataclass
class UdfChart:
    """One chart; `fetch` requests a path below the datafeed with a query, and returns the JSON."""

    fetch: Callable[[str, dict[str, Any]], Awaitable[Any]]
    clock: Callable[[], int]
    """The browser's, in seconds; whatever it says, candles have the server's times."""
    configuration: dict[str, Any] = field(default_factory=dict)
    symbol: dict[str, Any] = field(default_factory=dict)
    resolution: str = ""
    bars: dict[float, Bar] = field(default_factory=dict)
    """By time in milliseconds."""
    requests: int = 0
    _last_bar_time: float | None = None

    async def open(self, symbol: str, resolution: str) -> None:
        """Configure, and resolve the symbol.

        Raises:
            DatafeedError: there is no such symbol.
        """
        self.configuration = await self.fetch("config", {})
        assert self.configuration["supports_search"] or self.configuration["supports_group_request"]
        assert not self.configuration["supports_group_request"], "it would ask /symbol_info"
        answer = await self.fetch("symbols", {"symbol": symbol})
        if "s" in answer:
            raise DatafeedError("unknown_symbol")
        self.symbol = answer | {"full_name": f"{answer['exchange']}:{answer['name']}"}
        assert resolution in self.symbol["supported_resolutions"]
        self.resolution = resolution

    async def bars_of(self, first: int, last: int, count: int | None) -> tuple[list[Bar], Any]:
        """Bars, and None or what was answered instead of them.

        Raises:
            DatafeedError: the datafeed has answered an error.
        """
        self.requests += 1
        query = {"symbol": self.symbol["ticker"], "resolution": self.resolution}
        query |= {"from": first, "to": last} | ({} if count is None else {"countback": count})
        answer = await self.fetch("history", query)
        if answer["s"] == "no_data":
            return [], answer
        if answer["s"] != "ok":
            raise DatafeedError(answer["errmsg"])
        columns = zip(*(answer[name] for name in "tohlcv"), strict=True)
        return [_bar(*each) for each in columns], None

    async def load(self, count: int) -> None:
        """The newest bars, and then back to where history ends, `count` bars at a time."""
        end = self.clock()
        while self.requests < MAX_REQUESTS:
            # Of days, a chart asks for a range that begins before 1970.
            bars, instead = await self.bars_of(end - count * 86_400, end, count)
            self.bars |= {bar["time"]: bar for bar in bars}
            if instead is not None:
                if "nextTime" not in instead:
                    return
                end = instead["nextTime"]
            elif min(bar["time"] for bar in bars) / 1000 >= end:
                end -= 1
            else:
                end = int(min(bar["time"] for bar in bars) / 1000) - 1
        raise AssertionError("history never ends")

    async def load_ranges(self, seconds: int) -> None:
        """The same as versions before `countback` do it: by ranges of time, over gaps by `nextTime`."""
        end = self.clock()
        while self.requests < MAX_REQUESTS:
            bars, instead = await self.bars_of(end - seconds, end, None)
            self.bars |= {bar["time"]: bar for bar in bars}
            if instead is None:
                end -= seconds + 1
            elif "nextTime" in instead:
                assert instead["nextTime"] < end - seconds, "it would ask the same again"
                end = instead["nextTime"]
            else:
                return
        raise AssertionError("history never ends")

    async def pulse(self) -> None:
        """Poll for the newest bars, as the client does every 10 s."""
        now = self.clock()
        bars, _ = await self.bars_of(now - 600, now, PULSE_BARS)
        if not bars or bars[-1]["time"] < (self._last_bar_time or 0):
            return
        is_new = self._last_bar_time is not None and bars[-1]["time"] > self._last_bar_time
        if is_new:
            assert len(bars) >= PULSE_BARS, "the previous bar must come along, to be final"
            self.bars[bars[-2]["time"]] = bars[-2]
        self._last_bar_time = bars[-1]["time"]
        self.bars[bars[-1]["time"]] = bars[-1]

    async def search(self, text: str) -> list[str]:
        query = {"limit": 30, "query": text.upper(), "type": "", "exchange": ""}
        answer = await self.fetch("search", query)
        assert isinstance(answer, list)
        return [f"{each['full_name']} {each['ticker']}" for each in answer]

    async def server_time(self) -> int:
        return int(await self.fetch("time", {}))


def _bar(time: float, open_: float, high: float, low: float, close: float, volume: float) -> Bar:
    return {
        "time": time * 1000,
        "open": open_,
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
    }
