"""The chart page at `/`, made of plain ES modules under `/static/`, and of the chart library."""

from __future__ import annotations

from quart import Response
from quart_trio import QuartTrio

from .chart_library import ChartLibrary
from .page import HtmlPage
from .static_files import NEVER_CHANGES, StaticFiles, static_directory


def add_chart(app: QuartTrio) -> None:
    static = static_directory()
    library = ChartLibrary.declared()
    static_files = StaticFiles()
    for file in static.iterdir():
        if file.name.endswith((".js", ".ts", ".css", ".svg")):
            static_files.add(file.name, file.read_bytes())
    address, source = library.public_address, f"'self' {library.public_address}"
    if (content := library.bundled(static)) is not None:
        static_files.add(library.bundled_name, content, NEVER_CHANGES)
        address, source = f"static/{library.bundled_name}", "'self'"
    page = HtmlPage(
        (static / "index.html").read_text("utf-8"), script=source, style="'self'", img="'self'"
    )

    @app.get("/")
    async def chart() -> Response:
        return page.response(library=address, integrity=library.integrity)

    @app.get("/static/<path:name>")
    async def static_file(name: str) -> Response:
        return static_files.response(name)
