"""PostgreSQL servers of the test session, with one migrated template database each."""

from __future__ import annotations

import subprocess
from typing import Any, TypeAlias

import psycopg
import pytest

from outbox_notify.embedded import EmbeddedPostgres
from outbox_notify.testing.databases import SETTINGS, TEMPLATE, fresh_database, make_template, migrate

__all__ = ["ON_BOTH", "SETTINGS", "TEMPLATE", "Link", "PostgresServers", "fresh_database", "migrate", "pids"]

Link: TypeAlias = psycopg.Connection[Any]

ON_BOTH = pytest.mark.parametrize("postgres_version", [16, 18], ids=["pg16", "pg18"])


class PostgresServers:
    """One server per version, started when first asked for; and others, for those who stop and kill theirs."""

    def __init__(self) -> None:
        self._servers: dict[int, EmbeddedPostgres] = {}
        self._models: dict[int, EmbeddedPostgres] = {}

    def server(self, version: int) -> EmbeddedPostgres:
        """Return the running server of a version; its template is migrated."""
        if version not in self._servers:
            server = self._servers[version] = EmbeddedPostgres(version, SETTINGS)
            server.start()
            make_template(server)
        return self._servers[version]

    def another(self, version: int) -> EmbeddedPostgres:
        """Return a server of a version that nobody else has, not yet started; its database `postgres` is migrated."""
        if version not in self._models:
            model = self._models[version] = EmbeddedPostgres(version, SETTINGS)
            model.start()
            migrate(model.url)
            model.stop()
        return _Copy(self._models[version])

    def close(self) -> None:
        """Stop all of them and remove their data."""
        for server in (*self._servers.values(), *self._models.values()):
            server.close()


class _Copy(EmbeddedPostgres):
    """A server whose data are those of another one, stopped: made in a fraction of the time that initdb takes."""

    def __init__(self, model: EmbeddedPostgres) -> None:
        super().__init__(model.version, SETTINGS)
        self._model = model
        self._password = model._password

    def _initdb(self) -> None:
        subprocess.run(["cp", "-a", self._model.data_dir, self.data_dir], check=True)


def pids(conn: Link, query: str) -> set[int]:
    """Return the server processes that a query of ours names."""
    return {row[0] for row in conn.execute(query.encode()).fetchall()}
