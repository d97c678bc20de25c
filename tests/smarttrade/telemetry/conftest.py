import logging
from collections.abc import Iterator

import pytest
import structlog

from smarttrade.telemetry.logs import QUIET


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()
