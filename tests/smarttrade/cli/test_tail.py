from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
import trio_websocket

from smarttrade.cli.candle_table import CandleRow, Table
from smarttrade.cli.follower import FIRST_TIMEOUT, Follower
from smarttrade.cli.tail import endpoint
from smarttrade.cli.tail_output import CsvOutput, JsonOutput, Output, SeriesName, TableOutput

NAME = {"symbol": "BTCUSDT", "interval": "1m"}
WANTED = SeriesName("btcusdt", "1m")
HOUR = 1733007600  # 2024-11-30 23:00
Script = Callable[["Line"], Awaitable[None]]


class Line:
    """The backend's end of one connection."""

    def __init__(self, websocket: trio_websocket.WebSocketConnection) -> None:
        self._websocket = websocket

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._websocket.get_message())
        return message

    async def send(self, **message: Any) -> None:
        await self._websocket.send_message(json.dumps(message))

    async def close(self, code: int) -> None:
        await self._websocket.aclose(code)


class Backend:
    """Serves one connection after the other, each as its script says; refuses any more."""

    def __init__(self, nursery: trio.Nursery, *scripts: Script | int) -> None:
        self._nursery = nursery
        self._scripts = list(scripts)
        self.dialled: list[float] = []
        self.headers: list[dict[str, str]] = []
        """Of each handshake."""

    async def dial(self, _: str) -> trio.abc.Stream:
        self.dialled.append(trio.current_time())
        if not self._scripts:
            raise ConnectionRefusedError(111, "Connection refused")
        client, server = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, server, self._scripts.pop(0))
        return client

    async def _serve(self, stream: trio.abc.Stream, script: Script | int) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                request = await trio_websocket.wrap_server_stream(nursery, stream)
                headers = ((name.decode(), value.decode()) for name, value in request.headers)
                self.headers.append(dict(headers))
                if isinstance(script, int):
                    await request.reject(script)
                else:
                    await script(Line(await request.accept()))
                scope.cancel()


def candle(minute: int, close: float = 1.5) -> dict[str, float]:
    time = HOUR + 60 * minute
    return {"time": time, "open": 1.0, "high": 2.25, "low": 0.5, "close": close, "volume": 10.0}


async def subscribed(line: Line, *candles: dict[str, float]) -> dict[str, Any]:
    """Greet and answer the first request; returns what was asked for."""
    await line.send(type="welcome", server="smarttrade/0", heartbeat=25)
    request = await line.receive()
    await line.send(type="subscribed", subscriptions=[NAME], errors=[])
    await line.send(type="snapshot", **NAME, candles=candles, closed=False, truncated=False)
    (wanted,) = request["subscriptions"]
    assert isinstance(wanted, dict)
    return wanted


async def update(line: Line, minute: int, close: float, *, closed: bool = False) -> None:
    await line.send(type="candle", **NAME, candle=candle(minute, close), closed=closed)


async def follow(
    *scripts: Script | int,
    count: int | None = None,
    timeout: float | None = None,  # the follower's
    output: Output | None = None,
) -> tuple[int, list[float]]:
    """The exit status, and when connections were tried."""
    async with trio.open_nursery() as nursery:
        backend = Backend(nursery, *scripts)
        follower = Follower(
            *("ws://backend/ws/candles", [WANTED], output or TableOutput(names_series=False)),
            dial=backend.dial,
            count=count,
            timeout=timeout,
        )
        with trio.fail_after(1000):
            status = await follower.follow()
        nursery.cancel_scope.cancel()
    return status, backend.dialled


def rows(out: str) -> list[Sequence[str]]:
    """Of each line the time of day, the close and the state."""
    fields = [line.split() for line in out.splitlines()]
    return [(line[1], line[5], line[7]) for line in fields]


