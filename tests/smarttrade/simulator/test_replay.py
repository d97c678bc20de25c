from __future__ import annotations

import csv
import gzip
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from smarttrade.simulator import Exchange, replay_start
from smarttrade.simulator.calendar import DAY, MINUTE, Interval
from smarttrade.simulator.replay import read_recording

DATA = Path(__file__).parents[3].parent / "shared" / "data"
BTC = DATA / "BTCUSDT-1m-2024-12.csv.gz"
ETH = DATA / "ETHUSDT-1m-2023-10.csv.gz"

needs_data = pytest.mark.skipif(
    not BTC.exists(), reason=f"the recorded market data is not there: {DATA}"
)

FIRST = 20_000 * DAY + 3 * 3600_000
HEADER = "open_time,open,high,low,close,volume"


def write_recording(path: Path, minutes: int = 2 * 1440 + 5, *, header: str = HEADER) -> Path:
    rows = [header]
    for number in range(minutes):
        low = 100 + number % 7
        price = f"{low}.25,{low + 2}.5,{low},{low + 1}.75"
        rows.append(f"{FIRST + number * MINUTE},{price},{1 + number % 3}.125")
    path.write_text("\n".join(rows) + "\n")
    return path


def replaying(path: Path, symbol: str = "BTCUSDT") -> Exchange:
    return Exchange([symbol], start_ms=replay_start(path), replay={symbol: path})


def values(row: Any) -> list[Decimal]:
    return [Decimal(value) for value in row[1:6]]


def test_a_replay_starts_with_1000_recorded_minutes_behind_it(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "recording.csv")
    assert replay_start(path) == FIRST + 1000 * MINUTE


def test_recorded_minutes_come_as_recorded_and_again_after_whole_days(tmp_path: Path) -> None:
    """Five minutes more than two days: the loop is two days, and yet all minutes are there."""
    path = write_recording(tmp_path / "recording.csv")
    venue = replaying(path)
    last = FIRST + (2 * 1440 + 4) * MINUTE
    loop = 2 * DAY

    def minute(time: int) -> list[Decimal]:
        return values(venue.kline("BTCUSDT", Interval.MINUTE_1, time, at=time + DAY))

    assert minute(FIRST) == [
        Decimal(text) for text in ("100.25", "102.5", "100", "101.75", "1.125")
    ]
    assert minute(last) == [Decimal(text) for text in ("100.25", "102.5", "100", "101.75", "2.125")]
    assert minute(FIRST - loop) == minute(FIRST) == minute(FIRST + 7 * loop)
    assert minute(last + MINUTE) == minute(last + MINUTE - loop)


def test_a_recorded_day_is_the_sum_of_its_minutes_and_of_its_seconds(tmp_path: Path) -> None:
    venue = replaying(write_recording(tmp_path / "recording.csv"))
    day, minute, second = Interval.DAY_1, Interval.MINUTE_1, Interval.SECOND_1
    start = FIRST + DAY - FIRST % DAY
    whole = venue.kline("BTCUSDT", day, start, at=start + DAY)
    assert whole is not None
    rows = [
        row
        for page in (0, 1)
        for row in venue.klines(
            "BTCUSDT", minute, start + page * DAY // 2, start + DAY - 1, 720, at=start + DAY
        )
    ]
    assert sum(Decimal(row[5]) for row in rows) == Decimal(whole[5])
    assert sum(row[8] for row in rows) == whole[8]
    seconds = venue.klines("BTCUSDT", second, start, start + MINUTE - 1, at=start + DAY)
    assert sum(Decimal(row[5]) for row in seconds) == Decimal(rows[0][5])
    assert max(Decimal(row[2]) for row in seconds) == Decimal(rows[0][2])
    assert seconds[-1][4] == rows[0][4]


def test_a_minute_that_was_not_recorded_had_no_trades(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "recording.csv")
    lines = path.read_text().splitlines()
    del lines[11]
    path.write_text("\n".join(lines))
    row = replaying(path).kline("BTCUSDT", Interval.MINUTE_1, FIRST + 10 * MINUTE, at=FIRST + DAY)
    assert row is not None
    assert row[8] == 0
    assert row[1] == row[4]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "a day of minutes"),
        ("a,b\n1,2\n", "not a recording"),
        (f"{HEADER}\n{FIRST},1,1,1,1,1\n", "a day of minutes"),
        (f"{HEADER}\n{FIRST + 1},1,1,1,1,1\n", "whole minutes"),
        (f"{HEADER}\n{FIRST},one,1,1,1,1\n", "not a recording"),
        (f"{HEADER}\n{FIRST},1,1,1,1,1\n{FIRST},1,1,1,1,1\n", "and rise"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "other.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=problem) as caught:
        read_recording(path)
    assert "other.csv" in str(caught.value)


@needs_data
@pytest.mark.parametrize(("path", "symbol"), [(BTC, "BTCUSDT"), (ETH, "ETHUSDT")])
def test_real_minutes_come_back_exactly(path: Path, symbol: str) -> None:
    with gzip.open(path, "rt") as file:
        recorded = list(csv.DictReader(file))
    venue = replaying(path, symbol)
    first, last = int(recorded[0]["open_time"]), int(recorded[-1]["open_time"])
    played: list[Any] = []
    while len(played) < len(recorded):
        start = played[-1][0] + MINUTE if played else first
        played += venue.klines(symbol, Interval.MINUTE_1, start, last, 1000, at=last + DAY)
    for row, original in zip(played, recorded, strict=True):
        assert row[0] == int(original["open_time"])
        names = ("open", "high", "low", "close", "volume")
        assert values(row) == [Decimal(original[name]) for name in names]
        if "trades" in original:
            assert (Decimal(row[7]), row[8]) == (
                Decimal(original["quote_volume"]),
                int(original["trades"]),
            )


@needs_data
def test_a_recorded_month_has_a_thousand_days_of_history() -> None:
    venue = replaying(BTC)
    at = replay_start(BTC)
    for interval in (Interval.MINUTE_1, Interval.DAY_1):
        rows = venue.klines("BTCUSDT", interval, limit=1000, at=at)
        assert len(rows) == 1000
        assert all(later[0] == interval.following(row[0]) for row, later in pairwise(rows))
