"""The pages of docs/how-to, and the examples on them."""

from __future__ import annotations

import re
from pathlib import Path

_FOLDER = Path(__file__).parents[2] / "docs" / "how-to"
_BLOCK = re.compile(r'^```(\w+)(?: title="([\w./]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)


def guide(name: str) -> str:
    """Return the text of `<name>.md`."""
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8")


def examples(name: str, language: str) -> list[str]:
    """Return the blocks of a guide that are in a language and have no title."""
    return [text for kind, title, text in _BLOCK.findall(guide(name)) if kind == language and not title]


def titled_examples(name: str) -> dict[str, str]:
    """Return the blocks of a guide that have a title, by it."""
    return {title: text for _, title, text in _BLOCK.findall(guide(name)) if title}
