"""`/openapi.json`, `/asyncapi.json`, and the page that shows them.

They are made when first asked for: most processes never are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from quart import Response
from quart_trio import QuartTrio
from werkzeug.routing import Map

from ...session.wire import encode_json
from ..pages.page import HtmlPage
from ..pages.static_files import static_directory
from ..services import Services

HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


def add_documents(app: QuartTrio, services: Services) -> None:
    page = cache(_page)
    openapi = cache(lambda: encode_json(_openapi(app.url_map)))
    asyncapi = cache(lambda: encode_json(_asyncapi(app.url_map)))

    @app.get("/docs")
    async def docs() -> Response:
        return page().response()

    @app.get("/openapi.json")
    async def rest_schema() -> Response:
        return _document(openapi)

    if not services.has_clients:
        return

    @app.get("/asyncapi.json")
    async def websocket_schema() -> Response:
        return _document(asyncapi)


def _page() -> HtmlPage:
    return HtmlPage((static_directory() / "docs.html").read_text("utf-8"))


def _openapi(url_map: Map) -> dict[str, Any]:
    from .openapi import openapi_document

    return openapi_document(url_map)


def _asyncapi(url_map: Map) -> dict[str, Any]:
    from .asyncapi import asyncapi_document

    return asyncapi_document(url_map)


def _document(make: Callable[[], bytes]) -> Response:
    return Response(make(), content_type="application/json", headers=HEADERS)
