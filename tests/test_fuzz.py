"""The fuzzers themselves; they run for long by hand."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.fuzz import TARGETS, fuzz


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_are_accepted_and_refused(name: str) -> None:
    rng = random.Random(1)
    outcomes = Counter(fuzz(TARGETS[name], rng) for _ in range(500))
    assert len(outcomes) > 1
