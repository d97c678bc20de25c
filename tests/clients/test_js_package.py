"""The npm package: its own tests, its examples' types, and what a user of it gets."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.browser.processes import Exchange, Service, eventually
from tests.docs.blocks import example
from tests.docs.test_examples import printed_candles, running
from tests.fakes.ports import free_port

PACKAGE = Path(__file__).parents[2] / "clients" / "js"
TYPESCRIPT = PACKAGE / "node_modules" / ".bin" / "tsc"

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")

FOLLOW = """
import { SmartTradeClient } from "smarttrade-client";

const client = new SmartTradeClient("URL/ws/candles");
client.subscribe("BTCUSDT", "1m", {
  snapshot: 3,
  onReset: (candles) => console.log(`${candles.length} candles`),
  onUpdate: ({ time, close }, { closed }) => console.log(time, close, closed),
});
"""


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tests_of_the_package_pass_in_node() -> None:
    run("node", "--test", "tests/", cwd=PACKAGE)


@pytest.mark.skipif(not TYPESCRIPT.exists(), reason="not installed: npm ci in clients/js")
def test_examples_have_right_types() -> None:
    run(str(TYPESCRIPT), "--project", "examples", cwd=PACKAGE)


@pytest.mark.skipif(not TYPESCRIPT.exists(), reason="not installed: npm ci in clients/js")
def test_documented_example_has_right_types(tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(PACKAGE / "node_modules")
    (tmp_path / "series.ts").write_text(example("series.ts").text, "utf-8")
    settings = {"extends": str(PACKAGE / "examples" / "tsconfig.json"), "include": ["series.ts"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings), "utf-8")
    run(str(TYPESCRIPT), "--project", str(tmp_path), cwd=tmp_path)


def test_package_works_where_it_is_installed(tmp_path: Path) -> None:
    archive = run(
        "npm", "pack", "--silent", "--pack-destination", str(tmp_path), cwd=PACKAGE
    ).strip()
    (tmp_path / "package.json").write_text('{"type": "module"}', "utf-8")
    run("npm", "install", "--offline", "--no-audit", "--no-fund", f"./{archive}", cwd=tmp_path)
    with Exchange(free_port()) as exchange, Service(free_port(), exchange) as service:
        program = FOLLOW.replace("URL", service.url.replace("http", "ws"))
        (tmp_path / "follow.mjs").write_text(program, "utf-8")
        with running("node", "--experimental-websocket", "follow.mjs", cwd=tmp_path) as lines:
            eventually(lambda: len(printed_candles(lines)) > 5, "candles")
            assert "3 candles\n" in lines
