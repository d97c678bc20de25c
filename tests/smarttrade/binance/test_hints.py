"""What the log suggests to operators, for each way in which the exchange is out of reach."""

from __future__ import annotations

import socket
import ssl

import httpx
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from smarttrade.binance.hints import REST_VARIABLE, STREAM_VARIABLE
from smarttrade.binance.venue import BINANCE
from smarttrade.feed.errors import ExchangeUnavailable
from smarttrade.feed.hints import error_hint
from smarttrade.feed.proxy import ProxyError
from smarttrade.feed.rest import RestClient
from smarttrade.feed.weight import WeightBudget
from tests.fakes.exchange_rest import MAIN, SPARE, RestExchange, Scripted
from tests.fakes.exchange_streams import BTC
from tests.fakes.running_stream import running_stream

ERRORS: dict[str, tuple[OSError, str]] = {
    "name": (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "is not known"),
    "certificate": (ssl.SSLCertVerificationError("verify failed"), "SSL_CERT_FILE"),
    "no TLS": (ssl.SSLError("wrong version number"), "proxy is in between"),
    "proxy": (ProxyError("the proxy answers 407"), "HTTPS_PROXY"),
}


@pytest.mark.parametrize(("error", "words"), ERRORS.values(), ids=ERRORS.keys())
async def test_stream_that_does_not_open_is_logged_with_a_hint(
    error: OSError, words: str, autojump_clock: MockClock
) -> None:
    with capture_logs() as logs:
        async with running_stream() as feed:
            feed.exchange.dial_fails = error
            await trio.sleep(20)
    logged = [log for log in logs if log["event"] == "stream_down"]
    assert {url.partition("/stream")[0] for _, url in feed.exchange.dialled} == {
        "ws://main.test",
        "ws://spare.test",
    }
    assert all(words in log["hint"] for log in logged)


@pytest.mark.parametrize(("error", "words"), ERRORS.values(), ids=ERRORS.keys())
async def test_rest_that_cannot_be_reached_says_what_to_do(
    error: OSError, words: str, autojump_clock: MockClock
) -> None:
    cause = httpx.ConnectError("no connection")
    cause.__cause__ = error
    with pytest.raises(ExchangeUnavailable, match=words):
        await ask(RestExchange(), Scripted(cause))


async def ask(exchange: RestExchange, answer: Scripted) -> None:
    exchange.hosts = dict.fromkeys((httpx.URL(MAIN).host, httpx.URL(SPARE).host), answer)
    async with exchange.client() as http:
        await RestClient(BINANCE, http, [MAIN, SPARE], WeightBudget(6000)).klines(BTC)
    assert len(exchange.requests) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(451), "data-api.binance.vision in BINANCE_REST_URL"),
        (httpx.Response(403), "another host in BINANCE_REST_URL"),
        (
            httpx.Response(200, content=b"<html>Sign in to the hotel's network</html>"),
            "see BINANCE",
        ),
        (httpx.Response(404), "see BINANCE_REST_URL"),
    ],
)
async def test_answer_of_another_server_has_a_hint(
    answer: httpx.Response, words: str, autojump_clock: MockClock
) -> None:
    with pytest.raises(ExchangeUnavailable, match=words):
        await ask(RestExchange(), Scripted(answer))


def test_cause_that_a_library_hides_in_its_arguments_is_found() -> None:
    hidden = httpx.ConnectError("x")
    hidden.__cause__ = Exception(OSError(ssl.SSLCertVerificationError("verify failed")))
    assert "SSL_CERT_FILE" in str(error_hint(hidden, REST_VARIABLE))


def test_cause_in_a_group_is_found() -> None:
    group = ExceptionGroup("addresses", [OSError("refused"), socket.gaierror(-2, "unknown")])
    assert STREAM_VARIABLE in str(error_hint(group, STREAM_VARIABLE))


def test_nothing_is_advised_about_what_passes_by_itself() -> None:
    assert error_hint(ConnectionRefusedError("refused"), REST_VARIABLE) is None
