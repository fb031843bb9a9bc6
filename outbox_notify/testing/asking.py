"""Asking over the connection that a test has, whatever library it is of. None but psycopg is imported here."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor
from psycopg.rows import scalar_row

_SYNC = "psycopg's Connection, SQLAlchemy's Session or Connection, or Django's connection"
_ASYNC = "psycopg's AsyncConnection, SQLAlchemy's AsyncSession or AsyncConnection, or asyncpg's Connection"


def ask(connection: Any, statement: str) -> list[str]:
    """Return the one column of a statement without parameters.

    Args:
        connection: a connection or cursor of psycopg, a session or connection of SQLAlchemy, or Django's.
        statement: SQL.

    Raises:
        TypeError: it is none of them, or an asynchronous one.
    """
    link = connection.connection if isinstance(connection, Cursor) else connection
    if isinstance(link, Connection):
        # A cursor of ours: that of the caller may hold results, and its rows may be of any kind.
        with Cursor(link, row_factory=scalar_row) as cursor:
            return cursor.execute(statement.encode()).fetchall()
    if _asynchronous(link):
        raise _strange(connection, _SYNC)
    link = link.connection() if _is_session(link) else link
    if hasattr(link, "exec_driver_sql"):
        return list(link.exec_driver_sql(statement).scalars())
    if hasattr(link, "cursor"):
        with link.cursor() as cursor:
            cursor.execute(statement)
            return [row[0] for row in cursor.fetchall()]
    raise _strange(connection, _SYNC)


async def ask_async(connection: Any, statement: str) -> list[str]:
    """Do as `ask` does, on asynchronous connections of psycopg, SQLAlchemy and asyncpg."""
    link = connection.connection if isinstance(connection, AsyncCursor) else connection
    if isinstance(link, AsyncConnection):
        async with AsyncCursor(link, row_factory=scalar_row) as cursor:
            await cursor.execute(statement.encode())
            return await cursor.fetchall()
    if not _asynchronous(link):
        raise _strange(connection, _ASYNC)
    if hasattr(link, "fetch"):
        return [row[0] for row in await link.fetch(statement)]
    link = await link.connection() if _is_session(link) else link
    if hasattr(link, "exec_driver_sql"):
        return list((await link.exec_driver_sql(statement)).scalars())
    raise _strange(connection, _ASYNC)


def _asynchronous(link: object) -> bool:
    """Return whether it is an asynchronous connection; that of asyncpg is no context manager."""
    return hasattr(link, "__aenter__") or hasattr(link, "fetch")


def _is_session(link: object) -> bool:
    """Return whether it is a session of SQLAlchemy, which gives its connection away by a method."""
    return callable(getattr(type(link), "connection", None))


def _strange(connection: object, accepted: str) -> TypeError:
    kind = type(connection)
    return TypeError(f"expected {accepted}, not {kind.__module__}.{kind.__qualname__}")
