"""Revisions of Alembic."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from outbox_notify.schema.export.exporting import Exported
from outbox_notify.schema.export.modules import assigned, literal, only, parsed, strings
from outbox_notify.schema.script import backward, forward

if TYPE_CHECKING:
    from pathlib import Path

    from outbox_notify.schema.migration import Migration

# What SQLAlchemy's text() would take for a parameter.
_PARAMETER = re.compile(r"(?<![:\w\\]):(?=\w)")

_MODULE = '''\
"""{title} of outbox-notify; leave it as it is

Revision ID: {revision}
Revises: {after}
"""

from alembic import op

revision = "{revision}"
down_revision = {down_revision}
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)


# One statement a string: some drivers take no more at once.
UP = [
{up}
]

DOWN = [
{down}
]
'''


class Alembic:
    """The folder `versions` of an Alembic environment."""

    suffix: ClassVar = ".py"

    def last(self, folder: Path) -> str | None:
        """Return the only head of the revisions in the folder."""
        bodies = [parsed(path).body for path in sorted(folder.glob("*.py"))]
        revisions = {text for body in bodies for text in strings(assigned(body, "revision"))}
        followed = {text for body in bodies for text in strings(assigned(body, "down_revision"))}
        return only(revisions - followed, folder, "heads")

    def export(self, schema: str, migration: Migration, after: str | None) -> Exported:
        """Return a revision with an upgrade and a downgrade."""
        revision = f"outbox_{migration.version:04}{_of(schema)}"
        title = migration.name.removesuffix(".sql")
        text = _MODULE.format(
            title=title,
            revision=revision,
            after=after or "",
            down_revision=f'"{after}"' if after else None,
            up=_listed(migration, forward(schema, migration)),
            down=_listed(migration, backward(schema, migration)),
        )
        return Exported(revision, f"{revision}_{title.partition('_')[2]}.py", text)


def _of(schema: str) -> str:
    """Tell outboxes of other schemas apart: Alembic has room for 32 characters."""
    return "" if schema == "public" else f"_{hashlib.sha256(schema.encode()).hexdigest()[:8]}"


def _listed(migration: Migration, script: str) -> str:
    statements = replace(migration, text=script).statements()
    return "\n".join(f"    {literal(_unbound(statement))}," for statement in statements)


def _unbound(statement: str) -> str:
    return _PARAMETER.sub(r"\:", statement)
