"""A real browser and a real service, with a simulated exchange whose minutes take seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install '.[test]'"
)

from playwright.sync_api import Browser

from tests.fakes.ports import free_port

from .chromium import find_chromium, launched
from .processes import Exchange, Service
from .watched import Watched


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def exchange() -> Iterator[Exchange]:
    with Exchange(free_port()) as exchange:
        yield exchange


@pytest.fixture(scope="session")
def service(exchange: Exchange) -> Iterator[Service]:
    with Service(free_port(), exchange) as service:
        yield service


@pytest.fixture
def watched(browser: Browser, service: Service, exchange: Exchange) -> Iterator[Watched]:
    """A page of the service, not opened yet, that records console errors."""
    with Watched(browser, service.url) as watched:
        yield watched
    exchange.clear()
