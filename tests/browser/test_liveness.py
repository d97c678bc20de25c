"""No page shows as live what is not: its title, words and colour change within seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

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


@pytest.fixture
def live_pages(browser: Browser, own_service: Service) -> Iterator[list[Watched]]:
    """Every page, each of which shows that all is well."""
    with ExitStack() as stack:
        pages = [stack.enter_context(Watched(browser, own_service.url)) for _ in PAGES]
        for watched, path in zip(pages, PAGES, strict=True):
            watched.open(path)
            watched.words = WORDS[path]
        wait_until_live(pages)
        yield pages


def wait_until_live(pages: list[Watched], within: float = 20) -> None:
    for watched in pages:
        watched.wait_for(IS_LIVE, f"{watched.page.url} is live", within)


def wait_for_title(pages: list[Watched], state: str, within: float = 20) -> None:
    includes = f"document.title.includes('{state}')"
    for watched in pages:
        watched.wait_for(includes, f"{watched.page.url} shows {state}", within)


class Looks:
    """Title, words, and the colour of the words, of each page."""

    def __init__(self, pages: list[Watched]) -> None:
        self._pages = pages
        self._before = [_look(each) for each in pages]

    def assert_changed(self) -> None:
        """All three, on every page."""
        for watched, before in zip(self._pages, self._before, strict=True):
            after = _look(watched)
            assert all(old != new for old, new in zip(before, after, strict=True)), (before, after)


def _look(watched: Watched) -> tuple[str, str, str]:
    colour = watched.page.evaluate(
        f"getComputedStyle(document.querySelector('{watched.words}')).color"
    )
    return watched.page.title(), watched.text(watched.words), colour


def test_server_that_was_killed(live_pages: list[Watched], own_service: Service) -> None:
    looks = Looks(live_pages)
    own_service.kill()
    wait_for_title(live_pages, "NO ", CHANGES_WITHIN)
    looks.assert_changed()


def test_server_that_is_frozen(live_pages: list[Watched], own_service: Service) -> None:
    looks = Looks(live_pages)
    own_service.freeze()
    try:
        wait_for_title(live_pages, "NO ANSWER", CHANGES_WITHIN)
        looks.assert_changed()
    finally:
        own_service.thaw()
    wait_until_live(live_pages)


def test_feed_that_stalls(live_pages: list[Watched], exchange: Exchange) -> None:
    looks = Looks(live_pages)
    exchange.stall()
    wait_for_title(live_pages, "SILENT", CHANGES_WITHIN)
    looks.assert_changed()
    wait_for_title(live_pages, "STALE")  # the server reports it
    exchange.clear()
    wait_until_live(live_pages, within=40)


def test_feed_that_is_cut(live_pages: list[Watched], exchange: Exchange) -> None:
    looks = Looks(live_pages)
    exchange.go_away()
    wait_for_title(live_pages, "DOWN")  # the server reports it
    looks.assert_changed()


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
