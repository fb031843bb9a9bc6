"""Whether the live schema is what the migrations make of an empty one."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbox_notify.errors import NotPermitted
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.schema.catalog import Fact, Key, facts
from outbox_notify.schema.history import history, place
from outbox_notify.schema.migration import Migration, packaged, pending

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg


@dataclass(frozen=True)
class Difference:
    """One object that is not as the migrations make it.

    Args:
        problem: `is missing`, `is changed`, `is disabled` and the like.
        expected: its definition by the migrations; None when they do not make it.
        found: its definition in the database; None when it is not there.
    """

    key: Key
    problem: str
    expected: str | None = None
    found: str | None = None

    def __str__(self) -> str:
        text = f"{self.key} {self.problem}"
        if self.expected and self.found and self.expected != self.found:
            text += f": should be {_in_one_line(self.expected)}, is {_in_one_line(self.found)}"
        return text


@dataclass(frozen=True)
class Verdict:
    """What `verify` found.

    Args:
        pending: migrations that were not applied yet.
        differences: what keeps the outbox from being what it should be.
        extras: what somebody added to the tables of the outbox; it costs writers time, but may be meant.
    """

    pending: list[Migration]
    differences: list[Difference]
    extras: list[Difference]

    @property
    def good(self) -> bool:
        """Tell whether nothing is pending and nothing differs."""
        return not self.pending and not self.differences


def verify(conn: psycopg.Connection, schema: str, migrations: Sequence[Migration] | None = None) -> Verdict:
    """Compare the live schema with what its applied migrations make; nothing is changed.

    The expectation is built in a schema of its own, inside a transaction that is rolled back.

    Args:
        conn: in autocommit mode.
        schema: where the outbox is.
        migrations: other ones than those of the package.

    Raises:
        SchemaError: the history was edited or is newer than the package.
        NotPermitted: the role may not create a schema in this database.
    """
    known = migrations or packaged()
    rows = history(conn, schema)
    waiting = pending(known, rows)
    if not rows:
        return Verdict(waiting, [], [])
    _refuse_without_rights(conn, schema)
    applied = [migration for migration in known if migration.version in rows]
    with translated(), conn.transaction(force_rollback=True):
        conn.execute(query("migrate_begin", schema))
        _settle_in(conn, schema)
        found = facts(conn, schema)
        expected = _expectation(conn, applied)
    return Verdict(waiting, differences(expected, found), extras(expected, found))


def differences(expected: dict[Key, Fact], found: dict[Key, Fact]) -> list[Difference]:
    """Return what is missing or other than expected; of a missing table or domain only that it is missing."""
    there = {key.name for key in found if key.parent is None}
    return [
        difference
        for key, fact in expected.items()
        if key.parent is None or key.parent in there
        if (difference := _difference(fact, found.get(key)))
    ]


def extras(expected: dict[Key, Fact], found: dict[Key, Fact]) -> list[Difference]:
    """Return what was added to tables and domains that the migrations make."""
    ours = {key.name for key in expected if key.parent is None}
    return [
        Difference(key, "is not from a migration", found=fact.definition)
        for key, fact in found.items()
        if key not in expected and key.parent in ours
    ]


def _difference(expected: Fact, found: Fact | None) -> Difference | None:
    if found is None:
        return Difference(expected.key, "is missing", expected.definition)
    if found.state != expected.state:
        return Difference(expected.key, f"is {found.state}", expected.definition, found.definition)
    if found.definition != expected.definition:
        return Difference(expected.key, "is changed", expected.definition, found.definition)
    return None


def _expectation(conn: psycopg.Connection, migrations: Sequence[Migration]) -> dict[Key, Fact]:
    scratch = f"event_outbox_verify_{secrets.token_hex(4)}"
    conn.execute(query("migrate_create_schema", scratch))
    conn.execute(query("migrate_create_history", scratch))
    _settle_in(conn, scratch)
    for migration in migrations:
        # An index built at once is the same index, and the only way inside a transaction.
        conn.execute(re.sub(r"\bCONCURRENTLY\b", "", migration.text).encode())
    return facts(conn, scratch)


def _settle_in(conn: psycopg.Connection, schema: str) -> None:
    values = {"schema": schema, "lock_timeout": "5s", "local": True}
    conn.execute(query("migrate_settings", schema), values)


def _refuse_without_rights(conn: psycopg.Connection, schema: str) -> None:
    here = place(conn, schema)
    if not here.may_create_schema:
        raise NotPermitted(
            f"role {here.role} may not create a schema in {here.database}, where verify builds what it"
            " compares with, and rolls it back: run it as the role that migrates"
        )


def _in_one_line(definition: str) -> str:
    return " ".join(definition.split())
