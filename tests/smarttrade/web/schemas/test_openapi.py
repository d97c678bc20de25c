"""`/openapi.json` against the application: its routes, its answers, and what schemathesis makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import schemathesis
import schemathesis.openapi
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core import NotSet
from trio.testing import MockClock

from smarttrade.market.interval import Interval
from smarttrade.store.feed import Feed
from smarttrade.web.schemas.routes import ENDPOINTS, documented_routes
from tests.fakes.application import rest_document, url_map
from tests.fakes.candles import BTC, ETH, at, candle, rows
from tests.fakes.schemas import check_answer, check_references
from tests.smarttrade.web.backend import Backend, backend

MINUTES = [Interval.MINUTE_1]


OPERATORS = {
    *("/health", "/ready", "/metrics", "/system", "/streaming/status"),
    *("/docs", "/openapi.json"),
}


@pytest.mark.parametrize("has_clients", [True, False])
async def test_document_has_the_routes_that_are_answered(has_clients: bool) -> None:
    async with backend(has_clients=has_clients) as server:
        document = (await server.get("/openapi.json")).json()
    paths = document["paths"]
    assert paths["/ready"]["get"]["operationId"] == "get_ready"
    assert all(list(methods) == ["get"] for methods in paths.values())
    if has_clients:
        assert "/candles/{symbol}/{interval}" in paths
        assert "/static/{name}" in paths
        assert paths.keys() > OPERATORS
    else:
        assert paths.keys() == OPERATORS


def test_every_endpoint_that_is_described_is_there() -> None:
    rules = [rule for rule in url_map().iter_rules() if not rule.websocket]
    assert sorted(rule.endpoint for rule in rules) == sorted(ENDPOINTS)


def test_operations_have_names_of_their_own() -> None:
    document = rest_document()
    names = [path["get"]["operationId"] for path in document["paths"].values()]
    assert len(set(names)) == len(names) == len(ENDPOINTS)
    groups = {tag["name"] for tag in document["tags"]}
    assert {path["get"]["tags"][0] for path in document["paths"].values()} == groups


def test_every_reference_leads_somewhere() -> None:
    check_references(rest_document())


# Answers


async def filled(server: Backend) -> None:
    """Every series has history, and one of them a gap."""
    await server.feed(Feed.LIVE)
    await server.history(BTC, [one for one in rows(0, 9) if one.open_time != at(4)])
    await server.history(ETH, rows(0, 9))
    await server.live(ETH, candle(9, closed=False))


PATHS = {
    "/candles/{symbol}/{interval}": [
        "/candles/BTCUSDT/1m",
        "/candles/ethusdt/1m?limit=3",
        "/candles/BTCUSDT/1m?before=0",
        "/candles/NOPE/1m",
        "/candles/BTCUSDT/7m",
        "/candles/BTCUSDT/1m?limit=0",
    ],
    "/symbols": ["/symbols"],
    "/intervals": ["/intervals"],
    "/streaming/status": ["/streaming/status"],
    "/health": ["/health"],
    "/ready": ["/ready"],
    "/system": ["/system"],
    "/udf/config": ["/udf/config"],
    "/udf/symbols": ["/udf/symbols?symbol=BTCUSDT", "/udf/symbols?symbol=X", "/udf/symbols"],
    "/udf/search": ["/udf/search?query=b", "/udf/search", "/udf/search?limit=x"],
    "/udf/history": [
        "/udf/history?symbol=BTCUSDT&resolution=1&from=0&to=2000000000",
        "/udf/history?symbol=BTCUSDT&resolution=1&from=0&to=1",
        "/udf/history?symbol=BTCUSDT&resolution=1&from=1999999999&to=2000000000",
        "/udf/history",
    ],
    "/openapi.json": ["/openapi.json"],
    "/asyncapi.json": ["/asyncapi.json"],
}


def check(path: str, answer: httpx.Response) -> None:
    media = answer.headers["Content-Type"]
    check_answer(path, answer.status_code, media, answer.json())


@pytest.mark.parametrize("path", PATHS)
async def test_answers_are_what_the_schema_says(path: str, autojump_clock: MockClock) -> None:
    async with backend(intervals=MINUTES) as server:
        for state in ("empty", "filled"):
            if state == "filled":
                await filled(server)
            for request in PATHS[path]:
                check(path, await server.get(request))


@pytest.mark.parametrize("path", ["/candles/{symbol}/{interval}", "/ready", "/udf/config"])
async def test_store_that_does_not_answer_is_in_the_schema(
    path: str, autojump_clock: MockClock
) -> None:
    async with backend(is_store_running=False) as server:
        answer = await server.get(PATHS[path][0])
    assert answer.status_code == 503
    check(path, answer)


def test_all_paths_that_answer_json_are_tested() -> None:
    routes = documented_routes(url_map())
    answering = {route.path for route in routes if route.endpoint.answer is not None}
    assert answering == set(PATHS)


# Generated requests

Case = schemathesis.Case[Any]


def _operation(found: Any) -> Any:
    return found.ok()


SCHEMA = schemathesis.openapi.from_dict(rest_document())
OPERATIONS = {found.path: found for found in map(_operation, SCHEMA.get_all_operations())}


def request_of(case: Case) -> tuple[str, Mapping[str, Any], Mapping[str, str]]:
    """The path, the query and the headers that schemathesis made up."""
    path = case.formatted_path
    query = {} if isinstance(case.query, NotSet) else dict(case.query or {})
    headers = {} if isinstance(case.headers, NotSet) else dict(case.headers or {})
    return path, query, headers


async def answered(cases: list[Case]) -> None:
    """One world for many requests: making it takes longer than they do."""
    async with backend(intervals=MINUTES) as server:
        await filled(server)
        for case in cases:
            path, query, headers = request_of(case)
            answer = await server.http.request(case.method, path, params=query, headers=headers)
            assert answer.status_code != 500
            case.validate_response(answer, excluded_checks=EXCLUDED)


EXCLUDED: list[Any] = [
    # /ready says 503 when it has to, and tokens are optional.
    schemathesis.checks.not_a_server_error,
]


@pytest.mark.parametrize("path", OPERATIONS)
def test_generated_requests_get_answers_of_the_schema(path: str) -> None:
    strategy = OPERATIONS[path].as_strategy()

    @settings(
        max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(strategy, min_size=1, max_size=6))
    def ask(cases: list[Case]) -> None:
        trio.run(answered, cases)

    ask()
