"""`/docs` and what it shows."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

import pytest

from tests.smarttrade.web.backend import backend

PAGE = (files("smarttrade.web") / "static" / "docs.html").read_text("utf-8")


@pytest.mark.parametrize("has_clients", [True, False])
async def test_page_loads_nothing_from_elsewhere(has_clients: bool) -> None:
    async with backend(has_clients=has_clients) as server:
        answer = await server.get("/docs")
    policy = answer.headers["Content-Security-Policy"]
    assert answer.status_code == 200
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert not re.search(r"unsafe|\*|https?:", policy)
    for kind, content in re.findall(r"<(script|style)>(.*?)</\1>", answer.text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_page_is_safe_whatever_the_schema_says() -> None:
    assert "innerHTML" not in PAGE
    assert not re.search(r"\son\w+=\"|\sstyle=|javascript:", PAGE)
    assert all(not each.startswith(("/", "http")) for each in re.findall(r'href="(.*?)"', PAGE))


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json"])
async def test_documents_are_json_and_the_same_each_time(path: str) -> None:
    async with backend() as server:
        answers = [await server.get(path) for _ in range(2)]
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answers[0].content == answers[1].content