async def test_the_newest_candle_and_then_every_update_is_a_line(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def script(line: Line) -> None:
        wanted = await subscribed(line, candle(0))
        assert wanted == {"symbol": "btcusdt", "interval": "1m", "snapshot": 1}
        await update(line, 0, 1.75)
        await line.send(type="heartbeat", time=1)
        await line.send(type="something new", symbol=[1], of="later")
        await update(line, 0, 2.0, closed=True)
        await update(line, 1, 2.125)

    assert (await follow(script, count=4))[0] == 0
    assert rows(capsys.readouterr().out) == [
        ("23:00:00", "1.50", "forming"),
        ("23:00:00", "1.75", "forming"),
        ("23:00:00", "2.00", "closed"),
        ("23:01:00", "2.125", "forming"),
    ]


async def test_after_a_reconnect_it_resumes_without_repeating(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def first(line: Line) -> None:
        await subscribed(line, candle(0))
        await update(line, 1, 2.0)
        await line.close(1001)

    async def second(line: Line) -> None:
        wanted = await subscribed(line, candle(1, 2.5), candle(2), candle(3))
        assert wanted["since"] == HOUR + 60
        assert wanted["symbol"] == "BTCUSDT"
        assert "snapshot" not in wanted
        await line.close(1013)

    async def third(line: Line) -> None:
        await subscribed(line, candle(3))
        await update(line, 3, 9.0)

    assert (await follow(first, second, third, count=6))[0] == 0
    assert rows(capsys.readouterr().out) == [
        ("23:00:00", "1.50", "forming"),
        ("23:01:00", "2.00", "forming"),
        ("23:01:00", "2.50", "closed"),
        ("23:02:00", "1.50", "closed"),
        ("23:03:00", "1.50", "forming"),
        ("23:03:00", "9.00", "forming"),
    ]


async def test_a_backend_that_is_away_is_retried_with_growing_pauses(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        backend = Backend(nursery)
        follower = Follower(
            *("ws://backend/ws/candles", [WANTED], TableOutput(names_series=False)),
            dial=backend.dial,
            timeout=inf,
        )
        with trio.move_on_after(300):
            await follower.follow()
        nursery.cancel_scope.cancel()
    pauses = [b - a for a, b in zip(backend.dialled, backend.dialled[1:], strict=False)]
    assert pauses[0] <= 0.5
    assert all(15 <= pause <= 30 for pause in pauses[7:])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == len(backend.dialled)
    assert "ws://backend/ws/candles: Connection refused; trying again in " in captured.err


async def test_an_unknown_symbol_is_reported_once_and_ends_with_1(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def script(line: Line) -> None:
        await line.receive()
        error = {"code": "unknown_symbol", "message": "unknown symbol: 'x'; there are A, B"}
        await line.send(type="subscribed", subscriptions=[], errors=[error])
        await trio.sleep_forever()

    assert await follow(script) == (1, [0.0])
    assert capsys.readouterr().err == "smarttrade: unknown symbol: 'x'; there are A, B\n"


async def test_an_error_message_ends_with_1(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def script(line: Line) -> None:
        await line.send(type="error", id=None, code="bad_request", message="not understood")
        await trio.sleep_forever()

    assert (await follow(script))[0] == 1
    assert capsys.readouterr().err == "smarttrade: not understood\n"


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_refused_handshake_ends_with_1(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock, status: int
) -> None:
    assert await follow(status) == (1, [0.0])
    assert str(status) in capsys.readouterr().err


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_backend_is_retried(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock, status: int
) -> None:
    async def script(line: Line) -> None:
        await subscribed(line, candle(0))

    exit_status, dialled = await follow(status, script, count=1)
    assert exit_status == 0
    assert len(dialled) == 2


@pytest.mark.parametrize("code", [1008, 1009])
async def test_a_close_without_a_retry_ends_with_1(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock, code: int
) -> None:
    async def script(line: Line) -> None:
        await subscribed(line, candle(0))
        await line.close(code)

    assert await follow(script) == (1, [0.0])
    assert str(code) in capsys.readouterr().err


async def test_another_kind_of_server_ends_with_1(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def script(line: Line) -> None:
        await line.send(hello="world")
        await trio.sleep_forever()

    assert (await follow(script))[0] == 1
    assert "not what SmartTrade says" in capsys.readouterr().err


async def test_gaps_and_the_feed_go_to_standard_error(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def script(line: Line) -> None:
        await line.receive()
        await line.send(type="snapshot", **NAME, candles=[candle(5)], closed=True, truncated=True)
        await line.send(type="status", feed="live", since=1)
        await line.send(type="status", feed="stale", since=1)
        await line.send(type="candle", **NAME, candle=candle(1), closed=True, corrected=True)

    assert (await follow(script, count=2))[0] == 0
    captured = capsys.readouterr()
    assert rows(captured.out) == [
        ("23:05:00", "1.50", "closed"),
        ("23:01:00", "1.50", "corrected"),
    ]
    assert captured.err.splitlines() == [
        "smarttrade: BTCUSDT 1m: away for too long, some candles are missing",
        "smarttrade: the feed is stale",
    ]


async def test_no_more_than_the_requested_lines_are_printed(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def script(line: Line) -> None:
        await subscribed(line, candle(0), candle(1), candle(2))

    assert (await follow(script, count=2))[0] == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


async def test_price_is_not_left_standing_when_the_backend_is_silent(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    """A stopped process keeps its connections open; heartbeats are 25 s apart."""
    noticed_at: list[float] = []

    async def script(line: Line) -> None:
        await subscribed(line, candle(0))
        await trio.sleep_forever()

    class Noted(JsonOutput):
        def notice(self, text: str, **event: Any) -> None:
            noticed_at.append(trio.current_time())
            super().notice(text, **event)

    assert (await follow(script, timeout=10, output=Noted()))[0] == 1
    assert noticed_at[0] == 4
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[1]["type"] == "connection"
    assert lines[1]["state"] == "lost"
    assert lines[-1]["state"] == "ended"


async def test_backend_that_answers_pings_is_not_lost(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def script(line: Line) -> None:
        await subscribed(line, candle(0))
        for _ in range(10):
            assert (await line.receive())["action"] == "ping"
            await line.send(type="pong")
        await update(line, 1, 2.0)

    assert await follow(script, count=2) == (0, [0.0])
    assert capsys.readouterr().err == ""


async def test_json_says_when_prices_are_not_live(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def script(line: Line) -> None:
        await subscribed(line, candle(0))
        await line.send(type="status", feed="down", since=1)
        await update(line, 1, 2.0, closed=True)

    assert (await follow(script, count=2, output=JsonOutput()))[0] == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines] == ["candle", "status", "candle"]
    assert lines[1]["feed"] == "down"
    assert lines[2] == {
        "type": "candle",
        **NAME,
        "candle": candle(1, 2.0),
        "closed": True,
        "corrected": False,
    }


async def test_csv_has_a_header_and_a_row_per_update(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def script(line: Line) -> None:
        await subscribed(line, candle(0))

    assert (await follow(script, count=1, output=CsvOutput()))[0] == 0
    assert capsys.readouterr().out.splitlines() == [
        "symbol,interval,time,open,high,low,close,volume,state",
        f"BTCUSDT,1m,{HOUR},1.0,2.25,0.5,1.5,10.0,forming",
    ]


async def test_retries_end_after_the_timeout(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    status, dialled = await follow(timeout=20)
    assert status == 1
    assert len(dialled) > 3
    assert dialled[-1] <= 20
    assert "giving up" in capsys.readouterr().err


async def test_backend_that_is_not_there_is_said_once_and_given_up(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    """With a wrong port, an operator would look at retries until the terminal is closed."""
    status, dialled = await follow()
    assert status == 1
    assert dialled[-1] == FIRST_TIMEOUT
    first, *_, last = capsys.readouterr().err.splitlines()
    assert "is `smarttrade serve` running there? --url names another" in first
    assert "giving up, as --timeout is 15 s" in last


async def test_backend_that_was_there_is_awaited(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def script(line: Line) -> None:
        await subscribed(line, candle(0))
        await line.close(1001)

    with trio.move_on_after(300):
        await follow(script)
    err = capsys.readouterr().err
    assert "trying again in" in err.splitlines()[-1]
    assert "running there" not in err


async def test_one_unknown_series_does_not_end_the_others(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def script(line: Line) -> None:
        await line.receive()
        await line.send(type="subscribed", subscriptions=[NAME], errors=[{"message": "no X"}])
        await update(line, 0, 1.0)

    output = TableOutput(names_series=True)
    assert (await follow(script, count=1, output=output))[0] == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("BTCUSDT    1m   2024-11-30 23:00:00")
    assert captured.err == "smarttrade: no X\n"


async def test_escape_sequences_of_a_server_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    evil = {"symbol": "\x1b[2J", "interval": "\x9b1m\u202e"}

    async def script(line: Line) -> None:
        await line.send(type="status", feed="\x1b]0;owned\x07")
        await line.send(type="candle", **evil, candle=candle(0))
        await line.send(type="error", message="\x1b[31mred\r\n")

    for output in (TableOutput(names_series=True), CsvOutput(), JsonOutput()):
        assert (await follow(script, output=output))[0] == 1
    captured = capsys.readouterr()
    for character in "\x1b\x9b\x07\r\u202e":
        assert character not in captured.out + captured.err


@pytest.mark.parametrize("time", [10**17, -(10**17), 2**62])
async def test_absurd_times_are_printed_as_they_are(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock, time: int
) -> None:
    async def script(line: Line) -> None:
        await line.send(type="candle", **NAME, candle={**candle(0), "time": time})

    assert (await follow(script, count=1))[0] == 0
    assert capsys.readouterr().out.startswith(f"{time:g}")


def test_rows_are_aligned_and_nothing_is_rounded() -> None:
    table = Table()
    price = CandleRow(HOUR, 96466.11, 96495.52, 96440.0, 96440.0, 6.6158)
    assert table.row(price, "forming") == (
        "2024-11-30 23:00:00  96466.11  96495.52  96440.00  96440.00  6.6158  forming"
    )
    tiny = CandleRow(HOUR, 1e-08, 1.2e-07, 1e-08, 1e-08, 123456789.0)
    assert table.row(tiny, "closed").split() == [
        *("2024-11-30", "23:00:00", "0.00000001", "0.00000012", "0.00000001", "0.00000001"),
        *("123456789.0000", "closed"),
    ]
    assert len(table.row(price, "forming")) == len(table.row(tiny, "forming"))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ws://127.0.0.1:8000", "ws://127.0.0.1:8000/ws/candles"),
        ("ws://127.0.0.1:8000/", "ws://127.0.0.1:8000/ws/candles"),
        ("http://[::1]:8000", "ws://[::1]:8000/ws/candles"),
        ("https://charts.example.com", "wss://charts.example.com/ws/candles"),
        ("localhost:8000", "ws://localhost:8000/ws/candles"),
        ("wss://x/api/ws/candles?token=1", "wss://x/api/ws/candles?token=1"),
    ],
)
def test_a_backend_is_given_by_its_url_or_its_address(text: str, url: str) -> None:
    assert endpoint(text) == url


@pytest.mark.parametrize("text", ["", "ftp://x", "ws://", "ws://x:port", "ws://[::1"])
def test_any_other_backend_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        endpoint(text)


# -- Tokens ---------------------------------------------------------------------------------------


async def test_token_goes_with_each_handshake(autojump_clock: trio.testing.MockClock) -> None:
    async def script(line: Line) -> None:
        await subscribed(line, candle(0))

    headers = {"Authorization": "Bearer 0123456789abcdef"}
    async with trio.open_nursery() as nursery:
        backend = Backend(nursery, script, script)
        follower = Follower(
            *("ws://backend/ws/candles", [WANTED], TableOutput(names_series=False)),
            dial=backend.dial,
            headers=headers,
            timeout=5,
        )
        with trio.fail_after(100):
            assert await follower.follow() == 1
        nursery.cancel_scope.cancel()
    sent = [each["authorization"] for each in backend.headers]
    assert sent == [headers["Authorization"]] * 2


async def test_backend_that_wants_a_token_is_not_asked_again(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    status, dialled = await follow(401)
    assert (status, len(dialled)) == (1, 1)
    assert "SMARTTRADE_TOKENS" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["variable", "file"])
def test_token_is_the_configured_one(source: str, tmp_path: Path) -> None:
    """With a server that has tokens, as processes."""
    token = "0123456789abcdef"
    (tmp_path / "tokens").write_text(f"# ours\n{token}\n")
    given = (
        {"SMARTTRADE_TOKENS": token}
        if source == "variable"
        else {"SMARTTRADE_TOKENS_FILE": str(tmp_path / "tokens")}
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SMARTTRADE_")}
    with socket.create_server(("127.0.0.1", 0)) as free:
        environment["PORT"] = str(free.getsockname()[1])
    program = [sys.executable, "-m", "smarttrade"]
    series = [*program, "tail", "BTCUSDT", "1m", "--json", "--timeout", "40", "--count", "2"]
    served = subprocess.Popen(
        [*program, "serve", "--simulated", "--memory"],
        env=environment | given,
        stderr=subprocess.DEVNULL,
    )
    try:
        tailed = subprocess.run(
            series,
            env=environment | given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        without = subprocess.run(
            series,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        served.terminate()
        served.wait(20)
    candles = [json.loads(line) for line in tailed.stdout.splitlines()]
    assert tailed.returncode == 0, tailed.stderr
    assert len([each for each in candles if each["type"] == "candle"]) == 2
    assert without.returncode == 1
    assert "SMARTTRADE_TOKENS" in without.stdout + without.stderr
    assert token not in tailed.stderr + without.stderr
