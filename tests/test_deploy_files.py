"""The deployment files are what Kubernetes and nginx take, and publish only what is public."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from smarttrade.settings import VARIABLES
from smarttrade.web.metrics import scrape

DEPLOY = Path(__file__).parents[1] / "docs" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
PUBLIC = (
    *("/", "/static/chart.js", "/candles/BTCUSDT/1m", "/symbols", "/intervals", "/health"),
    *("/streaming/status", "/udf/config", "/ws/candles", "/ws/candles/BTCUSDT", "/inspect"),
    *("/inspect-ws", "/docs", "/openapi.json", "/asyncapi.json"),
)
PRIVATE = ("/metrics", "/system", "/ready", "/metrics/", "/static", "/anything", "/candles")


def resources() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(KUBERNETES.glob("*.yaml")):
        if file.name != "kustomization.yaml":
            for resource in yaml.safe_load_all(file.read_text("utf-8")):
                yield file.name, resource


def resource(kind: str, name: str) -> dict[str, Any]:
    (found,) = (
        each for _, each in resources() if each["kind"] == kind and each["metadata"]["name"] == name
    )
    return found


@pytest.mark.parametrize("file", [file for file, _ in resources()])
def test_manifests_are_valid(file: str) -> None:
    for name, each in resources():
        if name == file:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_kustomization_has_every_manifest() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text("utf-8"))
    assert set(kustomization["resources"]) == {file for file, _ in resources()}


@pytest.mark.parametrize("name", ["ingest", "gateway"])
def test_pods_are_probed_and_have_time_to_stop(name: str) -> None:
    pod = resource("Deployment", name)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready?for=traffic"
    delay = float(resource("ConfigMap", "smarttrade")["data"]["SMARTTRADE_DRAIN_DELAY"])
    assert pod["terminationGracePeriodSeconds"] > delay + 10
    budget = resource("PodDisruptionBudget", name)["spec"]
    labels = resource("Deployment", name)["spec"]["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"] == labels


def test_variables_are_ours() -> None:
    data = resource("ConfigMap", "smarttrade")["data"]
    assert set(data) | set(resource("Secret", "smarttrade")["stringData"]) <= set(VARIABLES)


def test_autoscaler_uses_a_metric_that_exists() -> None:
    (metric,) = (
        each["pods"]["metric"]["name"]
        for each in resource("HorizontalPodAutoscaler", "gateway")["spec"]["metrics"]
        if each["type"] == "Pods"
    )
    assert metric == "smarttrade_hub_subscribers"
    assert "subscribers" in Path(scrape.__file__).with_name("descriptions.py").read_text("utf-8")


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-compose.conf"])
def test_nginx_publishes_what_is_public_and_nothing_else(name: str) -> None:
    text = (DEPLOY / name).read_text("utf-8")
    (public,) = re.findall(r"location ~ (\^/\(.*?) \{", text)
    assert [path for path in PUBLIC if not re.search(public, path) and path[:4] != "/ws/"] == []
    assert [path for path in PRIVATE if re.search(public, path)] == []
    assert re.search(r"location / \{\s+return 404;", text)
