"""Databases for tests, each a copy of a template that was migrated once."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from outbox_notify.schema.migrate import migrate_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.embedded import EmbeddedPostgres
    from outbox_notify.embedded.server import EmbeddedServer

TEMPLATE = "outbox_template"
# No test pulls the plug of its machine, so flushes would only cost time.
SETTINGS = {"fsync": "off", "max_connections": "200", "max_prepared_transactions": "10"}

_numbers = itertools.count(1)


def make_template(server: EmbeddedPostgres, schema: str = "public") -> str:
    """Create the migrated database that every test's database is a copy of, and return its URL."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    url = server.database_url(TEMPLATE)
    migrate(url, schema)
    return url


def migrate(url: str, schema: str = "public") -> None:
    """Bring the outbox of a database up to date, as `outbox-notify migrate` does.

    Args:
        url: of the database.
        schema: where the outbox is to be; made when there is none.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        migrate_up(connection, schema)


@contextmanager
def fresh_database(server: EmbeddedPostgres, template: str = TEMPLATE) -> Iterator[str]:
    """Yield the URL of a copy of `template`; drop it afterwards, whoever is still connected."""
    database = f"test_{next(_numbers)}"
    name = sql.Identifier(database)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template)))
    try:
        yield server.database_url(database)
    finally:
        recover(server)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def recover(server: EmbeddedServer) -> None:
    """Let a server run that a test has frozen, stopped or killed."""
    if server.running:
        server.thaw()
    server.start()
