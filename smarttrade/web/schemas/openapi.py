"""`/openapi.json`: OpenAPI 3.1, of an application's routes and the types that are answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from werkzeug.routing import Map

from ... import __version__
from .. import response_schemas
from .names import schema_components
from .routes import (
    CANDLES,
    CHARTS,
    OPERATIONS,
    PAGES,
    Endpoint,
    Parameter,
    Route,
    documented_routes,
)

PROBLEM = "application/problem+json"

GROUPS = {
    CANDLES: "Candles of the configured series, from the windows that the WebSocket continues.",
    CHARTS: "The same candles for TradingView's charts; their datafeed URL is `/udf`.",
    OPERATIONS: "How the service does.",
    PAGES: "For people, and what they load.",
}

ANYWHERE = {
    401: "A token is needed where tokens are configured, and was not given or is not known.",
    429: "Too many requests from this address.",
    503: "It is not known now; `Retry-After` says when to try again.",
}
"""What any request may meet."""


def openapi_document(url_map: Map) -> dict[str, Any]:
    """The whole document of an application with these routes."""
    routes = documented_routes(url_map)
    types = list(_types(route.endpoint for route in routes))
    schemas, components = schema_components(types)
    made = dict(zip(map(repr, types), schemas, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SmartTrade",
            "version": __version__,
            "summary": "Complete, live candles from Binance.",
            "description": "Times of candles are UTC epoch seconds of their open. Live updates "
            "come over a WebSocket, which `/asyncapi.json` describes.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "."}],
        "security": [{}, {"bearer": []}],
        "tags": [{"name": name, "description": text} for name, text in GROUPS.items()],
        "paths": {
            route.path: {method: _operation(method, route, made) for method in route.methods}
            for route in routes
        },
        "components": {
            "schemas": components,
            "responses": {
                f"Problem{status}": _problem(text, made[repr(response_schemas.Problem)])
                for status, text in ANYWHERE.items()
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Only where tokens are configured.",
                }
            },
        },
    }


def _types(endpoints: Iterable[Endpoint]) -> Iterator[Any]:
    """Each once; a tuple stands for any of its members."""
    seen: dict[str, Any] = {repr(response_schemas.Problem): response_schemas.Problem}
    for endpoint in endpoints:
        for each in (*_members(endpoint.answer), *_members(endpoint.unavailable)):
            seen[repr(each)] = each
    yield from seen.values()


def _members(answer: Any) -> tuple[Any, ...]:
    if answer is None:
        return ()
    if answer == response_schemas.NotReady | response_schemas.Problem:
        return response_schemas.NotReady, response_schemas.Problem
    return answer if isinstance(answer, tuple) else (answer,)


def _operation(method: str, route: Route, made: Mapping[str, Any]) -> dict[str, Any]:
    endpoint = route.endpoint
    responses: dict[str, Any] = {"200": _answer(endpoint, made)}
    for status in endpoint.problems:
        responses[str(status)] = _problem(_WHEN[status], made[repr(response_schemas.Problem)])
    for status in ANYWHERE:
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    if endpoint.unavailable is not response_schemas.Problem:
        responses["503"] = _problem(ANYWHERE[503], _any_of(endpoint.unavailable, made))
    name = route.path.replace("{", "").replace("}", "").strip("/")
    return {
        "operationId": f"{method}_" + "".join(c if c.isalnum() else "_" for c in name or "chart"),
        "tags": [endpoint.group],
        "summary": endpoint.summary,
        "parameters": [_parameter(route.path, each) for each in endpoint.parameters],
        "responses": responses,
    }


_WHEN = {
    400: "A parameter is not what it must be; `detail` says what is allowed.",
    404: "There is none of this name; `detail` says what there is.",
}


def _answer(endpoint: Endpoint, made: Mapping[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    schema = text if endpoint.answer is None else _any_of(endpoint.answer, made)
    content = {endpoint.media: {"schema": schema}}
    content |= {media: {"schema": text} for media in endpoint.other_media}
    return {"description": HTTPStatus(200).phrase, "content": content}


def _any_of(answer: Any, made: Mapping[str, Any]) -> dict[str, Any]:
    members = _members(answer)
    found: list[dict[str, Any]] = [made[repr(each)] for each in members]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _problem(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {PROBLEM: {"schema": schema}}}


def _parameter(path: str, parameter: Parameter) -> dict[str, Any]:
    in_path = f"{{{parameter.name}}}" in path
    described = {
        "name": parameter.name,
        "in": "path" if in_path else "query",
        "required": parameter.is_required,
        "description": parameter.meaning,
        "schema": parameter.schema(),
    }
    return described | ({"example": parameter.example} if parameter.example else {})
