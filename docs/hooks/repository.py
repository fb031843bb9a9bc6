"""Brings along what pages link to outside docs/, so that every link works here as it does in the repository.

A Markdown file becomes a page below `repository/`; any other file, or a folder, a page that shows what is in it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, InclusionLevel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ROOM = "repository/"
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)([^)#\s]+)")
LANGUAGES = {".service": "ini", ".yml": "yaml", "": "make"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file outside docs/ that a page leads to, at once or by way of another."""
    documents = [Path(str(file.abs_src_path)) for file in files.documentation_pages()]
    taken: set[Path] = set()
    while documents:
        for path in _outside(documents.pop()):
            if path not in taken:
                taken.add(path)
                documents.append(path)
    for path in sorted(taken):
        files.append(_page(path, config))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links that leave docs/ lead to those pages, and theirs back into docs/."""
    here = page.file.src_uri
    source = _source(here)

    def lead(link: re.Match[str]) -> str:
        target = (source.parent / link[1]).resolve()
        known = target.exists() and target.is_relative_to(ROOT)
        return posixpath.relpath(_uri(target), posixpath.dirname(here)) if known else link[1]

    return LINK.sub(lead, markdown)


def _outside(document: Path) -> Iterator[Path]:
    """Yield the files and folders of the repository outside docs/ that a document links to."""
    if document.suffix != ".md":
        return
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        path = (document.parent / target).resolve()
        if path.exists() and path.is_relative_to(ROOT) and not path.is_relative_to(DOCS):
            yield path


def _uri(path: Path) -> str:
    """Return the name under which MkDocs knows a file of the repository."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    return f"{ROOM}{path.relative_to(ROOT).as_posix()}{'' if path.suffix == '.md' else '.md'}"


def _source(uri: str) -> Path:
    """Return the file of the repository behind such a name."""
    if not uri.startswith(ROOM):
        return DOCS / uri
    path = ROOT / uri.removeprefix(ROOM)
    return path if path.exists() else path.with_suffix("")


def _page(path: Path, config: MkDocsConfig) -> File:
    if path.suffix == ".md":
        text = path.read_text(encoding="utf-8")
    else:
        shown = sorted(filter(Path.is_file, path.iterdir())) if path.is_dir() else [path]
        text = "\n".join(_listing(file) for file in shown)
    return File.generated(config, _uri(path), content=text, inclusion=InclusionLevel.NOT_IN_NAV)


def _listing(file: Path) -> str:
    language = LANGUAGES.get(file.suffix, file.suffix.removeprefix("."))
    return f"# {file.relative_to(ROOT)}\n\n````{language}\n{file.read_text(encoding='utf-8')}````\n"
