"""The statements of the package as psycopg takes them."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from psycopg import sql

from outbox_notify.statements import numbered, statement


class Prepared(NamedTuple):
    """A statement that PostgreSQL parses and plans once per connection.

    Args:
        prepare: makes it.
        execute: runs it, with the parameters by their names.
    """

    prepare: sql.SQL
    execute: sql.SQL


@cache
def query(name: str, schema: str) -> sql.SQL:
    """Return the statement of `sql/<name>.sql` for one schema.

    Args:
        name: file name without its ending.
        schema: an identifier by the rule for `OUTBOX_SCHEMA`; it replaces `{schema}`.

    Raises:
        ConfigError: the schema breaks the rule.
    """
    return sql.SQL(statement(name, schema))


@cache
def prepared(name: str, schema: str) -> Prepared:
    """Return the statement of `sql/<name>.sql` as PREPARE and EXECUTE; its parameters need casts.

    Args:
        name: file name without its ending.
        schema: an identifier by the rule for `OUTBOX_SCHEMA`.

    Raises:
        ConfigError: the schema breaks the rule.
    """
    text, parameters = numbered(name, schema)
    arguments = ", ".join(f"%({parameter})s" for parameter in parameters)
    called = f"outbox_notify_{name}"
    return Prepared(
        sql.SQL(f"PREPARE {called} AS {text}"),
        sql.SQL(f"EXECUTE {called}({arguments})" if parameters else f"EXECUTE {called}"),
    )
