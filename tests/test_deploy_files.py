"""The deployment files are what Kubernetes, systemd and nginx take, and publish only what is public."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from smarttrade.settings import VARIABLES
from smarttrade.web.metrics import scrape

DEPLOY = Path(__file__).parents[1] / "docs" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
KUBECTL = shutil.which("kubectl")
ANALYZE = shutil.which("systemd-analyze")
PROGRAM = "/opt/smarttrade/venv/bin/smarttrade"
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="no kubectl here")
PUBLIC = (
    *("/", "/static/chart.js", "/candles/BTCUSDT/1m", "/symbols", "/intervals", "/health"),
    *("/streaming/status", "/udf/config", "/ws/candles", "/ws/candles/BTCUSDT", "/inspect"),
    *("/inspect-ws", "/docs", "/openapi.json", "/asyncapi.json"),
)
PRIVATE = ("/metrics", "/system", "/ready", "/metrics/", "/static", "/anything", "/candles")


def resources() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(KUBERNETES.rglob("*.yaml")):
        if file.name != "kustomization.yaml":
            for resource in yaml.safe_load_all(file.read_text("utf-8")):
                yield file.name, resource


def rendered(overlay: str) -> list[dict[str, Any]]:
    """What `kubectl apply -k` of that directory would send."""
    assert KUBECTL is not None
    command = [KUBECTL, "kustomize", str(KUBERNETES / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return list(yaml.safe_load_all(done.stdout))


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


@pytest.mark.parametrize("directory", ["base", "ingest"])
def test_kustomization_has_every_manifest(directory: str) -> None:
    there = {file.name for file in (KUBERNETES / directory).glob("*.yaml")}
    kustomization = yaml.safe_load(
        (KUBERNETES / directory / "kustomization.yaml").read_text("utf-8")
    )
    assert set(kustomization["resources"]) == there - {"kustomization.yaml"}


@needs_kubectl
@pytest.mark.parametrize("overlay", [".", "shards"])
def test_rendered_overlay_is_valid(overlay: str) -> None:
    for each in rendered(overlay):
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


@needs_kubectl
def test_each_shard_has_its_own_ingests_and_budget() -> None:
    every = rendered("shards")
    (configuration,) = (each for each in every if each["kind"] == "ConfigMap")
    shards = range(int(configuration["data"]["SMARTTRADE_SHARDS"]))
    ingests = {
        each["metadata"]["name"]: each
        for each in every
        if each["kind"] == "Deployment" and each["metadata"]["name"] != "gateway"
    }
    budgets = {
        each["metadata"]["name"]: each["spec"]["selector"]
        for each in every
        if each["kind"] == "PodDisruptionBudget"
    }
    assert set(ingests) == {f"ingest-{number}" for number in shards}
    for number in shards:
        deployment = ingests[f"ingest-{number}"]["spec"]
        (container,) = deployment["template"]["spec"]["containers"]
        variables = {each["name"]: each["value"] for each in container["env"]}
        assert variables["SMARTTRADE_SHARD"] == str(number)
        assert deployment["replicas"] == 2
        assert deployment["selector"] == budgets[f"ingest-{number}"]
        assert deployment["selector"]["matchLabels"]["smarttrade/shard"] == str(number)


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


def units() -> Mapping[str, Mapping[str, list[str]]]:
    """The settings of each systemd unit, by its name."""
    found = {}
    for file in sorted(DEPLOY.glob("*.service")):
        settings: dict[str, list[str]] = {}
        for line in file.read_text("utf-8").splitlines():
            if "=" in line and not line.startswith("#"):
                name, _, value = line.partition("=")
                settings.setdefault(name, []).append(value)
        found[file.name] = settings
    return found


def test_units_differ_in_what_they_start_only() -> None:
    first, *others = units().values()
    own = ("Description", "ExecStart")
    for other in others:
        assert {name for name in first if first[name] != other.get(name)} == set(own)
        assert first.keys() == other.keys()


@pytest.mark.parametrize("name", units())
def test_unit_starts_a_command_with_options_that_there_are(name: str) -> None:
    (line,) = units()[name]["ExecStart"]
    line = line.replace("%i", "63").replace("$$", "$").replace(PROGRAM, "echo")
    done = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True)
    command, *options = done.stdout.split()
    parser = argparse.ArgumentParser()
    import_module(f"smarttrade.cli.{command}").add_arguments(parser)
    given = parser.parse_args(options)
    if "%i" in units()[name]["ExecStart"][0]:
        assert 0 < int(given.PORT) < 2**16


@pytest.mark.skipif(ANALYZE is None, reason="no systemd here")
@pytest.mark.parametrize("name", units())
def test_unit_is_what_systemd_takes(name: str, tmp_path: Path) -> None:
    text = (DEPLOY / name).read_text("utf-8").replace(PROGRAM, sys.executable)
    (tmp_path / name).write_text(text)
    instance = tmp_path / name.replace("@", "@0")
    done = subprocess.run(
        [str(ANALYZE), "verify", str(instance)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-compose.conf"])
def test_nginx_publishes_what_is_public_and_nothing_else(name: str) -> None:
    text = (DEPLOY / name).read_text("utf-8")
    (public,) = re.findall(r"location ~ (\^/\(.*?) \{", text)
    assert [path for path in PUBLIC if not re.search(public, path) and path[:4] != "/ws/"] == []
    assert [path for path in PRIVATE if re.search(public, path)] == []
    assert re.search(r"location / \{\s+return 404;", text)
