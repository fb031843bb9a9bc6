"""The SQL of the package: one statement a file in `sql/`, loaded once, with the schema filled in."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import NamedTuple

from psycopg import sql

from outbox_notify.config.settings import declarations
from outbox_notify.errors import ConfigError
from outbox_notify.text import shortened

_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_PARAMETER = re.compile(r"%\((\w+)\)s")


class Prepared(NamedTuple):
    """A statement that PostgreSQL parses and plans once per connection.

    Args:
        prepare: makes it.
        execute: runs it, with the parameters by their names.
    """

    prepare: sql.SQL
    execute: sql.SQL


@cache
def query(name: str, schema: str) -> sql.Composed:
    """Return the statement of `sql/<name>.sql` for one schema.

    Args:
        name: file name without its ending.
        schema: an identifier by the rule for `OUTBOX_SCHEMA`; it replaces `{schema}`.

    Raises:
        ConfigError: the schema breaks the rule.
    """
    text = resources.files("outbox_notify").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    statement = _COMMENT.sub("", text).strip().rstrip(";")
    # The files are ours, not input: the only thing filled in is the quoted schema name.
    return sql.SQL(statement).format(schema=sql.Identifier(_checked(schema)))


@cache
def prepared(name: str, schema: str) -> Prepared:
    """Return the statement of `sql/<name>.sql` as PREPARE and EXECUTE; its parameters need casts.

    Args:
        name: file name without its ending.
        schema: an identifier by the rule for `OUTBOX_SCHEMA`.

    Raises:
        ConfigError: the schema breaks the rule.
    """
    text = query(name, schema).as_string(None)
    numbers = {found: number for number, found in enumerate(dict.fromkeys(_PARAMETER.findall(text)), 1)}
    numbered = _PARAMETER.sub(lambda found: f"${numbers[found[1]]}", text).replace("%%", "%")
    arguments = ", ".join(f"%({parameter})s" for parameter in numbers)
    called = f"outbox_notify_{name}"
    return Prepared(
        sql.SQL(f"PREPARE {called} AS {numbered}"),
        sql.SQL(f"EXECUTE {called}({arguments})" if numbers else f"EXECUTE {called}"),
    )


def _checked(schema: str) -> str:
    """Return the schema, which may be any caller's argument: PostgreSQL would cut a long name and find another."""
    try:
        return str(declarations()["schema"].kind.read(schema))
    except ValueError as error:
        raise ConfigError(f"schema {shortened(ascii(schema), 80)} {error}") from None
