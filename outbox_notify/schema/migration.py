"""What a migration is, and the rules of a history of them. No database here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from outbox_notify.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from importlib.resources.abc import Traversable

_FILE_NAME = re.compile(r"(?P<version>\d{4})_\w+\.sql")
_NO_TRANSACTION = re.compile(r"^-- outbox-notify: no-transaction$")

# What may hold a semicolon that ends no statement: comments, strings, quoted names, dollar-quoted bodies.
_STATEMENT = re.compile(
    r"""(?: --[^\n]*
          | /\*.*?\*/
          | '(?:[^']|'')*'
          | "(?:[^"]|"")*"
          | (?P<tag>\$\w*\$).*?(?P=tag)
          | [^;]
        )+""",
    re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Migration:
    """One numbered file: what it is called and what it does."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text in hexadecimal; line ends count as LF, whatever a checkout made of them."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        """Tell whether the file runs as a whole or not at all; its first line can say otherwise."""
        return not _NO_TRANSACTION.match(self.text.partition("\n")[0].rstrip())

    def statements(self) -> Iterator[str]:
        """Split the text into its statements, for files that cannot run as one."""
        for match in _STATEMENT.finditer(self.text):
            if _COMMENT.sub("", match[0]).strip():
                yield match[0].strip()


@dataclass(frozen=True)
class Applied:
    """One row of the history table.

    Args:
        duration: seconds it took; None where another tool applied it.
    """

    version: int
    name: str
    checksum: str
    applied_at: datetime
    applied_by: str
    duration: float | None


@cache
def packaged() -> tuple[Migration, ...]:
    """Return the migrations of this package, oldest first."""
    return ordered(Migration(_version(file.name), file.name, file.read_text("utf-8")) for file in _files())


def ordered(migrations: Iterable[Migration]) -> tuple[Migration, ...]:
    """Return migrations oldest first.

    Raises:
        SchemaError: the numbers are not 1, 2, 3 and so on.
    """
    found = tuple(sorted(migrations, key=lambda migration: migration.version))
    if not found or [migration.version for migration in found] != list(range(1, len(found) + 1)):
        names = ", ".join(migration.name for migration in found) or "nothing"
        raise SchemaError(f"the migrations of this package must be numbered 1, 2, 3 ...; found {names}")
    return found


def undo(migration: Migration) -> str:
    """Return the SQL that takes a migration of this package back, to be run with the same search_path."""
    return (_folder() / "undo" / migration.name).read_text("utf-8")


def pending(migrations: Sequence[Migration], history: Mapping[int, Applied]) -> list[Migration]:
    """Return what is still to be applied, oldest first.

    Args:
        migrations: what the package knows.
        history: what the database says was applied, by version.

    Raises:
        SchemaError: an applied file was edited, one was left out, or the database is newer than the package.
    """
    _refuse_newer(migrations, history)
    _refuse_edited(migrations, history)
    waiting = [migration for migration in migrations if migration.version not in history]
    if waiting and waiting[0].version < max(history, default=0):
        raise SchemaError(
            f"{waiting[0].name} was never applied, but version {max(history)} was:"
            " the history table event_outbox_migration lost a row, or another tool left a file out"
        )
    return waiting


def _refuse_newer(migrations: Sequence[Migration], history: Mapping[int, Applied]) -> None:
    latest = migrations[-1].version
    newest = max(history, default=0)
    if newest > latest:
        raise SchemaError(
            f"the database is at version {newest} ({history[newest].name}), this package knows versions"
            f" up to {latest}: upgrade the package"
        )


def _refuse_edited(migrations: Sequence[Migration], history: Mapping[int, Applied]) -> None:
    for migration in migrations:
        applied = history.get(migration.version)
        if applied and applied.checksum != migration.checksum:
            raise SchemaError(
                f"{migration.name} was edited after it was applied: the history has checksum"
                f" {applied.checksum}, the package has {migration.checksum}:"
                " restore the file, and put the change into a new one"
            )


def _files() -> list[Traversable]:
    return [file for file in _folder().iterdir() if _FILE_NAME.fullmatch(file.name)]


def _folder() -> Traversable:
    """Find the files: inside the installed package, or beside it in a checkout."""
    package = resources.files("outbox_notify")
    for folder in (package.joinpath("migrations"), Path(str(package)).parent / "migrations"):
        if folder.is_dir():
            return folder
    raise SchemaError("this installation of outbox-notify lacks its migrations: install it again")


def _version(file_name: str) -> int:
    return int(file_name[:4])
