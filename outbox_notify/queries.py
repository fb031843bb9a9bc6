"""The SQL of the package: one statement a file in `sql/`, loaded once, with the schema filled in."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from psycopg import sql

_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


@cache
def query(name: str, schema: str) -> sql.Composed:
    """Return the statement of `sql/<name>.sql` for one schema.

    Args:
        name: file name without its ending.
        schema: an identifier that has passed the rule for `OUTBOX_SCHEMA`; it replaces `{schema}`.
    """
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    statement = _COMMENT.sub("", text).strip().rstrip(";")
    # The files are ours, not input: the only thing filled in is the quoted schema name.
    return sql.SQL(statement).format(schema=sql.Identifier(schema))
