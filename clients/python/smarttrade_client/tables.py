"""Candles as CSV, and as a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .events import Candle

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("time", "open", "high", "low", "close", "volume")


def to_csv(candles: Iterable[Candle]) -> str:
    """A head and a row for each candle, as the server's own CSV."""
    rows = (",".join(map(str, candle[: len(COLUMNS)])) for candle in candles)
    return "\n".join((",".join(COLUMNS), *rows)) + "\n"


def to_dataframe(candles: Iterable[Candle]) -> pd.DataFrame:
    """Indexed by open time, in UTC.

    Raises:
        ImportError: pandas is not installed.
    """
    import pandas as pd

    rows: list[Any] = list(candles)
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "closed"])
    frame["time"] = pd.to_datetime(frame["time"], unit="s", utc=True)
    return frame.set_index("time")
