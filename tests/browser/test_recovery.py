"""The chart completes itself after every kind of interruption."""

from __future__ import annotations

import time
from itertools import pairwise

from playwright.sync_api import Browser

from .processes import Exchange, Service, eventually
from .relay import Relay
from .watched import Watched


def assert_complete(watched: Watched, service: Service) -> None:
    """All candles in order, none missing, equal to the API's, and shown by the chart."""

    def agrees() -> bool:
        # A candle that changes between the two reads is still forming.
        expected = {each["time"]: each for each in service.candles("BTCUSDT", "1m")[:-3]}
        held = {each["time"]: each for each in watched.held}
        return all(held.get(at) == each for at, each in expected.items() if at >= min(held))

    eventually(agrees, "the page equals the API")
    times = [each["time"] for each in watched.drawn]
    assert {after - before for before, after in pairwise(times)} == {60}
    eventually(lambda: abs(len(watched.drawn) - len(watched.held)) <= 1, "what is held is drawn")


def test_after_a_restart_of_the_server(watched: Watched, service: Service) -> None:
    watched.open_chart()
    watched.wait_for_state("Live")
    service.stop()
    watched.wait_for_state("No connection")
    service.start()
    watched.wait_for_state("Live")
    watched.wait_for("smarttrade.client.state.phase === 'open'", "a connection")
    assert_complete(watched, service)


def test_after_the_exchange_was_unreachable(
    watched: Watched, service: Service, exchange: Exchange
) -> None:
    watched.open_chart()
    watched.wait_for_state("Live")
    exchange.go_away()
    watched.wait_for_state("Exchange unreachable")
    assert watched.text("#age").startswith("since ")
    assert "updated" in watched.text("#age")
    time.sleep(3)  # three minutes of the exchange
    exchange.clear()
    watched.wait_for_state("Live", within=40)
    assert_complete(watched, service)
    assert watched.complaints == []


def test_after_a_network_that_lost_everything_silently(browser: Browser, service: Service) -> None:
    """No error reports the loss of the connection; the missing heartbeat reveals it."""
    with Relay(service.port) as relay, Watched(browser, relay.url) as watched:
        watched.open_chart()
        watched.wait_for_state("Live")
        before = watched.held[-1]["time"]
        relay.swallow()
        watched.wait_for_state("No connection")
        time.sleep(3)
        relay.pass_on()
        watched.wait_for_state("Live", within=40)
        watched.wait_for(f"smarttrade.candles.at(-1).time >= {before} + 300", "five more minutes")
        assert_complete(watched, service)


def test_after_the_machine_was_suspended(browser: Browser, service: Service) -> None:
    """The wall clock has advanced and timers have not: the first check detects it.

    A suspended machine receives nothing; a message would prove that the connection is alive.
    """
    with Relay(service.port) as relay, Watched(browser, relay.url) as watched:
        watched.page.clock.install()
        watched.open_chart()
        watched.wait_for_state("Live")
        relay.swallow()
        with watched.page.expect_event("websocket"):
            watched.page.clock.fast_forward(3600_000)
            watched.page.clock.run_for(5000)
            watched.page.clock.resume()  # or a pause that begins only now would never end
        relay.pass_on()
        watched.wait_for_state("Live", within=40)
        assert_complete(watched, service)
