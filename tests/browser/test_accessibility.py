"""axe-core finds nothing on any page, in no state, light or dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from .processes import Exchange, Service
from .watched import Watched

AXE = Path(__file__).parents[2] / "clients" / "js" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = ["/", "/?ma=20,vwap&rsi=14&more=ETHUSDT:1h", "/inspect", "/inspect-ws", "/docs"]

pytestmark = pytest.mark.skipif(not AXE.exists(), reason="no axe-core: npm ci in clients/js")


def violations(watched: Watched) -> list[str]:
    watched.page.evaluate(AXE.read_text("utf-8"))
    found: list[dict[str, Any]] = watched.page.evaluate("axe.run().then((all) => all.violations)")
    return [
        f"{each['id']}: {node['html'][:150]} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_page(browser: Browser, service: Service, path: str, scheme: str) -> None:
    with Watched(browser, service.url, color_scheme=scheme) as watched:
        watched.open(path)
        watched.page.wait_for_timeout(1500)
        for details in watched.page.locator("details").all()[:3]:
            details.evaluate("(each) => (each.open = true)")
        assert violations(watched) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/inspect", "/inspect-ws"])
def test_page_of_a_feed_that_is_down(
    browser: Browser, service: Service, exchange: Exchange, path: str, scheme: str
) -> None:
    with Watched(browser, service.url, color_scheme=scheme) as watched:
        watched.open(path)
        exchange.go_away()
        watched.wait_for("document.title.includes('DOWN')", "it is down")
        found = violations(watched)
    exchange.clear()
    assert found == []


def test_chart_page_on_a_phone_with_the_table(browser: Browser, service: Service) -> None:
    size = {"width": 360, "height": 740}
    with Watched(browser, service.url, viewport=size, is_mobile=True, has_touch=True) as watched:
        watched.open_chart()
        assert violations(watched) == []
        watched.page.get_by_role("button", name="Table").tap()
        assert violations(watched) == []
