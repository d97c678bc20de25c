"""A service as the examples expect one, whose minutes take a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.processes import Exchange, Service
from tests.fakes.ports import free_port


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Exchange(free_port()) as exchange, Service(free_port(), exchange) as service:
        yield service
