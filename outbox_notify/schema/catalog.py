"""What the outbox consists of in a database, as facts that can be compared from schema to schema."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import class_row

from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

_KEYS = re.compile(r"ROW\('(?P<channel>[^']+)'::text, -?\d+, (?P<lock>-?\d+)\)")
# A negative number is written in one of these ways, depending on where it stands and on a dump in between.
_NEGATIVE = re.compile(r"'-(?P<quoted>\d+)'::integer|\(- ?(?P<bracketed>\d+)\)(?:::integer)?")

_NEW_ID = re.compile(r"(?:event_outbox_|pg_catalog\.|\b)uuidv7\(\)")


class Key(NamedTuple):
    """What a fact is about; `parent` is the table or domain it belongs to, None for what stands alone."""

    kind: str
    name: str
    parent: str | None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" of {self.parent}" if self.parent else "")


@dataclass(frozen=True)
class Fact:
    """One object of the catalog.

    Args:
        definition: as text, without the name of the schema.
        state: what is wrong with the object however it is defined, such as disabled; None when nothing is.
    """

    kind: str
    name: str
    parent: str | None
    definition: str
    state: str | None

    @property
    def key(self) -> Key:
        """What the fact is about."""
        return Key(self.kind, self.name, self.parent)


def facts(conn: psycopg.Connection, schema: str) -> dict[Key, Fact]:
    """Return the facts of one schema; search_path must be set to exactly that schema."""
    with conn.cursor(row_factory=class_row(Fact)) as cursor:
        found = cursor.execute(query("migrate_facts", schema), {"schema": schema}).fetchall()
    return {fact.key: fact for fact in comparable(found)}


def comparable(found: Iterable[Fact]) -> list[Fact]:
    """Return facts without what may differ between two schemas that are alike.

    That is the channel and the lock key, which are made of the schema's name, and the function that makes
    event ids: a database that was migrated before PostgreSQL 18 keeps its own when the server is upgraded.
    """
    facts = [replace(fact, definition=_NEGATIVE.sub(_negative, fact.definition)) for fact in found]
    keys = next((match for fact in facts if (match := _KEYS.search(fact.definition))), None)
    return [replace(fact, definition=_neutral(fact.definition, keys)) for fact in facts]


def _negative(match: re.Match[str]) -> str:
    return "-" + (match["quoted"] or match["bracketed"])


def _neutral(definition: str, keys: re.Match[str] | None) -> str:
    if keys:
        definition = definition.replace(f"'{keys['channel']}'", "<channel>")
        definition = re.sub(rf"(?<![\d-]){keys['lock']}(?!\d)", "<lock>", definition)
    return _NEW_ID.sub("<new id>", definition)
