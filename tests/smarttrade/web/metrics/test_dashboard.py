"""The files for Prometheus and Grafana name metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import smarttrade
from tests.fakes.service import running
from tests.smarttrade.web.backend import backend

DEPLOY = Path(smarttrade.__file__).parent.parent / "docs" / "deploy"
OPERATIONS = DEPLOY.parent / "operations.md"
CASES = Path(__file__).with_name("alerts_test.yml")
PROMTOOL = shutil.which("promtool")
REDIS = {"kind": "redis", "role": "leading", "lag": 0.0, "waiting": 0, "errors": 0}


async def known(max_series_metrics: int = 1000) -> set[str]:
    """All sample names: of the whole service, and of one with Redis."""
    async with running(SMARTTRADE_MAX_SERIES_METRICS=max_series_metrics) as made:
        await trio.sleep(5)
        text = (await made.http.get("/metrics")).text
    async with backend(
        describe_store=lambda: REDIS, max_series_metrics=max_series_metrics
    ) as server:
        text += (await server.get("/metrics")).text
    return set(re.findall(r"^(smarttrade_\w+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["alerts.yml", "grafana-dashboard.json"])
async def test_metrics_of_the_files_exist(name: str, autojump_clock: MockClock) -> None:
    text = (DEPLOY / name).read_text("utf-8")
    used = set(re.findall(r"\b(smarttrade_\w+)", text))
    assert len(used) > 15
    assert used - await known() == set()


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\b(smarttrade_\w+)", text))


async def test_no_panel_and_no_alert_is_empty_with_many_series(autojump_clock: MockClock) -> None:
    there = await known(max_series_metrics=0)
    assert "smarttrade_series_age_seconds" not in there
    alerts = re.sub("#.*", "", (DEPLOY / "alerts.yml").read_text("utf-8"))
    assert metrics_in(alerts) - there == set()
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        targets = [metrics_in(target["expr"]) <= there for target in panel.get("targets", ())]
        assert panel["type"] == "row" or any(targets), panel["title"]


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool here")
@pytest.mark.parametrize(
    "command", [("check", "rules", "alerts.yml"), ("test", "rules", str(CASES))]
)
def test_prometheus_takes_the_alerts(command: Sequence[str]) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *command], cwd=DEPLOY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_metrics_of_the_documentation_exist(autojump_clock: MockClock) -> None:
    there = await known()
    text = OPERATIONS.read_text("utf-8")
    for name in re.findall(r"`(smarttrade_\w+)(?:\{[\w,]+\})?`", text):
        assert name in there or f"{name}_bucket" in there, name


async def test_counter_of_each_limit_exists(autojump_clock: MockClock) -> None:
    there = await known()
    limits = OPERATIONS.read_text("utf-8").partition("## Limits")[2].partition("\n## ")[0]
    counters = re.findall(r"\| `(\w+)` \|$", limits, re.MULTILINE)
    assert len(counters) == len(re.findall(r"^\| (?!what|---)", limits, re.MULTILINE)) > 10
    for counter in counters:
        names = {f"smarttrade_{of}_{counter}_total" for of in ("server", "session", "outbox")}
        assert len(names & there) == 1, counter


def test_dashboard_is_one() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] == "row" or panel["targets"], panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]


def test_every_alert_says_how_bad_it_is() -> None:
    text = (DEPLOY / "alerts.yml").read_text("utf-8")
    alerts = text.count("- alert:")
    assert alerts == len(set(re.findall(r"- alert: (\w+)", text)))
    assert alerts == len(re.findall(r"labels: \{severity: (?:page|ticket)\}", text))
    assert alerts == text.count("summary:")
