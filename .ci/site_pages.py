"""MkDocs hook: pages of the site that lie outside docs/, and links to them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "actors/README.md": "actors-readme.md",
}
"""Path in the repository, and in the site."""

_LINK = re.compile(r"(\]\()(?!\w+:)([^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    root = Path(config.docs_dir).parent
    for source, page in PAGES.items():
        text = (root / source).read_text("utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Rewrite relative links so that they lead to where their target is in the site."""
    here = page.file.src_uri
    source = {site: source for source, site in PAGES.items()}.get(here, join("docs", here))

    def rewrite(match: re.Match[str]) -> str:
        target = normpath(join(dirname(source), match[2]))
        in_site = PAGES.get(target, os.path.relpath(target, "docs"))
        return match[1] + relpath(in_site, dirname(here) or ".")

    return _LINK.sub(rewrite, markdown)
