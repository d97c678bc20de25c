"""One seed decides the order in which Trio runs tasks, in every test: what failed fails again.

TEST_SEED=17 pytest ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from actors.testing import seeded_scheduler

# How long an example takes says more about the machine's other work than about the code.
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
