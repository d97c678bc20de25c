"""No page shows as live what is not: its title, words and colour change within seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.fakes.ports import free_port

from .processes import Exchange, Service, SimulatedService
from .watched import Watched

CHANGES_WITHIN = 5  # seconds
PAGES = ("/", "/inspect", "/inspect-ws")
IS_LIVE = r"/LIVE|^(SIMULATED )?[\d,]+\.\d+ /.test(document.title)"  # or a price
WORDS = {"/": "#state", "/inspect": "#summary", "/inspect-ws": "#state"}


@pytest.fixture
def own_service(exchange: Exchange) -> Iterator[Service]:
    """A service that a test may kill; its heartbeat is the default, so that silence is long."""
    with Service(free_port(), exchange, heartbeat=25) as service:
        yield service
    exchange.clear()


@pytest.fixture(params=PAGES)
def live_page(
    request: pytest.FixtureRequest, browser: Browser, own_service: Service
) -> Iterator[Watched]:
    """A page that shows that all is well."""
    with Watched(browser, own_service.url) as watched:
        watched.open(request.param)
        watched.wait_for(IS_LIVE, "it is live")
        watched.words = WORDS[request.param]
        yield watched


def look(watched: Watched) -> tuple[str, str, str]:
    """Title, words, and the colour of the words."""
    colour = watched.page.evaluate(
        f"getComputedStyle(document.querySelector('{watched.words}')).color"
    )
    return watched.page.title(), watched.text(watched.words), colour


def assert_changed(watched: Watched, before: tuple[str, str, str], state: str) -> None:
    watched.wait_for(f"document.title.includes('{state}')", state, within=CHANGES_WITHIN)
    after = look(watched)
    assert all(old != new for old, new in zip(before, after, strict=True)), (before, after)


def test_server_that_was_killed(live_page: Watched, own_service: Service) -> None:
    before = look(live_page)
    own_service.kill()
    assert_changed(live_page, before, "NO ")


def test_server_that_is_frozen(live_page: Watched, own_service: Service) -> None:
    before = look(live_page)
    own_service.freeze()
    try:
        assert_changed(live_page, before, "NO ANSWER")
    finally:
        own_service.thaw()
    live_page.wait_for(IS_LIVE, "it is live again")


def test_feed_that_stalls(live_page: Watched, exchange: Exchange) -> None:
    before = look(live_page)
    exchange.stall()
    assert_changed(live_page, before, "SILENT")
    live_page.wait_for("document.title.includes('STALE')", "the server reports a stale feed")
    exchange.clear()
    live_page.wait_for(IS_LIVE, "it is live again", within=40)


def test_feed_that_is_cut(live_page: Watched, exchange: Exchange) -> None:
    before = look(live_page)
    exchange.go_away()
    live_page.wait_for("document.title.includes('DOWN')", "the server reports a feed that is down")
    assert all(old != new for old, new in zip(before, look(live_page), strict=True))


LOSE_WHAT_IS_SILENT = """
globalThis.silent = [];
globalThis.WebSocket = class extends WebSocket {
  set onmessage(listener) {
    super.onmessage = listener && ((event) => {
      const { symbol, interval } = JSON.parse(event.data);
      if (!silent.includes(`${symbol} ${interval}`)) listener(event);
    });
  }
};
"""


def test_chart_whose_series_alone_is_silent(browser: Browser, own_service: Service) -> None:
    """Each chart that is shown is judged by its own series, also beside others."""
    with Watched(browser, own_service.url) as watched:
        watched.page.add_init_script(LOSE_WHAT_IS_SILENT)
        watched.open_chart("?symbol=BTCUSDT&interval=1m&more=ETHUSDT:1m")
        watched.wait_for_state("Live")
        watched.page.evaluate("silent.push('ETHUSDT 1m')")
        notes = watched.page.locator(".note:visible")
        watched.wait_for("document.querySelector('[data-dead]')", "one chart is silent")
        assert notes.all_inner_texts()[0].startswith("SILENT: no update of ETHUSDT 1m for ")
        assert watched.text("#state") == "Live", "the chart that is chosen is another"
        watched.page.locator(".panel").nth(1).click()
        watched.wait_for_state("No updates")
        assert watched.page.title() == "SILENT ETHUSDT 1m · SmartTrade"
        assert watched.text("#banner").startswith("SILENT: no update of ETHUSDT 1m for ")
        watched.page.evaluate("silent.pop()")
        watched.wait_for_state("Live")
        assert notes.count() == 0


def test_inspect_agrees_with_itself_whatever_happens(
    browser: Browser, own_service: Service, exchange: Exchange
) -> None:
    """Its head counts as good what its rows say, and its ages go on."""
    with Watched(browser, own_service.url) as watched:
        watched.open("/inspect")
        watched.wait_for("document.title.startsWith('LIVE')", "it is live")
        assert kinds(watched) == {"good"}
        exchange.stall()
        watched.wait_for("document.title.startsWith('SILENT')", "no updates")
        assert kinds(watched) == {"warn"}
        assert "up to date" not in watched.text("#series-count")
        own_service.kill()
        watched.wait_for("document.title.startsWith('NO ANSWER')", "no answer")
        assert kinds(watched) == {"bad"}
        oldest = "document.querySelector('#series tr').cells[10].textContent"
        shown = watched.page.evaluate(oldest)
        watched.wait_for(f"{oldest} !== '{shown}'", "an age that goes on")


def kinds(watched: Watched) -> set[str]:
    """The kinds of the head, of the number of series, and of every row."""
    found: list[str] = watched.page.evaluate(
        "[document.querySelector('#summary'), document.querySelector('#series-count'),"
        " ...document.querySelectorAll('#series .status')]"
        ".map((each) => each.classList[each.classList.length - 1])"
    )
    return set(found)


@pytest.fixture(scope="module")
def simulated_service() -> Iterator[SimulatedService]:
    with SimulatedService(free_port()) as service:
        yield service


@pytest.mark.parametrize("path", [*PAGES, "/docs"])
def test_simulated_prices_are_named_on_every_page(
    browser: Browser, simulated_service: SimulatedService, path: str
) -> None:
    with Watched(browser, simulated_service.url) as watched:
        watched.open(path)
        watched.wait_for("document.title.startsWith('SIMULATED ')", "the title says so")
        assert watched.page.get_by_text("SIMULATED", exact=True).is_visible()


@pytest.mark.parametrize("path", [*PAGES, "/docs"])
def test_prices_of_an_exchange_are_not_named_simulated(watched: Watched, path: str) -> None:
    watched.open(path)
    watched.wait_for("document.title.includes('SmartTrade')", "the page is there")
    watched.page.wait_for_timeout(1000)
    assert not watched.page.title().startswith("SIMULATED")
    assert not watched.page.get_by_text("SIMULATED", exact=True).is_visible()
