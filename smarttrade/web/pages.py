"""The pages: the chart at `/`, and two to look into the service.

The chart page is made of plain ES modules under `/static/`, and of the chart library
(`chart_library.py`). `/inspect` and `/inspect-ws` are one file each, so that a front end can carry
them under a prefix of its own: their URLs are relative, and what they need is inside them.

Each page allows exactly what it loads (Content-Security-Policy Level 3): scripts and styles inside
a page by their hash, those outside by their address, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from importlib.resources import files
from importlib.resources.abc import Traversable

from quart import Response, request
from quart_trio import QuartTrio

from .chart_library import ChartLibrary
from .static_files import NEVER_CHANGES, StaticFiles

_BLOCK = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
_HOST_NAME = re.compile(r"[A-Za-z0-9.\-_]+(:\d{1,5})?")
_HOST_IPV6 = re.compile(r"\[[0-9a-fA-F:.]+\](:\d{1,5})?")


class Page:
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


def add_pages(app: QuartTrio) -> None:
    """`/`, `/inspect`, `/inspect-ws` and what they load."""
    static = files("smarttrade.web") / "static"
    _add_chart(app, static)
    _add_inspection(app, static)


def _add_chart(app: QuartTrio, static: Traversable) -> None:
    library = ChartLibrary.declared()
    static_files = StaticFiles()
    for file in static.iterdir():
        if file.name.endswith((".js", ".ts", ".css", ".svg")):
            static_files.add(file.name, file.read_bytes())
    address, source = library.public_address, f"'self' {library.public_address}"
    if (content := library.bundled(static)) is not None:
        static_files.add(library.bundled_name, content, NEVER_CHANGES)
        address, source = f"static/{library.bundled_name}", "'self'"
    page = Page(_read(static, "index.html"), script=source, style="'self'", img="'self'")

    @app.get("/")
    async def chart() -> Response:
        return page.response(library=address, integrity=library.integrity)

    @app.get("/static/<path:name>")
    async def static_file(name: str) -> Response:
        return static_files.response(name)


def _add_inspection(app: QuartTrio, static: Traversable) -> None:
    inspect_page = Page(_read(static, "inspect.html"))
    inspect_ws_page = Page(_read(static, "inspect-ws.html"))

    @app.get("/inspect")
    async def inspect() -> Response:
        return inspect_page.response()

    @app.get("/inspect-ws")
    async def inspect_ws() -> Response:
        # Behind a front end this page connects to us, not to where it was loaded from.
        host = own_host(request.headers.get("Host", ""))
        return inspect_ws_page.response(backend=host, connect=_socket_sources(host))


def _read(static: Traversable, name: str) -> str:
    return (static / name).read_text("utf-8")


def own_host(header: str) -> str:
    """The host that the request came to; empty when what `header` says could not be one."""
    return header if _HOST_NAME.fullmatch(header) or _HOST_IPV6.fullmatch(header) else ""


def _socket_sources(host: str) -> str:
    """A policy cannot name an IPv6 address (CSP Level 3, 2.3.1, host-source)."""
    return f"ws://{host} wss://{host}" if _HOST_NAME.fullmatch(host) else "ws: wss:"
