"""One page.

It allows exactly what it loads (Content-Security-Policy Level 3): scripts and styles inside it by
their hash, those outside by their address, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re

from quart import Response

_BLOCK = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


class HtmlPage:
    """One HTML file and the policy that fits it."""

    def __init__(self, text: str, **allowed: str) -> None:
        """`allowed`: what its scripts and so on may be beside those inside it, by directive."""
        self._text = text
        self._allowed = {"script": [], "style": [], "img": ["data:"], "connect": ["'self'"]}
        for kind, source in allowed.items():
            self._allowed[kind].append(source)
        for kind, content in _BLOCK.findall(text):
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            self._allowed[kind].append(f"'sha256-{digest}'")

    def response(self, *, connect: str = "", **values: str) -> Response:
        """The page with `{{name}}` replaced by each value, escaped.

        `connect`: what it may connect to beside where it came from.
        """
        text = self._text
        for name, value in values.items():
            text = text.replace(f"{{{{{name}}}}}", html.escape(value, quote=True))
        return Response(
            text,
            content_type="text/html; charset=utf-8",
            headers={
                "Content-Security-Policy": self._policy(connect),
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Cache-Control": "no-cache",
            },
        )

    def _policy(self, connect: str) -> str:
        allowed = {**self._allowed, "connect": [*self._allowed["connect"], connect]}
        sources = [f"{kind}-src {' '.join(filter(None, each))}" for kind, each in allowed.items()]
        rest = "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        return f"default-src 'none'; {'; '.join(sources)}; {rest}"
