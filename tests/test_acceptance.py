"""`tests/acceptance.py` as a slow test: `pytest -m slow`."""

from __future__ import annotations

import pytest

from tests import acceptance


@pytest.mark.slow
def test_main_use_on_real_processes() -> None:
    assert acceptance.main([]) == 0
