"""Writing what a folder of migrations does not have yet, at the end of what it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from outbox_notify.errors import OutboxError
from outbox_notify.schema.migration import Migration, packaged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Exported(NamedTuple):
    """One file to write.

    Args:
        name: what the tool calls the migration, and the next one comes after.
        file: name of the file.
        text: all of it.
    """

    name: str
    file: str
    text: str


class Tool(Protocol):
    """What differs between migration tools.

    Args:
        suffix: how the names of its files end.
    """

    suffix: ClassVar[str]

    def last(self, folder: Path) -> str | None:
        """Return the name of the migration that nothing comes after; None where there is none.

        Raises:
            OutboxError: there is no telling.
        """

    def export(self, schema: str, migration: Migration, after: str | None) -> Exported:
        """Return one migration as a file of the tool."""


def export(
    tool: Tool,
    folder: Path,
    schema: str,
    *,
    after: str | None = None,
    migrations: Sequence[Migration] | None = None,
) -> list[Path]:
    """Write what the folder lacks and return the new files, oldest first; no file is ever changed.

    Args:
        tool: whose files they are to be.
        folder: where the tool keeps its files.
        schema: where the outbox is, or goes.
        after: name of the migration that the first new one comes after; by default the last of the folder.
        migrations: other ones than those of the package.

    Raises:
        OutboxError: there is no telling what the first one comes after, or a file is in the way or was lost.
    """
    written: list[Path] = []
    for migration in _waiting(tool, folder, schema, migrations or packaged()):
        exported = tool.export(schema, migration, after or tool.last(folder))
        written.append(_write(folder / exported.file, exported.text))
        after = exported.name
    return written


def _waiting(tool: Tool, folder: Path, schema: str, migrations: Sequence[Migration]) -> list[Migration]:
    texts = [file.read_text("utf-8", "replace") for file in folder.glob(f"*{tool.suffix}")]
    there = {one.version for one in migrations if any(_records(text, schema, one) for text in texts)}
    waiting = [migration for migration in migrations if migration.version not in there]
    if waiting and waiting[0].version < max(there, default=0):
        raise OutboxError(f"{folder} has lost {waiting[0].name}, but has a later one: restore that file")
    return waiting


def _records(text: str, schema: str, migration: Migration) -> bool:
    """Tell whether a file notes this migration as applied, whatever it is called and was merged with by then."""
    return migration.checksum in text and f'"{schema}".event_outbox_migration' in text


def _write(path: Path, text: str) -> Path:
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise OutboxError(f"{path} is there already, and is not of this outbox: move it away") from None
    except OSError as error:
        raise OutboxError(f"{path} cannot be written: {error.strerror}") from error
    return path
