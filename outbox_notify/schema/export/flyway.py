"""Versioned migrations of Flyway."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from outbox_notify.errors import OutboxError
from outbox_notify.schema.export.exporting import Exported
from outbox_notify.schema.script import forward

if TYPE_CHECKING:
    from pathlib import Path

    from outbox_notify.schema.migration import Migration

_FILE = re.compile(r"V(?P<version>[\d._]*\d)__.*\.sql")
_VERSION = re.compile(r"(?P<head>(?:\d+[._])*)(?P<last>\d+)")


class Flyway:
    """A location of Flyway in the file system; there is no undo, which not every edition of Flyway runs."""

    suffix: ClassVar = ".sql"

    def last(self, folder: Path) -> str | None:
        """Return the greatest version in the folder."""
        found = [match["version"] for path in folder.iterdir() if (match := _FILE.fullmatch(path.name))]
        return max(found, key=_order, default=None)

    def export(self, schema: str, migration: Migration, after: str | None) -> Exported:
        """Return a versioned migration."""
        version = _next(after or "0")
        title = migration.name.removesuffix(".sql")
        text = f"-- {title} of outbox-notify; leave it as it is\n\n{forward(schema, migration)}"
        return Exported(version, f"V{version}__outbox_{title}.sql", text)


def _order(version: str) -> list[int]:
    return [int(part) for part in re.split(r"[._]", version)]


def _next(version: str) -> str:
    """Return the version after: one more at its end, with as many digits as it has."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise OutboxError(f"{version} is no version of Flyway, such as 12 or 1.2")
    return f"{match['head']}{int(match['last']) + 1:0{len(match['last'])}}"
