from __future__ import annotations

import sys

from tests.benchmarks.options import FORMER, Options
from tests.benchmarks.processes import PRODUCT


def test_order_is_reversed_every_other_time() -> None:
    assert list(Options(repeat=3).turns("a", "b")) == ["a", "b", "b", "a", "a", "b"]


def test_a_former_version_runs_in_its_own_environment() -> None:
    options = Options(former="/former/bin/python")
    assert options.versions == (PRODUCT, FORMER)
    assert options.python(FORMER) == "/former/bin/python"
    assert options.python(PRODUCT) == sys.executable
    assert Options().versions == (PRODUCT,)
