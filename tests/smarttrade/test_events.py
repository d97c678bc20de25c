"""Names of events are for programs: written in one way, and listed for operators."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import actors
import smarttrade

ROOT = Path(smarttrade.__file__).parent
OPERATIONS = ROOT.parent / "docs" / "operations.md"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def events() -> Iterator[tuple[str, str]]:
    """Every event that is logged, and where."""
    for file in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _is_logging(node.func) and node.args:
                argument = node.args[0]
                where = f"{file.relative_to(ROOT)}:{node.lineno}"
                assert isinstance(argument, ast.Constant), f"{where}: no fixed name"
                yield str(argument.value), where
    for file in sorted(Path(actors.__file__).parent.rglob("*.py")):
        text = file.read_text("utf-8")
        for found in re.finditer(r'"(actor_\w+)"', text):
            yield found[1], file.name


def _is_logging(function: ast.expr) -> bool:
    match function:
        case ast.Attribute(value=ast.Name(id="log" | "logger"), attr=level):
            return level in LEVELS
        case _:
            return False


def test_events_have_names_and_not_sentences() -> None:
    found = list(events())
    assert len(found) > 40
    wrong = [f"{where}: {name!r}" for name, where in found if not re.fullmatch(r"[a-z_]+", name)]
    assert wrong == []


def test_every_event_is_in_the_documentation() -> None:
    text = OPERATIONS.read_text("utf-8")
    unknown = [f"{where}: {name}" for name, where in events() if f"`{name}`" not in text]
    assert unknown == []
