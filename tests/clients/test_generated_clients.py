"""Clients that public generators make of the schemas: they type-check, and they work.

Slow: the generators are installed from the package registries, for Python and for TypeScript.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.processes import INTERVALS, SYMBOLS, Exchange, Service
from tests.fakes.ports import free_port

SOURCES = Path(__file__).parent / "generated"
QUIETLY = ("--ignore-scripts", "--no-audit", "--no-fund", "--silent")
PYTHON_GENERATOR = ("openapi-python-client==0.29.1", "mypy==1.19.1")

pytestmark = pytest.mark.slow

USE_REST = """
import json
import sys

from smart_trade import Client
from smart_trade.api.candles import (
    get_candles_symbol_interval,
    get_intervals,
    get_symbols,
)
from smart_trade.api.operations import get_ready, get_streaming_status, get_system
from smart_trade.api.trading_views_udf import get_udf_history, get_udf_symbols
from smart_trade.models import (
    CandlePage,
    IntervalList,
    Problem,
    Ready,
    StreamingStatus,
    SymbolList,
    System,
    UdfHistory,
    UdfSymbol,
)

client = Client(base_url=sys.argv[1])
page = get_candles_symbol_interval.sync("BTCUSDT", "1m", client=client, limit=3)
assert isinstance(page, CandlePage)
closes: list[float] = [candle.close for candle in page.candles]
symbols = get_symbols.sync(client=client, details=1)
assert isinstance(symbols, SymbolList) and isinstance(symbols.details, list)
intervals = get_intervals.sync(client=client)
assert isinstance(intervals, IntervalList)
ready = get_ready.sync(client=client)
assert isinstance(ready, Ready)
status = get_streaming_status.sync(client=client)
assert isinstance(status, StreamingStatus)
system = get_system.sync(client=client)
assert isinstance(system, System)
symbol = get_udf_symbols.sync(client=client, symbol="BTCUSDT")
assert isinstance(symbol, UdfSymbol)
history = get_udf_history.sync(
    client=client, symbol="BTCUSDT", resolution="1", to=page.candles[0].time, countback=2
)
assert isinstance(history, UdfHistory)
refused = get_candles_symbol_interval.sync("NOPE", "1m", client=client)
assert isinstance(refused, Problem)
print(json.dumps({
    "closes": len(closes),
    "decimals": len(symbols.details),
    "intervals": intervals.intervals,
    "ready": ready.status,
    "series": len(status.per_symbol),
    "root": len(system.children) > 0,
    "scale": symbol.pricescale,
    "times": len(history.t),
    "code": refused.code,
}))
"""

EXPECTED = {
    "closes": 3,
    "decimals": len(SYMBOLS),
    "intervals": list(INTERVALS),
    "ready": "ready",
    "series": len(SYMBOLS) * len(INTERVALS),
    "root": True,
    "scale": 100,
    "times": 2,
    "code": "unknown_symbol",
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Exchange(free_port()) as exchange, Service(free_port(), exchange) as service:
        yield service


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def save_document(service: Service, name: str, directory: Path) -> Path:
    file = directory / name
    file.write_bytes(httpx.get(f"{service.url}/{name}").raise_for_status().content)
    return file


def test_python_client_of_the_rest_schema(service: Service, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    programs = tmp_path / "venv" / "bin"
    run(str(programs / "pip"), "install", "--quiet", *PYTHON_GENERATOR, cwd=tmp_path)
    document = save_document(service, "openapi.json", tmp_path)
    generated = run(
        str(programs / "openapi-python-client"),
        *("generate", "--path", str(document), "--meta", "none", "--output-path", "smart_trade"),
        cwd=tmp_path,
    )
    left_out = re.findall(r"Unable|WARNING parsing|Cannot parse|omitted|removal", generated)
    assert left_out == [], generated
    (tmp_path / "use_rest.py").write_text(USE_REST, "utf-8")
    run(str(programs / "mypy"), "--strict", "smart_trade", "use_rest.py", cwd=tmp_path)
    printed: Any = json.loads(
        run(str(programs / "python"), "use_rest.py", service.url, cwd=tmp_path)
    )
    assert printed == EXPECTED


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
def test_typescript_clients_of_both_schemas(service: Service, tmp_path: Path) -> None:
    directory = tmp_path / "typescript"
    shutil.copytree(SOURCES, directory, ignore=shutil.ignore_patterns("node_modules"))
    run("npm", "install", *QUIETLY, cwd=directory)
    rest = save_document(service, "openapi.json", directory)
    messages = save_document(service, "asyncapi.json", directory)
    run("npx", "openapi-typescript", rest.name, "--output", "api.d.ts", cwd=directory)
    run("node", "models.mjs", messages.name, cwd=directory)
    run("npx", "tsc", cwd=directory)
    printed: Any = json.loads(run("node", "built/use-rest.js", service.url, cwd=directory))
    assert printed == EXPECTED
    url = f"{service.url.replace('http', 'ws')}/ws/candles"
    node = ("node", "--experimental-websocket", "--no-warnings")
    heard: Any = json.loads(run(*node, "built/use-websocket.js", url, cwd=directory))
    assert heard[:3] == ["heartbeat 1", "subscribed 1 0", "snapshot 3"]
    assert heard[3].startswith("candle number")
