"""The fenced code blocks of the documentation, as a reader copies them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHERS = [ROOT / "CHANGELOG.md", ROOT / "actors" / "README.md", ROOT / ".github" / "SECURITY.md"]
"""Without examples that are run here."""

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"\A(?:#|//|<!--) ([\w-]+\.\w+)(?: -->)?\n")


@dataclass(frozen=True)
class Block:
    document: str
    language: str
    text: str

    @property
    def name(self) -> str | None:
        """Name of the file to save it as, from its first line."""
        found = _NAME.match(self.text)
        return found and found[1]


def blocks() -> Iterator[Block]:
    for document in DOCUMENTS:
        name = str(document.relative_to(ROOT))
        for found in _FENCED.finditer(document.read_text("utf-8")):
            yield Block(name, found[1], found[2])


def example(name: str) -> Block:
    (found,) = [block for block in blocks() if block.name == name]
    return found


def commands(program: str) -> Iterator[tuple[str, str]]:
    """Every shell line that starts with `program`, and its document."""
    for block in blocks():
        if block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.startswith(f"{program} "):
                    yield line, block.document
