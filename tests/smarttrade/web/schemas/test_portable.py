"""Schemas in the form that generators of clients understand."""

from __future__ import annotations

import pytest

from smarttrade.web.schemas.portable import portable


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"enum": ["ok"]}, {"type": "string", "const": "ok"}),
        (
            {"enum": ["a", "b"], "default": "a"},
            {"type": "string", "enum": ["a", "b"], "default": "a"},
        ),
        (
            {"anyOf": [{"type": "integer"}, {"type": "null"}], "minimum": 1, "default": None},
            {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None},
        ),
        (
            {"anyOf": [{"type": "integer"}, {"type": "number"}], "exclusiveMaximum": 9},
            {"anyOf": [{"type": "number", "exclusiveMaximum": 9}]},
        ),
        (
            {"anyOf": [{"type": "array"}, {"type": "null"}], "items": {"enum": ["x"]}},
            {
                "anyOf": [
                    {"type": "array", "items": {"type": "string", "const": "x"}},
                    {"type": "null"},
                ]
            },
        ),
    ],
)
def test_means_the_same_in_another_form(schema: object, expected: object) -> None:
    assert portable(schema) == expected


def test_properties_may_be_named_like_keywords() -> None:
    schema = {
        "type": "object",
        "properties": {"enum": {"enum": ["a"]}, "items": {"type": "null"}, "anyOf": {}},
    }
    assert portable(schema) == {
        "type": "object",
        "properties": {
            "enum": {"type": "string", "const": "a"},
            "items": {"type": "null"},
            "anyOf": {},
        },
    }


def test_other_values_stay() -> None:
    assert portable({"a": [1, {"b": None}], "c": ("d",)}) == {"a": [1, {"b": None}], "c": ("d",)}
