"""Names and links in the documentation have a target, and every setting is in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from smarttrade.settings import Settings

from .blocks import DOCUMENTS, OTHERS, ROOT

OPERATIONS = ROOT / "docs" / "operations.md"
VARIABLE = re.compile(r"\b(?:SMARTTRADE_[A-Z_]*[A-Z]|REDIS_URL|USE_MEMORY_STORE|BINANCE_\w+_URL)\b")
RELATIVE_TO = (ROOT, ROOT / "smarttrade", ROOT / "docs", ROOT / "docs" / "deploy", ROOT / "tests")


def each_of(documents: Sequence[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "document", documents, ids=lambda path: str(path.relative_to(ROOT))
    )


def variables() -> set[str]:
    return {str(field.validation_alias) for field in Settings.model_fields.values()}


def headings(document: Path) -> set[str]:
    """Anchors of the headings: lower case, no punctuation, dashes for spaces."""
    found = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


@each_of([*DOCUMENTS, *OTHERS])
def test_links_have_a_target(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (heading and heading not in headings(file)):
            broken.append(target)
    assert broken == []


@each_of(DOCUMENTS)
def test_named_variables_exist(document: Path) -> None:
    named = set(VARIABLE.findall(document.read_text("utf-8")))
    assert named - variables() == set()


def test_every_variable_is_in_a_table_of_operations_md() -> None:
    rows = [line for line in OPERATIONS.read_text("utf-8").splitlines() if line.startswith("|")]
    missing = [name for name in variables() if not any(_names(row, name) for row in rows)]
    assert sorted(missing) == []


def _names(row: str, variable: str) -> bool:
    """In full, or without `SMARTTRADE_` in tables that state the prefix."""
    return f"`{variable}`" in row or f"`{variable.removeprefix('SMARTTRADE_')}`" in row


@each_of(DOCUMENTS)
def test_named_modules_exist(document: Path) -> None:
    named = set(re.findall(r"python3? -m (tests[\w.]*)", document.read_text("utf-8")))
    assert [name for name in named if find_spec(name) is None] == []


@each_of(DOCUMENTS)
def test_named_files_exist(document: Path) -> None:
    named = set(re.findall(r"`(\w[\w./-]*/[\w.-]+\.(?:py|js|lua))`", document.read_text("utf-8")))
    missing = [name for name in named if not any((base / name).exists() for base in RELATIVE_TO)]
    assert sorted(missing) == []
