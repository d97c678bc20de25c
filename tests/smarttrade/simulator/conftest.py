from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs


@pytest.fixture(autouse=True)
def no_error_of_our_own() -> Iterator[None]:
    """What fails inside a connection is logged and ends only that; here it fails the test."""
    with capture_logs() as entries:
        yield
    assert [entry for entry in entries if entry["log_level"] == "error"] == []
