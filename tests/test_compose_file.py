"""docs/deploy/compose.yaml fits the Dockerfile, nginx-compose.conf and the settings that there are."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from smarttrade.cli.commands import COMMANDS
from smarttrade.settings import VARIABLES

DEPLOY = Path(__file__).parents[1] / "docs" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service.get("image") == "smarttrade"]
NGINX = (DEPLOY / "nginx-compose.conf").read_text("utf-8")


def address_of(name: str) -> str:
    address: str = SERVICES[name]["networks"]["inside"]["ipv4_address"]
    return address


def test_processes_are_those_of_a_deployment() -> None:
    assert OURS == ["ingest", "gateway-1", "gateway-2"]
    assert [SERVICES[name]["command"] for name in OURS] == [["ingest"], ["gateway"], ["gateway"]]


@pytest.mark.parametrize("name", OURS)
def test_process_starts_with_settings_that_there_are(name: str) -> None:
    service = SERVICES[name]
    assert set(service["environment"]) <= set(VARIABLES)
    assert service["command"][0] in COMMANDS
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert service["environment"]["REDIS_URL"] == "redis://redis:6379"


@pytest.mark.parametrize("name", OURS)
def test_process_has_time_to_stop(name: str) -> None:
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > 10


def test_nginx_asks_the_gateways_and_only_it_is_trusted() -> None:
    upstream = re.findall(r"server ([\w-]+):8000", NGINX)
    assert upstream == [name for name in OURS if name.startswith("gateway")]
    for name in upstream:
        assert SERVICES[name]["environment"]["SMARTTRADE_TRUSTED_PROXIES"] == address_of("nginx")
    assert re.findall(r"listen (\d+);", NGINX) == ["8080"]
    assert SERVICES["nginx"]["ports"] == ["8080:8080"]


def test_only_nginx_is_reachable_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]


def test_fixed_addresses_are_never_given_to_others() -> None:
    [config] = COMPOSE["networks"]["inside"]["ipam"]["config"]
    fixed = [ip_address(address_of(name)) for name in ("nginx", "gateway-1", "gateway-2")]
    assert len(set(fixed)) == 3
    for address in fixed:
        assert address in ip_network(config["subnet"])
        assert address not in ip_network(config["ip_range"])
