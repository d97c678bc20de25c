"""The inspection pages: each one file without dependencies, so that any proxy can carry it.

They work behind a front end that proxies `inspect` and `streaming/status` under a prefix of its
own: their URLs are relative, and what they need is inside them. Scripts and styles are allowed by
their hash and nothing else is (Content-Security-Policy Level 3).
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from importlib.resources import files

from quart import Response, request
from quart_trio import QuartTrio

_BLOCK = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9.\-_]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?")


class Page:
    """One HTML file and the policy that fits it."""

    def __init__(self, name: str, *, connect: str = "'self'") -> None:
        self._text = (files("smarttrade.web") / "static" / name).read_text("utf-8")
        sources: dict[str, list[str]] = {"script": [], "style": []}
        for kind, content in _BLOCK.findall(self._text):
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            sources[kind].append(f"'sha256-{digest}'")
        self._policy = (
            "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
            f"script-src {' '.join(sources['script'])}; style-src {' '.join(sources['style'])}; "
            f"connect-src {connect}"
        )

    def response(self, **values: str) -> Response:
        """The page with `{{name}}` replaced by each value, escaped."""
        text = self._text
        for name, value in values.items():
            text = text.replace(f"{{{{{name}}}}}", html.escape(value, quote=True))
        return Response(
            text,
            content_type="text/html; charset=utf-8",
            headers={
                "Content-Security-Policy": self._policy,
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Cache-Control": "no-cache",
            },
        )


def add_pages(app: QuartTrio) -> None:
    inspect_page = Page("inspect.html")
    # Behind a front end this page connects to us, not to where it was loaded from.
    inspect_ws_page = Page("inspect-ws.html", connect="'self' ws: wss:")

    @app.get("/inspect")
    async def inspect() -> Response:
        return inspect_page.response()

    @app.get("/inspect-ws")
    async def inspect_ws() -> Response:
        return inspect_ws_page.response(backend=_own_host())


def _own_host() -> str:
    """The host that the request came to; empty when what it says could not be one."""
    host = request.headers.get("Host", "")
    return host if _HOST.fullmatch(host) else ""
