"""What a soak takes for growth. Its hour is not for a test; a wrong verdict on it would be."""

from __future__ import annotations

from collections.abc import Callable
from math import sin

from tests.soak.samples import Sample, grows, growth, held_in

HOUR = 3600
ROUND = 600.0


def samples(
    memory: Callable[[float], float], held: Callable[[float], float] = lambda _: 0.0
) -> list[Sample]:
    return [Sample(at, memory(at) + held(at), held(at), 500, 3, 500) for at in range(600, HOUR, 2)]


def _grows(found: list[Sample]) -> bool:
    return grows(found, ROUND)


def test_memory_that_varies_does_not_grow() -> None:
    assert not _grows(samples(lambda at: 110 + 20 * sin(at / 30)))


def test_memory_that_the_allocator_keeps_for_minutes_is_no_growth() -> None:
    assert not _grows(samples(lambda at: 140 if at % 570 > 300 else 110))


def test_cache_that_fills_is_no_growth() -> None:
    assert not _grows(samples(lambda _: 110, held=lambda at: min(64, at / 20)))


def test_kilobyte_left_by_each_client_is_growth() -> None:
    clients_per_second = 20_000 / HOUR
    assert _grows(samples(lambda at: 110 + 0.001 * clients_per_second * at))


def test_leak_is_growth_while_caches_fill_and_memory_varies() -> None:
    def memory(at: float) -> float:
        return 110 + 20 * sin(at / 30) + 20 * at / HOUR

    assert _grows(samples(memory, held=lambda at: min(64, at / 20)))


def test_run_that_is_too_short_says_so() -> None:
    found = samples(lambda at: at)
    assert growth(found[:599], ROUND) is None
    assert growth(found[:601], ROUND) == 600


def test_what_is_held_is_read_from_metrics() -> None:
    text = """# HELP smarttrade_server_waiting_bytes Memory that holds what waits for clients.
# TYPE smarttrade_server_waiting_bytes gauge
smarttrade_server_waiting_bytes 1500000
smarttrade_server_cached_bytes 67000000
"""
    assert held_in(text) == 68.5
