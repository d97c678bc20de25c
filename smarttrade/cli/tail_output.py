"""How `smarttrade tail` prints candles and notices: as a table, as JSON lines, or as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any, NamedTuple, Protocol

import msgspec

from .candle_table import CandleRow, Table
from .messages import print_message


class SeriesName(NamedTuple):
    symbol: str
    interval: str


class Output(Protocol):
    def candle(self, series: SeriesName, candle: CandleRow, state: str) -> None:
        """Print an update; `state` is `forming`, `closed` or `corrected`."""

    def notice(self, text: str, **event: Any) -> None:
        """Print that candles are not live, or live again; `event` has it for programs."""


class TableOutput:
    """For people. Notices go to standard error."""

    def __init__(self, *, names_series: bool) -> None:
        self._names_series = names_series
        self._tables: dict[SeriesName, Table] = {}

    def candle(self, series: SeriesName, candle: CandleRow, state: str) -> None:
        row = self._tables.setdefault(series, Table()).row(candle, state)
        name = f"{series.symbol:<10} {series.interval:<3}  " if self._names_series else ""
        print(name + row, flush=True)

    def notice(self, text: str, **event: Any) -> None:  # noqa: ARG002
        print_message(text, level="warning")


class JsonOutput:
    """A JSON object per line, notices included, so that a program never takes an old price as live.

    Candles are as on the WebSocket; notices are `status` (of the feed) and `connection`.
    """

    def candle(self, series: SeriesName, candle: CandleRow, state: str) -> None:
        closed, corrected = state != "forming", state == "corrected"
        self._print("candle", **series._asdict(), candle=candle, closed=closed, corrected=corrected)

    def notice(self, text: str, **event: Any) -> None:
        self._print(**event, message=text)

    def _print(self, type: str, **fields: Any) -> None:  # noqa: A002
        print(msgspec.json.encode({"type": type, **fields}).decode(), flush=True)


class CsvOutput:
    """A row per update below a header. Notices go to standard error."""

    HEADER = ("symbol", "interval", "time", "open", "high", "low", "close", "volume", "state")

    def __init__(self) -> None:
        self._print(self.HEADER)

    def candle(self, series: SeriesName, candle: CandleRow, state: str) -> None:
        self._print((*series, *msgspec.structs.astuple(candle), state))

    def notice(self, text: str, **event: Any) -> None:  # noqa: ARG002
        print_message(text, level="warning")

    def _print(self, row: tuple[Any, ...]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(row)
        print(text.getvalue(), flush=True)
