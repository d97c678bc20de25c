"""The clients as their users get them: packed, installed where nothing else is, with `serve --simulated`.

Slow: dependencies come from the package registries.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.browser.processes import SimulatedService, eventually
from tests.docs.blocks import example
from tests.docs.test_examples import (
    node_arguments,
    placed,
    printed_candles,
    running,
    saved,
)
from tests.fakes.ports import free_port

ROOT = Path(__file__).parents[2]
PYTHON_CLIENT = ROOT / "clients" / "python"
JS_CLIENT = ROOT / "clients" / "js"
QUIETLY = ("--ignore-scripts", "--no-audit", "--no-fund", "--silent")
OF_THE_SERVER = {"smarttrade", "quart", "hypercorn", "msgspec", "redis", "structlog"}

pytestmark = pytest.mark.slow

TABLES = """
import json
import sys

import pandas

from smarttrade_client import Client, to_dataframe

with Client(sys.argv[1]) as client:
    frame = to_dataframe(client.candles("BTCUSDT", "1h", limit=50))
other = pandas.read_csv(f"{sys.argv[1]}/candles/BTCUSDT/1h?format=csv")
assert list(frame.columns) == ["open", "high", "low", "close", "volume", "closed"]
assert str(frame.index.dtype).endswith("UTC]"), frame.index.dtype
assert frame["close"].dtype == float and frame["closed"].dtype == bool
assert frame["closed"].tolist() == [True] * 49 + [False]
daily = frame["close"].resample("1D").last()
print(json.dumps({
    "times": [int(time.timestamp()) for time in frame.index[:-1]],
    "closes": frame["close"].tolist()[:-1],
    "read_times": other["time"].tolist()[-50:-1],
    "read_closes": other["close"].tolist()[-50:-1],
    "days": len(daily),
}))
"""

FOLLOW = """
import { SmartTradeClient } from "smarttrade-client";

const client = new SmartTradeClient("ws://127.0.0.1:8000/ws/candles");
client.subscribe("BTCUSDT", "1m", {
  onReset: (candles) => console.log(`${candles.length} candles`),
  onUpdate: ({ time, close }, { closed }) => console.log(time, close, closed),
});
"""


def run(*command: str | Path, cwd: Path) -> str:
    """A program in a shell of its own: nothing of this environment is importable."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def service() -> Iterator[SimulatedService]:
    with SimulatedService(free_port()) as service:
        yield service


class Installed(NamedTuple):
    """An environment with the client and nothing else."""

    python: Path
    archives: list[Path]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    pytest.importorskip("hatchling", reason="pip install -e '.[dev]'")
    directory = tmp_path_factory.mktemp("python")
    built = directory / "built"
    run(sys.executable, "-m", "hatchling", "build", "-d", built, cwd=PYTHON_CLIENT)
    [source] = built.glob("*.tar.gz")
    [wheel] = built.glob("*.whl")
    run(sys.executable, "-m", "venv", "venv", cwd=directory)
    python = directory / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[trio,pandas]", cwd=directory)
    return Installed(python, [source, wheel])


def test_python_packages_hold_licence_and_types(installed: Installed, tmp_path: Path) -> None:
    source, wheel = installed.archives
    with tarfile.open(source) as archive:
        names = {Path(each).name for each in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "py.typed"} <= names
    shutil.unpack_archive(wheel, tmp_path, "zip")
    [licence] = tmp_path.glob("*.dist-info/licenses/LICENSE")
    assert licence.read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (tmp_path / "smarttrade_client" / "py.typed").exists()


def test_python_client_needs_nothing_of_the_server(installed: Installed, tmp_path: Path) -> None:
    text = run(installed.python, "-m", "pip", "list", "--format", "json", cwd=tmp_path)
    assert not OF_THE_SERVER & {each["name"].lower() for each in json.loads(text)}


@pytest.mark.parametrize("name", ["blocking.py", "with_asyncio.py", "with_trio.py"])
def test_each_style_follows(
    name: str, installed: Installed, service: SimulatedService, tmp_path: Path
) -> None:
    file = saved(tmp_path, name, service.url)
    with running(str(installed.python), "-P", str(file), cwd=tmp_path) as lines:
        eventually(lambda: len(printed_candles(lines)) > 502, "a snapshot, and updates")
    first_states = list(dict.fromkeys(time for time, _, _ in printed_candles(lines)))
    assert first_states == sorted(first_states)


def test_tables_for_pandas(installed: Installed, service: SimulatedService, tmp_path: Path) -> None:
    (tmp_path / "tables.py").write_text(TABLES, "utf-8")
    printed: Any = json.loads(run(installed.python, "tables.py", service.url, cwd=tmp_path))
    assert len(printed["times"]) == 49
    assert printed["times"] == printed["read_times"]
    assert printed["closes"] == printed["read_closes"]
    assert printed["days"] in (3, 4)


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
def test_npm_package_has_strict_types_and_follows(
    service: SimulatedService, tmp_path: Path
) -> None:
    archive = run("npm", "pack", "--silent", "--pack-destination", tmp_path, cwd=JS_CLIENT).strip()
    (tmp_path / "package.json").write_text('{"type": "module"}', "utf-8")
    others = ("lightweight-charts@5.2.1", "typescript@5.9.3")
    run("npm", "install", *QUIETLY, f"./{archive}", *others, cwd=tmp_path)
    package = tmp_path / "node_modules" / "smarttrade-client"
    assert sorted(each.name for each in package.iterdir()) == [
        "LICENSE",
        "README.md",
        "package.json",
        "smarttrade-client.d.ts",
        "smarttrade-client.js",
    ]
    (tmp_path / "series.ts").write_text(example("series.ts").text, "utf-8")
    strictly = ("--strict", "--noEmit", "--target", "es2022", "--module", "nodenext")
    run("npx", "tsc", *strictly, "--lib", "es2023,dom", "series.ts", cwd=tmp_path)
    (tmp_path / "follow.mjs").write_text(placed(FOLLOW, service.url), "utf-8")
    with running(*node_arguments(), "follow.mjs", cwd=tmp_path) as lines:
        eventually(lambda: len(printed_candles(lines)) > 2, "updates")
        assert "500 candles\n" in lines
