from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.report import Report


def report() -> Report:
    made = Report()
    for ours, theirs in ((1.0, 9.0), (1.0, 12.0), (2.0, 30.0)):
        made.add("fan-out", "300", "CPU", "µs", "smarttrade", ours, goal=10)
        made.add("fan-out", "300", "CPU", "µs", "fastapi", theirs)
    return made


def test_ratios_are_taken_in_each_repetition() -> None:
    [measure] = report().measures.values()
    assert measure.ratios("fastapi") == [9, 12, 15]
    assert measure.misses == []


def test_of_rates_more_is_better() -> None:
    made = Report()
    made.add("REST", "hot", "requests", "1/s", "smarttrade", 300, is_rate=True, goal=15)
    made.add("REST", "hot", "requests", "1/s", "fastapi", 100, is_rate=True)
    [measure] = made.measures.values()
    assert measure.ratios("fastapi") == [3]
    assert measure.misses == ["3 times better than fastapi, not 15"]


def test_what_is_over_a_limit_is_missed() -> None:
    made = Report()
    made.add("start", "Redis", "ready", "s", "smarttrade", 1.5, limit=1.0)
    made.add("feed", "memory", "updates", "1/s", "smarttrade", 30_000, limit=20_000, is_rate=True)
    assert [measure.misses for measure in made.measures.values()] == [["1.5 s, not 1"], []]


def test_table_has_median_spread_and_ratio() -> None:
    lines = list(report().table())
    assert "| smarttrade | 1 (1 to 2) |  |" in lines[2]
    assert "| fastapi | 12 (9 to 30) | 12 times (9 to 15) (goal 10) |" in lines[3]


def test_columns_have_the_medians_of_all_figures_of_a_case() -> None:
    made = report()
    made.add("fan-out", "300", "latency p99", "ms", "smarttrade", 7.0)
    made.add("fan-out", "idle", "memory", "KB", "smarttrade", 24)
    made.add("REST", "hot", "requests", "1/s", "smarttrade", 300)
    assert list(made.columns("fan-out", ("CPU", "latency p99"))) == [
        "| fan-out: CPU, µs; latency p99, ms | smarttrade | fastapi |",
        "| --- | --- | --- |",
        "| 300 | 1; 7 | 12; - |",
        "| idle | -; - | -; - |",
    ]


def test_figures_are_written(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    made = report()
    made.note("noisy")
    try:
        made.write(path)
    except ImportError:
        pytest.skip("what is put beside it is not installed")
    assert json.loads(path.read_text())["notes"] == ["noisy"]
