"""Let pages of the configured origins read what we answer, and only read.

Source: the Fetch standard, "CORS protocol".
"""

from __future__ import annotations

from collections.abc import Iterable

_ALWAYS = ("Access-Control-Expose-Headers", "ETag, Retry-After")
_PREFLIGHT = (
    ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
    ("Access-Control-Allow-Headers", "*, Authorization"),  # which the star does not cover
    ("Access-Control-Max-Age", "86400"),
)


class Cors:
    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def headers(self, origin: str | None, method: str) -> list[tuple[str, str]]:
        """What to add to any answer to a request from `origin`; None when it does not say."""
        added = [_ALWAYS]
        if "*" in self._origins:
            added.append(("Access-Control-Allow-Origin", "*"))
        else:
            added.append(("Vary", "Origin"))
            if origin is not None and origin in self._origins:
                added.append(("Access-Control-Allow-Origin", origin))
        return [*added, *_PREFLIGHT] if method == "OPTIONS" else added
