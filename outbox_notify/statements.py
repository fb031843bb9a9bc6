"""The SQL of the package: one statement a file in `sql/`, with the schema filled in, as the drivers want it.

The files mark parameters as psycopg does. What other drivers want is made from the same text.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import NamedTuple

from outbox_notify.config.settings import declarations
from outbox_notify.errors import ConfigError
from outbox_notify.text import shortened

_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
# On a line of its own: here stands the text of another file, which others have in common with this one.
_SHARED = re.compile(r"^ *\{(\w+)\}(?=,?$)", re.MULTILINE)
# The letter says in which format psycopg sends the value; other drivers know by themselves.
_PARAMETER = re.compile(r"%\((\w+)\)[sb]")


class Numbered(NamedTuple):
    """A statement with `$1`, `$2` as PostgreSQL itself has them.

    Args:
        text: the statement.
        names: the parameters in the order of their numbers.
    """

    text: str
    names: tuple[str, ...]


@cache
def statement(name: str, schema: str) -> str:
    """Return the statement of `sql/<name>.sql` for one schema, with parameters as `%(name)s`.

    Args:
        name: file name without its ending.
        schema: an identifier by the rule for `OUTBOX_SCHEMA`; it replaces `{schema}`.

    Raises:
        ConfigError: the schema breaks the rule.
    """
    return _text(name).format(schema=f'"{_checked(schema)}"')


@cache
def numbered(name: str, schema: str) -> Numbered:
    """Return the same statement with parameters as `$1`."""
    text = statement(name, schema)
    numbers = {found: number for number, found in enumerate(dict.fromkeys(_PARAMETER.findall(text)), 1)}
    marked = _PARAMETER.sub(lambda found: f"${numbers[found[1]]}", text).replace("%%", "%")
    return Numbered(marked, tuple(numbers))


@cache
def with_plain_marks(name: str, schema: str) -> str:
    """Return the same statement without a word about formats, for drivers that know only `%(name)s`."""
    return _PARAMETER.sub(r"%(\1)s", statement(name, schema))


@cache
def with_colons(name: str, schema: str) -> str:
    """Return the same statement with parameters as `:name`; in brackets, or a cast behind would hide them."""
    return _PARAMETER.sub(r"(:\1)", statement(name, schema)).replace("%%", "%")


def _text(name: str) -> str:
    file = resources.files("outbox_notify").joinpath("sql", f"{name}.sql")
    bare = _COMMENT.sub("", file.read_text(encoding="utf-8")).strip().rstrip(";")
    return _SHARED.sub(lambda found: _text(found[1]), bare)


def _checked(schema: str) -> str:
    """Return the schema, which may be any caller's argument: PostgreSQL would cut a long name and find another."""
    try:
        return str(declarations()["schema"].kind.read(schema))
    except ValueError as error:
        raise ConfigError(f"schema {shortened(ascii(schema), 80)} {error}") from None
