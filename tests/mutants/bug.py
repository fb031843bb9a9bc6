"""A planted bug, as a value: what to replace by what, and which tests have to notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


class CodeMovedOn(Exception):
    """What a bug replaces is not there any more, or more than once: the bug has to follow the code."""


@dataclass(frozen=True)
class Edit:
    """One replacement.

    Args:
        file: within the checkout.
        old: text that occurs in it exactly once.
        new: what stands there instead.
        everywhere: replace it wherever it occurs.
    """

    file: str
    old: str
    new: str
    everywhere: bool = False

    def of(self, text: str) -> str:
        """Return a text after the replacement.

        Raises:
            CodeMovedOn: the text does not hold what is to be replaced, or more than once.
        """
        found = text.count(self.old)
        if found == 0 or (found > 1 and not self.everywhere):
            raise CodeMovedOn(f"{self.file} holds {found} times, instead of once:\n{self.old}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Bug:
    """A bug that the tests have to catch.

    Args:
        name: of the bug; says what goes wrong.
        edits: that make it.
        file: of the test that has to notice.
        test: its name; without one, any of the file.
    """

    name: str
    edits: tuple[Edit, ...]
    file: str
    test: str | None = None

    @property
    def caught_by(self) -> str:
        """What pytest calls the test."""
        return f"{self.file}::{self.test}" if self.test else self.file

    def changed(self, root: Path) -> dict[str, str]:
        """Return the text of each file with the bug in it.

        Raises:
            CodeMovedOn: an edit does not fit.
        """
        texts: dict[str, str] = {}
        for edit in self.edits:
            before = texts.get(edit.file) or (root / edit.file).read_text(encoding="utf-8")
            texts[edit.file] = edit.of(before)
        return texts

    def plant(self, root: Path) -> None:
        """Put the bug into a checkout.

        Raises:
            CodeMovedOn: an edit does not fit; nothing was changed.
        """
        for file, text in self.changed(root).items():
            (root / file).write_text(text, encoding="utf-8")
