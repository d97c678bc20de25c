"""Servers that are measured beside SmartTrade, each written as its library is meant to be used.

Each follows the exchange at BINANCE_WS_URL, encodes an update once, as the same bytes that SmartTrade
sends, and publishes it to the subscribers of its series, on PORT. `GET /ready` is answered once clients
can connect. They keep nothing, fill no gaps and close no slow clients, except FastAPI's, which also
answers `/candles`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).parent
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
ENDPOINT = "/ws/candles"
FASTAPI = "fastapi"


@dataclass(frozen=True)
class Peer:
    command: tuple[str, ...]
    find_missing: Callable[[], str | None]
    """What is missing to run it here, and how to install that."""
    is_by_path: bool = False
    """Whether clients subscribe by the path to which they connect, not by a message."""

    def path(self, series: Sequence[dict[str, str]]) -> str:
        """The path for clients of `series`."""
        if not self.is_by_path:
            return ENDPOINT
        names = ",".join(f"{entry['symbol']}@{entry['interval']}" for entry in series)
        return f"{ENDPOINT}/{names or 'idle'}"


def _module(name: str) -> tuple[str, ...]:
    return sys.executable, "-m", f"tests.benchmarks.peers.{name}"


def _script(name: str) -> tuple[str, ...]:
    return "node", str(FOLDER / name)


def _missing_distribution(*modules: str) -> str | None:
    absent = [name for name in modules if find_spec(name) is None]
    return f"{', '.join(absent)}: pip install -e '.[bench]'" if absent else None


def _missing_in_node(*packages: str) -> str | None:
    if shutil.which("node") is None:
        return "node is not installed"
    program = "".join(f"require({json.dumps(name)});" for name in packages)
    done = subprocess.run(
        ["node", "-e", program], cwd=FOLDER, capture_output=True, check=False, text=True
    )
    if not done.returncode:
        return None
    found = re.search(r"^Error: .*?$", done.stderr, re.MULTILINE)
    reason = found[0] if found else done.stderr.strip()[-200:]
    return f"{reason} (npm install --no-package-lock --prefix tests/benchmarks/peers)"


def nginx_program() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def _missing_nchan() -> str | None:
    if nginx_program() is None or not NCHAN.exists():
        return "nginx or its module: apt-get install nginx-light libnginx-mod-nchan"
    return _missing_distribution("uvloop", "orjson")


PEERS = {
    FASTAPI: Peer(
        _module("fastapi_server"), partial(_missing_distribution, "fastapi", "uvicorn", "uvloop")
    ),
    "ws": Peer(_script("ws_server.mjs"), partial(_missing_in_node, "ws")),
    "picows": Peer(
        _module("picows_server"), partial(_missing_distribution, "picows", "uvloop", "orjson")
    ),
    "nchan": Peer(_module("nchan_server"), _missing_nchan, is_by_path=True),
    "uwebsockets": Peer(
        _script("uwebsockets_server.mjs"), partial(_missing_in_node, "ws", "uwebsockets")
    ),
}


def versions() -> dict[str, str]:
    """Versions of what is no Python package: nginx, Node and its packages."""
    found = {}
    for name, program in (("node", shutil.which("node")), ("nginx", nginx_program())):
        if program is not None:
            done = subprocess.run([program, "-v"], capture_output=True, check=False, text=True)
            found[name] = (done.stdout + done.stderr).strip().removeprefix("nginx version: nginx/")
    for path in FOLDER.glob("node_modules/*/package.json"):
        found[path.parent.name] = json.loads(path.read_text())["version"]
    return found
