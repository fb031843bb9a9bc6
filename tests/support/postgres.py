"""PostgreSQL servers of the test session, with one migrated template database each."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from outbox_notify.embedded import EmbeddedPostgres
from outbox_notify.schema.migrate import migrate_up

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATE = "outbox_template"
# No test pulls the plug of this machine, so flushes would only cost time.
SETTINGS = {"fsync": "off", "max_connections": "200", "max_prepared_transactions": "10"}

_numbers = itertools.count(1)


class PostgresServers:
    """One server per version, started when first asked for."""

    def __init__(self) -> None:
        self._servers: dict[int, EmbeddedPostgres] = {}

    def server(self, version: int) -> EmbeddedPostgres:
        """Return the running server of a version; its template is migrated."""
        if version not in self._servers:
            server = self._servers[version] = EmbeddedPostgres(version, SETTINGS)
            server.start()
            make_template(server)
        return self._servers[version]

    def close(self) -> None:
        """Stop all of them and remove their data."""
        for server in self._servers.values():
            server.close()


def make_template(server: EmbeddedPostgres) -> None:
    """Create the migrated database that every test's database is a copy of."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    migrate(server.database_url(TEMPLATE))


def migrate(url: str, schema: str = "public") -> None:
    """Bring the outbox of one database up to date."""
    with psycopg.connect(url, autocommit=True) as connection:
        migrate_up(connection, schema)


@contextmanager
def fresh_database(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    """Yield the URL of a copy of `template`; drop it afterwards, whoever is still connected."""
    database = f"test_{next(_numbers)}"
    name = sql.Identifier(database)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template)))
    try:
        yield server.database_url(database)
    finally:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def pids(conn: psycopg.Connection, query: str) -> set[int]:
    """Return the server processes that a query of ours names."""
    return {row[0] for row in conn.execute(query.encode()).fetchall()}
