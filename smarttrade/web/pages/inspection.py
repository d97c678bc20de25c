"""`/inspect` and `/inspect-ws`, to look into the service.

They are one file each, so that a front end can carry them under a prefix of its own: their URLs are
relative, and what they need is inside them.
"""

from __future__ import annotations

import re

from quart import Response, request
from quart_trio import QuartTrio

from .page import HtmlPage
from .static_files import static_directory

_HOST_NAME = re.compile(r"[A-Za-z0-9.\-_]+(:\d{1,5})?")
_HOST_IPV6 = re.compile(r"\[[0-9a-fA-F:.]+\](:\d{1,5})?")


def add_inspection(app: QuartTrio) -> None:
    static = static_directory()
    inspect_page = HtmlPage((static / "inspect.html").read_text("utf-8"))
    inspect_ws_page = HtmlPage((static / "inspect-ws.html").read_text("utf-8"))

    @app.get("/inspect")
    async def inspect() -> Response:
        return inspect_page.response()

    @app.get("/inspect-ws")
    async def inspect_ws() -> Response:
        # Behind a front end this page connects to us, not to where it was loaded from.
        host = own_host(request.headers.get("Host", ""))
        return inspect_ws_page.response(backend=host, connect=_socket_sources(host))


def own_host(header: str) -> str:
    """The host that the request came to; empty when what `header` says could not be one."""
    return header if _HOST_NAME.fullmatch(header) or _HOST_IPV6.fullmatch(header) else ""


def _socket_sources(host: str) -> str:
    """A policy cannot name an IPv6 address (CSP Level 3, 2.3.1, host-source)."""
    return f"ws://{host} wss://{host}" if _HOST_NAME.fullmatch(host) else "ws: wss:"
