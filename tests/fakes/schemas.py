"""Checks of messages and answers against the published schemas."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import jsonschema_rs

from .application import rest_document, websocket_document

DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


@cache
def _message_validator(name: str) -> Any:
    components = websocket_document()["components"]
    reference = {"$ref": f"#/components/schemas/{name}"}
    return jsonschema_rs.validator_for({**DIALECT, **reference, "components": components})


@cache
def _names_by_type() -> dict[str, str]:
    messages = websocket_document()["components"]["messages"]
    return {message["name"]: title for title, message in messages.items()}


def checked(text: str | bytes) -> str | bytes:
    """Return a message of the server after validating it; without a type it is the legacy form.

    Raises:
        jsonschema_rs.ValidationError: it does not match `/asyncapi.json`.
    """
    message = json.loads(text)
    name = _names_by_type()[message["type"]] if "type" in message else "LegacyCandle"
    _message_validator(name).validate(message)
    return text


def check_request(request: Any) -> None:
    """Validate a request of a client.

    Raises:
        jsonschema_rs.ValidationError: it does not match `/asyncapi.json`.
    """
    _message_validator("Request").validate(request)


@cache
def _answer_validator(path: str, status: int, media: str) -> Any:
    document = rest_document()
    answer = document["paths"][path]["get"]["responses"][str(status)]
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    schema = answer["content"][media]["schema"]
    whole = {**DIALECT, **schema, "components": document["components"]}
    return jsonschema_rs.validator_for(whole)


def check_answer(path: str, status: int, media: str, document: Any) -> None:
    """Validate an answer to a request for `path`, a path as written in the schema.

    Raises:
        KeyError: the schema has no such answer.
        jsonschema_rs.ValidationError: the answer does not match it.
    """
    _answer_validator(path, status, media).validate(document)


def check_references(document: Any) -> None:
    """Check that every `$ref` of a schema has a target in it.

    Raises:
        KeyError: a target is missing.
    """
    for reference in re.findall(r'"\$ref": ?"#/(.*?)"', json.dumps(document)):
        found = document
        for part in reference.split("/"):
            found = found[part]
        assert found
