from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smarttrade.cli import run

DAY = 24 * 60


@pytest.fixture
def exchanges(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The exchanges that the command would serve."""
    served: list[Any] = []

    def remember(main: partial[int]) -> int:
        served.append(main.args)
        return 0

    monkeypatch.setattr("smarttrade.cli.simulator.run_until_signal", remember)
    monkeypatch.setattr("smarttrade.cli.simulator.configure_logs", lambda: None)
    return served


def recording(path: Path, first: int) -> Path:
    """A day and a half of minutes."""
    rows = [f"{first + minute * 60_000},1.0,2.0,0.5,1.5,10.0" for minute in range(DAY * 3 // 2)]
    path.write_text("\n".join(["open_time,open,high,low,close,volume", *rows]))
    return path


def test_without_options_it_is_the_same_market_at_port_9000_now(exchanges: list[Any]) -> None:
    import time

    assert run(["simulator"]) == 0
    ((exchange, host, port),) = exchanges
    assert (host, port) == ("127.0.0.1", 9000)
    assert "BTCUSDT" in exchange.listings
    assert abs(exchange.clock.start_ms - time.time() * 1000) < 60_000


def test_options_reach_the_exchange(exchanges: list[Any]) -> None:
    options = "--host ::1 --port 9001 --symbols ethusdt,FOOUSDT --seed 7 --speed 60"
    run(["simulator", *options.split(), "--start", "2024-12-01T07:00"])
    ((exchange, host, port),) = exchanges
    assert (host, port) == ("::1", 9001)
    assert list(exchange.listings) == ["ETHUSDT", "FOOUSDT"]
    assert (exchange.seed, exchange.clock.speed) == (7, 60)
    assert exchange.clock.start_ms == 1733036400000


@pytest.mark.parametrize(
    "text", ["1733036400000", "2024-12-01T08:00+01:00", "2024-12-01 07:00:00", "2024-12-01T07:00Z"]
)
def test_the_start_may_be_written_in_several_ways(exchanges: list[Any], text: str) -> None:
    run(["simulator", "--start", text])
    assert exchanges[0][0].clock.start_ms == 1733036400000


def test_a_recording_starts_where_there_is_history_to_look_back_on(
    exchanges: list[Any], tmp_path: Path
) -> None:
    first = 1733011200000
    path = recording(tmp_path / "btc.csv", first)
    run(["simulator", "--replay", f"btcusdt={path}"])
    exchange = exchanges[0][0]
    assert exchange.clock.start_ms == first + 1000 * 60_000
    assert "BTCUSDT" in exchange.listings


@pytest.mark.parametrize(
    "options",
    [
        ["--port", "65536"],
        ["--port", "-1"],
        ["--speed", "0"],
        ["--speed", "nan"],
        ["--speed", "fast"],
        ["--symbols", ","],
        ["--symbols", "A/B"],
        ["--start", "yesterday"],
        ["--replay", "BTCUSDT"],
        ["--replay", "B/T=x"],
        ["--seed", "x"],
    ],
)
def test_bad_options_end_with_status_2(
    exchanges: list[Any], capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(["simulator", *options])
    assert caught.value.code == 2
    assert exchanges == []


@pytest.mark.parametrize(
    "options", [["--start", "2010-01-01"], ["--replay", "BTCUSDT=/no/such/file"]]
)
def test_what_the_exchange_cannot_do_is_one_line_and_status_2(
    exchanges: list[Any], capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert run(["simulator", *options]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert exchanges == []
