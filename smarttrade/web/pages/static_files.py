"""The files that our pages load, in memory: there are few of them, and they are small."""

from __future__ import annotations

import gzip
import hashlib
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

from quart import Response, request

from ..problem import ProblemError

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "ts": "text/plain; charset=utf-8",
}

CHECK_EACH_TIME = "no-cache"
NEVER_CHANGES = "public, max-age=31536000, immutable"


def static_directory() -> Traversable:
    """Where they are, and the pages themselves."""
    return files("smarttrade.web") / "static"


class StaticFile:
    """One file; `caching` is its `Cache-Control`."""

    def __init__(self, name: str, content: bytes, caching: str = CHECK_EACH_TIME) -> None:
        self._content = content
        digest = hashlib.blake2b(content, digest_size=12).hexdigest()
        # Weak: the compressed form is the same file (RFC 9110, 8.8.1).
        self._etag = f'W/"{digest}"'
        self._digest = digest
        self._headers = {
            "Content-Type": _TYPES[name.rpartition(".")[2]],
            "Cache-Control": caching,
            "ETag": self._etag,
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }

    @cached_property
    def _compressed(self) -> bytes:
        return gzip.compress(self._content, mtime=0)

    def response(self) -> Response:
        """The answer to the request at hand."""
        headers = dict(self._headers)
        if request.if_none_match.contains_weak(self._digest):
            return Response(b"", status=304, headers=headers)
        if not request.accept_encodings["gzip"]:
            return Response(self._content, headers=headers)
        return Response(self._compressed, headers=headers | {"Content-Encoding": "gzip"})


class StaticFiles:
    """All of them, by the name under `/static/`."""

    def __init__(self) -> None:
        self._files: dict[str, StaticFile] = {}

    def add(self, name: str, content: bytes, caching: str = CHECK_EACH_TIME) -> None:
        self._files[name] = StaticFile(name, content, caching)

    def response(self, name: str) -> Response:
        """One file.

        Raises:
            ProblemError: there is none of this name.
        """
        file = self._files.get(name)
        if file is None:
            raise ProblemError(404, "not_found", f"no such file: {name[:50]!r}")
        return file.response()
