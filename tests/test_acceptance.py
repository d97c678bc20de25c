"""`tests/acceptance.py`, whenever slow tests are asked for: `pytest -m slow`."""

from __future__ import annotations

import pytest

from tests import acceptance


@pytest.mark.slow
def test_the_main_job_on_real_processes() -> None:
    assert acceptance.main([]) == 0
