"""Build hook: bundles the chart library where npm and a network are there, else does nothing.

It never fails a build, and takes a minute at most. Without the library, the page loads the same
file from a public CDN; see `pages/chart_library.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WITHIN = 45  # seconds for npm; it asks for two small packages
NPM_CI = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0")


class BundleChartLibrary(BuildHookInterface[Any]):
    """Puts the file that `frontend/package.json` names into `static/vendor/`."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        web = Path(self.root) / "smarttrade" / "web"
        build_data["artifacts"].append("/smarttrade/web/static/vendor/*")
        try:
            bundle(web / "frontend", web / "static" / "vendor")
        except Exception as error:  # noqa: BLE001 - whatever it is, the package works without
            self.app.display_warning(f"the chart library is not bundled: {error}")


def bundle(frontend: Path, vendor: Path) -> None:
    """Bring `vendor` to what `frontend` declares.

    Raises:
        Exception: it could not be had, and why; what was there before is still there.
    """
    manifest = json.loads((frontend / "package.json").read_text("utf-8"))
    [(name, version)] = manifest["dependencies"].items()
    target = vendor / f"{name}-{version}.js"
    if target.is_file() and _is_trusted(target.read_bytes(), manifest):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("there is no npm")
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(frontend / file, work)
        _run([npm, *NPM_CI], work)
        modules = work / "node_modules"
        content = (modules / name / manifest["bundle"]["file"]).read_bytes()
        if not _is_trusted(content, manifest):
            raise ValueError("its hash is not the one in package.json")
        shutil.rmtree(vendor, ignore_errors=True)
        vendor.mkdir(parents=True)
        for package in sorted(modules.iterdir()):
            for licence in package.glob("LICENSE*"):
                shutil.copy(licence, vendor / f"{package.name}.LICENSE.txt")
        partial = target.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(target)


def _is_trusted(content: bytes, manifest: dict[str, Any]) -> bool:
    digest = base64.b64encode(hashlib.sha384(content).digest()).decode()
    return bool(manifest["bundle"]["integrity"] == f"sha384-{digest}")


def _run(command: list[str], directory: Path) -> None:
    process = subprocess.Popen(  # noqa: S603 - npm, with arguments of our own
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that what npm starts ends with it
    )
    try:
        status = process.wait(WITHIN)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise TimeoutError(f"npm took more than {WITHIN} s") from None
    if status:
        raise RuntimeError(f"npm ended with status {status}")
