"""Schemas as generators of clients understand them.

They mean the same as before: a value that is the only one is a `const`, what is enumerated has a
type, and a bound stands beside the type that it is a bound of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OF_ARRAYS = ("items", "minItems", "maxItems")
_OF_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_OF_TYPE = {"array": _OF_ARRAYS, "integer": _OF_NUMBERS, "number": _OF_NUMBERS}


def portable(value: Any) -> Any:
    """A schema, or a document with some, in that form."""
    if isinstance(value, list | tuple):
        return type(value)(portable(each) for each in value)
    if not isinstance(value, dict):
        return value
    schema = _schema({key: each for key, each in value.items() if key != "properties"})
    if "properties" in value:  # whose names are not keywords, whatever they are
        schema["properties"] = {name: portable(each) for name, each in value["properties"].items()}
    return schema


def _schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: portable(each) for key, each in schema.items()}
    match found:
        case {"enum": [only]}:
            del found["enum"]
            return {"type": "string"} | found | {"const": only}
        case {"enum": [*_]}:
            return {"type": "string"} | found
        case {"anyOf": [*branches]}:
            return _with_bounds_inside(found, branches)
        case _:
            return found


def _with_bounds_inside(schema: dict[str, Any], branches: list[Any]) -> dict[str, Any]:
    types = [branch.get("type") for branch in branches]
    if "number" in types:  # an integer is one
        branches = [branch for branch in branches if branch.get("type") != "integer"]
    inside = [
        branch | {key: schema[key] for key in _OF_TYPE.get(branch.get("type"), ()) if key in schema}
        for branch in branches
    ]
    outside = {key: schema[key] for key in schema if key not in (*_OF_ARRAYS, *_OF_NUMBERS)}
    return outside | {"anyOf": inside}
