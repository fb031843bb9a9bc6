"""The documents among themselves: links lead somewhere, and what looks like a setting is one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from outbox_notify.config.settings import declarations

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
CODE = re.compile(r"```.*?```", re.DOTALL)
# A relative target, and a heading in it.
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
# Kubernetes invents it; a guide warns of it.
NO_SETTINGS = {"OUTBOX_SERVICE_HOST"}


def anchors(document: Path) -> set[str]:
    """Return the headings of a document as links name them."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def listed(navigation: object) -> Iterator[str]:
    """Yield the pages that a part of the navigation names."""
    if isinstance(navigation, str):
        yield navigation
    elif isinstance(navigation, dict | list):
        for part in navigation.values() if isinstance(navigation, dict) else navigation:
            yield from listed(part)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    text = CODE.sub("", document.read_text(encoding="utf-8"))
    for target, anchor in LINK.findall(text):
        reached = (document.parent / target).resolve() if target else document
        assert reached.exists(), target
        assert not anchor or anchor in anchors(reached), f"{target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_variables_are_those_of_settings(document: Path) -> None:
    known = {item.variable for item in declarations().values()}
    known |= {f"{item.variable}_FILE" for item in declarations().values() if item.secret}
    named = set(re.findall(r"\bOUTBOX_[A-Z][A-Z_]*[A-Z]\b(?!\*|_\*)", document.read_text(encoding="utf-8")))
    assert named - known - NO_SETTINGS == set()


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = {
        path.relative_to(ROOT / "docs").as_posix() for path in DOCUMENTS if ROOT / "docs" in path.parents
    }
    assert pages ^ {page for page in listed(navigation) if not page.startswith("repository/")} == set()


def test_every_guide_is_in_the_list() -> None:
    guides_listed = {
        target for target, _ in LINK.findall((ROOT / "docs" / "README.md").read_text(encoding="utf-8"))
    }
    guides = {
        str(path.relative_to(ROOT / "docs"))
        for path in DOCUMENTS
        if path.parent.name in {"how-to", "reference"}
    }
    assert guides - guides_listed == set()
