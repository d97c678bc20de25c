"""The pages as the server gives them: policies, addresses, hosts, and what is never reflected."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from quart_trio import QuartTrio

from smarttrade.web.pages import add_chart, add_inspection
from smarttrade.web.pages.chart_library import ChartLibrary
from smarttrade.web.pages.inspection import own_host
from smarttrade.web.problem import ProblemError

STATIC = files("smarttrade.web") / "static"
BLOCK = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def make_app() -> QuartTrio:
    app = QuartTrio("pages", static_folder=None)
    app.register_error_handler(ProblemError, lambda error: error.response())
    add_chart(app)
    add_inspection(app)
    return app


async def get(path: str, **headers: str) -> Any:
    return await make_app().test_client().get(path, headers=headers)


def policy_of(response: Any) -> dict[str, list[str]]:
    directives = response.headers["Content-Security-Policy"].split("; ")
    return {name: sources for name, *sources in map(str.split, directives)}


@pytest.mark.parametrize("path", ["/", "/inspect", "/inspect-ws"])
async def test_policy_allows_nothing_that_is_not_named(path: str) -> None:
    policy = policy_of(await get(path))
    assert policy["default-src"] == ["'none'"]
    assert policy["base-uri"] == policy["form-action"] == ["'none'"]
    everything = {source for sources in policy.values() for source in sources}
    assert not everything & {"'unsafe-inline'", "'unsafe-eval'", "*", "https:", "http:"}


@pytest.mark.parametrize("path", ["/", "/inspect", "/inspect-ws"])
async def test_script_and_style_inside_a_page_are_allowed_by_their_hash(path: str) -> None:
    response = await get(path)
    policy = policy_of(response)
    text = await response.get_data(as_text=True)
    for kind, content in BLOCK.findall(text):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[f"{kind}-src"]
    assert not re.search(r"\son\w+=|\sstyle=|javascript:", text), "no handlers, no inline styles"


@pytest.mark.parametrize("path", ["/inspect", "/inspect-ws"])
async def test_inspection_pages_load_nothing_and_link_relatively(path: str) -> None:
    text = await (await get(path)).get_data(as_text=True)
    assert "src=" not in text
    assert all(not each.startswith(("/", "http")) for each in re.findall(r'href="(.*?)"', text))
    assert not re.search(r"""(fetch|get)\(["'`]/""", text)


async def test_chart_page_loads_only_files_that_are_there() -> None:
    client = make_app().test_client()
    text = await (await client.get("/")).get_data(as_text=True)
    loaded = re.findall(r'(?:src|href|data-library)="(static/.*?)"', text)
    assert len(loaded) > 5
    for address in loaded:
        response = await client.get(f"/{address}")
        assert response.status_code == 200, address


async def test_modules_that_the_page_begins_with_are_all_preloaded() -> None:
    """Otherwise the browser learns of each only after it has read another."""
    text = (STATIC / "index.html").read_text("utf-8")
    preloaded = set(re.findall(r'modulepreload" href="static/(.*?)"', text))
    assert preloaded | {"app.js"} == imported_by("app.js")


def imported_by(module: str) -> set[str]:
    """The module and all that it imports, and so on, but for what it loads when it is wanted."""
    found, rest = set[str](), [module]
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            text = (STATIC / name).read_text("utf-8")
            rest += re.findall(r'^import .*? from "\./(.*?)";$', text, re.MULTILINE)
    return found


@pytest.mark.parametrize(
    ("host", "shown", "sources"),
    [
        ("127.0.0.1:8000", "127.0.0.1:8000", ["ws://127.0.0.1:8000", "wss://127.0.0.1:8000"]),
        ("candles.example", "candles.example", ["ws://candles.example", "wss://candles.example"]),
        ("[::1]:8000", "[::1]:8000", ["ws:", "wss:"]),
        ('"><script>alert(1)</script>', "", ["ws:", "wss:"]),
        ("a;script-src *", "", ["ws:", "wss:"]),
    ],
)
async def test_inspect_ws_names_the_host_that_it_came_from(
    host: str, shown: str, sources: list[str]
) -> None:
    response = await get("/inspect-ws", Host=host)
    text = await response.get_data(as_text=True)
    assert f'data-backend="{shown}"' in text
    assert "alert(1)" not in text
    assert policy_of(response)["connect-src"] == ["'self'", *sources]


@pytest.mark.parametrize(
    "header", ["", "a b", "a/b", "a@b", "a:b", "a:123456", "<b>", "a\n", "é.example", "[::1", "a,b"]
)
def test_what_could_not_be_a_host_is_none(header: str) -> None:
    assert own_host(header) == ""


async def test_static_files_are_checked_each_time_and_sent_once() -> None:
    client = make_app().test_client()
    first = await client.get("/static/app.js")
    assert first.headers["Cache-Control"] == "no-cache"
    assert first.content_type == "text/javascript; charset=utf-8"
    again = await client.get("/static/app.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert await again.get_data() == b""


async def test_static_files_are_compressed_for_those_who_can_read_it() -> None:
    plain = await get("/static/app.js")
    small = await get("/static/app.js", **{"Accept-Encoding": "gzip, br"})
    refused = await get("/static/app.js", **{"Accept-Encoding": "gzip;q=0"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert len(await small.get_data()) < len(await plain.get_data()) / 2
    assert "Content-Encoding" not in refused.headers


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "../app.py", "%2e%2e/app.py"])
async def test_no_other_file_is_served(name: str) -> None:
    response = await get(f"/static/{name}")
    assert response.status_code == 404


# -- the chart library ------------------------------------------------------------------------


def test_library_is_declared_by_exact_version_and_locked() -> None:
    library = ChartLibrary.declared()
    lock = (files("smarttrade.web") / "frontend" / "package-lock.json").read_text("utf-8")
    assert re.fullmatch(r"5\.\d+\.\d+", library.version)
    assert f'"version": "{library.version}"' in lock
    assert "resolved" not in lock
    assert re.fullmatch(r"sha384-[A-Za-z0-9+/]{64}", library.integrity)


def library_of(content: bytes) -> ChartLibrary:
    digest = base64.b64encode(hashlib.sha384(content).digest()).decode()
    return ChartLibrary("5.0.0", "dist/chart.js", f"sha384-{digest}")


def test_bundled_file_is_taken_only_if_it_is_the_declared_one(tmp_path: Path) -> None:
    library = library_of(b"chart")
    file = tmp_path / library.bundled_name
    assert library.bundled(tmp_path) is None
    file.parent.mkdir()
    file.write_bytes(b"chart")
    assert library.bundled(tmp_path) == b"chart"
    file.write_bytes(b"another")
    assert library.bundled(tmp_path) is None


async def test_without_a_bundled_file_the_page_names_one_public_file_and_its_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ChartLibrary, "bundled", lambda *_: None)
    library = ChartLibrary.declared()
    response = await get("/")
    text = await response.get_data(as_text=True)
    assert f'data-library="{library.public_address}"' in text
    assert f'data-integrity="{library.integrity}"' in text
    assert policy_of(response)["script-src"] == ["'self'", library.public_address]
    assert f"@{library.version}/" in library.public_address


async def test_bundled_file_is_served_by_us_and_kept_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ChartLibrary, "bundled", lambda *_: b"chart")
    client = make_app().test_client()
    page = await client.get("/")
    name = ChartLibrary.declared().bundled_name
    assert f'data-library="static/{name}"' in await page.get_data(as_text=True)
    assert policy_of(page)["script-src"] == ["'self'"]
    response = await client.get(f"/static/{name}")
    assert await response.get_data() == b"chart"
    assert "immutable" in response.headers["Cache-Control"]
