"""One seed decides the order in which Trio runs tasks in every test, so failures can be repeated.

TEST_SEED=17 pytest ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from actors.testing import seeded_scheduler

# The time an example takes depends more on the machine's load than on the code.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

SEED = int(os.environ.get("TEST_SEED", "0"))


@pytest.fixture(autouse=True)
def scheduling() -> Iterator[None]:
    with seeded_scheduler(SEED):
        yield


def pytest_report_header() -> str:
    return f"TEST_SEED={SEED}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.failed:
        report.sections.append(("order of tasks", f"TEST_SEED={SEED}"))
    return report
