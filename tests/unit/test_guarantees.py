"""The page of guarantees, and the recipes for contributors, name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
PAGE = (DOCS / "explanation" / "guarantees.md").read_text(encoding="utf-8")
PROMISES = re.findall(r"^## .*\n(?:(?!^## ).*\n)*", PAGE, re.MULTILINE)


def test_every_test_that_is_named_exists() -> None:
    written = {
        name
        for file in TESTS.rglob("test_*.py")
        for name in re.findall(
            r"^(?:async )?def (test_\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    recipes = (TESTS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert sorted(set(re.findall(r"`(test_\w+)`", PAGE + recipes)) - written) == []


def test_every_promise_of_the_readme_has_its_limits_and_its_tests() -> None:
    readme = (TESTS.parent / "README.md").read_text(encoding="utf-8")
    assert len(PROMISES) == len(re.findall(r"^- .*\.$", readme.partition("\n## ")[0], re.MULTILINE))
    for promise in PROMISES:
        assert "| what breaks it |" in promise
        assert "Shown by `test_" in promise


def test_every_page_that_it_points_to_exists() -> None:
    pages = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert pages
    assert [page for page in pages if not (DOCS / "explanation" / page).exists()] == []
