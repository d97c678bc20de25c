from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from smarttrade.cli.check import report, run_checks
from smarttrade.cli.check_exchange import Clock, clock_result, one_is_enough
from smarttrade.cli.check_redis import check_redis
from smarttrade.cli.check_result import CheckResult, Level
from smarttrade.feed.network import Network
from smarttrade.settings import Settings
from smarttrade.settings.sources import Loaded
from smarttrade.simulator import Exchange, serve_exchange

NOWHERE = "127.0.0.1:1"


@asynccontextmanager
async def exchange(*symbols: str, ahead: float = 0.0) -> AsyncIterator[str]:
    """A simulated one, whose clock is so many seconds ahead; its address."""
    simulated = Exchange(symbols, start_ms=int((time.time() + ahead) * 1000), speed=4)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve_exchange, simulated))
        yield f"127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


def settings(*addresses: str, symbols: Sequence[str] = ("BTCUSDT",)) -> Settings:
    return Settings(
        use_memory_store=True,
        symbols=tuple(symbols),
        binance_rest_url=tuple(f"http://{address}" for address in addresses),
        binance_ws_url=tuple(f"ws://{address}" for address in addresses),
    )


def brief(results: Sequence[CheckResult]) -> list[tuple[str, str]]:
    return [(result.level.value, result.subject) for result in results]


async def test_a_machine_where_all_is_well() -> None:
    async with exchange("BTCUSDT", "ETHUSDT") as address:
        found = await run_checks(
            settings(address, symbols=("BTCUSDT", "ETHUSDT")), Network.direct()
        )
    assert brief(found) == [
        ("ok", "rest"),
        ("ok", "clock"),
        ("ok", "symbols"),
        ("ok", "stream"),
        ("ok", "redis"),
    ]


async def test_one_endpoint_that_answers_is_enough_and_the_other_is_named() -> None:
    async with exchange("BTCUSDT") as address:
        found = await run_checks(settings(NOWHERE, address), Network.direct())
    assert ("fail", "rest") not in brief(found)
    texts = [result.text for result in found if result.level is Level.WARN]
    assert [text.partition(": ")[0] for text in texts] == [f"http://{NOWHERE}", f"ws://{NOWHERE}"]
    assert all("refused" in text for text in texts)


async def test_no_exchange_is_a_failure_of_every_endpoint() -> None:
    found = await run_checks(settings(NOWHERE), Network.direct())
    assert brief(found) == [("fail", "rest"), ("fail", "stream"), ("ok", "redis")]


async def test_symbols_that_are_not_listed_are_named() -> None:
    async with exchange("BTCUSDT") as address:
        found = await run_checks(settings(address, symbols=("NOUSDT", "BTCUSDT")), Network.direct())
    symbols = [result for result in found if result.subject == "symbols"]
    assert brief(symbols) == [("ok", "symbols"), ("warn", "symbols")]
    assert symbols[1].text == "NOUSDT is left out: not listed"


async def test_no_symbol_left_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smarttrade.cli.check_exchange.FIRST_MESSAGE_TIMEOUT", 0.1)
    async with exchange("BTCUSDT") as address:
        found = await run_checks(settings(address, symbols=("NOUSDT",)), Network.direct())
    assert ("fail", "symbols") in brief(found)


async def test_a_clock_that_is_hours_off_is_reported_and_is_no_failure() -> None:
    async with exchange("BTCUSDT", ahead=7200.0) as address:
        found = await run_checks(settings(address), Network.direct())
    (clock,) = [result for result in found if result.subject == "clock"]
    assert clock.level is Level.WARN
    assert "s behind the exchange's" in clock.text


async def test_the_report_ends_with_0_when_nothing_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with exchange("BTCUSDT") as address:
        loaded = Loaded(settings(address), {"SMARTTRADE_SYMBOLS": ".env"}, {"SMARTTRADE_X": None})
        assert await report(loaded, Network.direct()) == 0
    out = capsys.readouterr().out
    assert "ok    setting   SMARTTRADE_SYMBOLS = BTCUSDT (.env)\n" in out
    assert "ok    setting   PORT = 8000 (default)\n" in out
    assert "warn  setting   SMARTTRADE_X is unknown and ignored\n" in out


async def test_the_report_ends_with_1_when_something_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert await report(Loaded(settings(NOWHERE), {}), Network.direct()) == 1


@pytest.mark.parametrize(
    ("skew", "latency", "level"),
    [
        (0.0, 0.1, Level.OK),
        (0.9, 0.1, Level.OK),
        (-0.9, 0.1, Level.OK),
        (1.4, 1.0, Level.OK),  # the answer may have been under way for so long
        (1.4, 0.1, Level.WARN),
        (-3600.0, 0.1, Level.WARN),
    ],
)
def test_a_clock_is_good_to_a_second_beyond_what_cannot_be_known(
    skew: float, latency: float, level: Level
) -> None:
    assert clock_result(Clock(skew, latency)).level is level


def test_a_failure_counts_less_when_another_endpoint_works() -> None:
    ok, fail = CheckResult(Level.OK, "rest", "a"), CheckResult(Level.FAIL, "rest", "b")
    warn = CheckResult(Level.WARN, "rest", "b")
    assert one_is_enough([fail, fail]) == [fail, fail]
    assert one_is_enough([ok, fail]) == [ok, warn]
    assert one_is_enough([warn, fail]) == [warn, warn]


# -- Redis --------------------------------------------------------------------------------------


@asynccontextmanager
async def redis(answer: bytes) -> AsyncIterator[tuple[int, bytearray]]:
    """Something that says `answer` to whatever comes; its port, and what came."""
    heard = bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        heard.extend(await stream.receive_some())
        await stream.send_all(answer)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1], heard
        nursery.cancel_scope.cancel()


async def found(url: str | None) -> CheckResult:
    (result,) = await check_redis(Settings(redis_url=url))
    return result


async def test_redis_that_answers_is_fine() -> None:
    async with redis(b"+PONG\r\n") as (port, heard):
        assert (await found(f"redis://127.0.0.1:{port}")).level is Level.OK
    assert heard == b"*1\r\n$4\r\nPING\r\n"


async def test_redis_is_told_its_password_and_nobody_else() -> None:
    async with redis(b"+OK\r\n+PONG\r\n") as (port, heard):
        result = await found(f"redis://me:ses%40me@127.0.0.1:{port}/2")
    assert heard.startswith(b"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nses@me\r\n")
    assert result == CheckResult(Level.OK, "redis", f"redis://***@127.0.0.1:{port}/2: answers")


async def test_redis_that_refuses_is_a_failure_with_its_words() -> None:
    async with redis(b"-NOAUTH Authentication required.\r\n") as (port, _):
        result = await found(f"redis://127.0.0.1:{port}")
    assert result.level is Level.FAIL
    assert result.text.endswith(": NOAUTH Authentication required.")


async def test_redis_that_hangs_up_is_a_failure() -> None:
    async with redis(b"") as (port, _):
        assert (await found(f"redis://127.0.0.1:{port}")).level is Level.FAIL


async def test_redis_that_was_asked_for_and_is_not_there_is_a_failure() -> None:
    result = await found(f"redis://{NOWHERE}")
    assert result.level is Level.FAIL
    assert "refused" in result.text


async def test_redis_that_was_not_asked_for_and_is_not_there_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("smarttrade.cli.check_redis.DEFAULT_REDIS_URL", f"redis://{NOWHERE}")
    result = await found(None)
    assert result.level is Level.WARN
    assert "in memory" in result.text
