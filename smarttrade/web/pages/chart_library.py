"""Which chart library the chart page loads, and from where.

`frontend/package.json` names one exact version and the hash of the one file of it that we use.
`hatch_build.py` puts that file beside the page when the package is built. Where that was not
possible, the browser gets the same file from a public CDN, and its hash is checked there.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Self

import msgspec

CDN = "https://cdn.jsdelivr.net/npm"
"""It serves the files of packages unchanged, under their exact version, to any origin."""

BUNDLED = "vendor"
"""Directory of the bundled file, in `static/`."""

_NAME = "lightweight-charts"


class _Bundle(msgspec.Struct):
    file: str
    """In the package, as it is published."""
    integrity: str
    """As in Subresource Integrity: the algorithm, and the hash in base64."""


class _Manifest(msgspec.Struct):
    dependencies: dict[str, str]
    bundle: _Bundle


@dataclass(frozen=True, slots=True)
class ChartLibrary:
    """One version of the library."""

    version: str
    file: str
    integrity: str

    @classmethod
    def declared(cls) -> Self:
        """What `package.json` names."""
        text = (_web() / "frontend" / "package.json").read_bytes()
        manifest = msgspec.json.decode(text, type=_Manifest)
        return cls(manifest.dependencies[_NAME], manifest.bundle.file, manifest.bundle.integrity)

    @property
    def bundled_name(self) -> str:
        """Its name in `static/`; it changes with the version, so it may be cached indefinitely."""
        return f"{BUNDLED}/{_NAME}-{self.version}.js"

    @property
    def public_address(self) -> str:
        return f"{CDN}/{_NAME}@{self.version}/{self.file}"

    def bundled(self, static: Traversable) -> bytes | None:
        """The bundled file; None when there is none, or another than the one we trust."""
        file = static / self.bundled_name
        if not file.is_file():
            return None
        content = file.read_bytes()
        digest = base64.b64encode(hashlib.sha384(content).digest()).decode()
        return content if self.integrity == f"sha384-{digest}" else None


def _web() -> Traversable:
    return files("smarttrade.web")
