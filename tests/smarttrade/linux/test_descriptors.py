from __future__ import annotations

import resource

import pytest

from smarttrade.linux import descriptors
from smarttrade.linux.descriptors import (
    RESERVED_DESCRIPTORS,
    plan_descriptors,
    raise_descriptor_limit,
)
from smarttrade.web.server_limits import ServerLimits

LIMITS = ServerLimits(max_connections=10_000, max_refusals=256)
BESIDES = 256 + RESERVED_DESCRIPTORS


@pytest.mark.parametrize(
    ("soft", "hard", "room"),
    [
        (20_000, 20_000, (20_000, 10_000)),  # enough as it is
        (1024, 500_000, (10_000 + BESIDES, 10_000)),  # as most systems have it
        (1024, 5000, (5000, 5000 - BESIDES)),
        (1024, 1024, (1024, 1024 - BESIDES)),
        (100, 100, (100, 0)),
    ],
)
def test_room(soft: int, hard: int, room: tuple[int, int]) -> None:
    assert plan_descriptors(LIMITS, soft, hard) == room


def test_the_limit_is_raised_as_far_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda *limits: asked.append(limits))
    monkeypatch.setattr(descriptors, "_check_backlog", lambda: None)
    assert raise_descriptor_limit(LIMITS) == 10_000
    assert asked == [(resource.RLIMIT_NOFILE, (10_000 + BESIDES, resource.RLIM_INFINITY))]
